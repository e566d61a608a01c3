"""The fault catalogue: what is refused says what is allowed; what is injected does what it says."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

import pytest

from bench.core.car import CarState, CarValue
from bench.core.errors import InputError
from bench.core.loop import VirtualLoop
from bench.core.offers import Offers
from bench.core.points import FaultPoint
from bench.core.waveform import Waveform
from bench.core.world import World
from bench.faults.catalogue import check_fault, event_kinds, events_of, fault_kinds
from bench.faults.inject import ArmedFault, Injector
from bench.faults.package import flip_payload_bit, flip_signature_bit
from bench.faults.power import PowerCutParameters
from bench.ports.faults import (
    CAR,
    ECU_RULES,
    HTTP_PATH,
    ISO_TP_RULES,
    PACKAGE_PATH,
    POWER,
    SIGN_FOR_HARDWARE,
    STORED_BITS,
    SUPPLY,
    TORN_CELLS,
    UNSYNCED_DATA,
    WAVEFORM_OF,
)
from bench.wire.disk_loss import DiskLoss
from bench.wire.ecu_misbehave import EcuMisbehaviour
from bench.wire.isotp_misbehave import Misbehaviour


def package() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in ("manifest.json", "manifest.sig", "images/body.bin", "images/gateway.bin"):
            archive.writestr(name, name.encode() * 10)
    return out.getvalue()


def members(raw: bytes) -> dict[str, bytes]:
    archive = zipfile.ZipFile(io.BytesIO(raw))
    return {name: archive.read(name) for name in archive.namelist()}


def differing_bits(a: bytes, b: bytes) -> int:
    return sum((x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def test_payload_change_flips_one_bit_of_that_image_and_nothing_else() -> None:
    before, after = members(package()), members(flip_payload_bit(package(), "body"))
    assert {name for name in before if before[name] != after[name]} == {"images/body.bin"}
    assert differing_bits(before["images/body.bin"], after["images/body.bin"]) == 1


def test_signature_change_flips_one_bit_of_the_signature_and_nothing_else() -> None:
    before, after = members(package()), members(flip_signature_bit(package()))
    assert {name for name in before if before[name] != after[name]} == {"manifest.sig"}
    assert differing_bits(before["manifest.sig"], after["manifest.sig"]) == 1


def test_every_row_strikes_at_known_events_and_has_a_title() -> None:
    for name, kind in fault_kinds().items():
        assert kind.fault_class == name
        assert kind.title
        assert kind.ports
        assert events_of(kind)
        assert set(events_of(kind)) <= set(event_kinds())


@pytest.mark.parametrize(
    ("fault_class", "events"),
    [
        ("power.ecu", {"frame", "program", "erase", "request", "boot"}),
        ("supply", {"frame", "program", "erase", "request", "boot"}),
        ("power.agent", {"sync", "transition", "http", "frame"}),
        ("power.vehicle", {"frame", "program", "erase", "request", "boot", "sync", "transition", "http"}),
        ("driver", {"frame", "program", "erase", "request", "boot", "sync", "transition", "http"}),
        ("network", {"http"}),
        ("package", {"http"}),
        ("storage", {"boot"}),
    ],
)
def test_fault_strikes_at_the_events_that_its_kind_of_part_announces(fault_class: str, events: set[str]) -> None:
    assert set(events_of(fault_kinds()[fault_class])) == events


@pytest.mark.parametrize(
    ("point", "parameters", "key", "allowed"),
    [
        ("human:body:boot:1", {}, "faults.point", "power.ecu"),
        ("power.ecu:body:explosion:1", {}, "faults.point", "program"),
        ("package:agent:frame:1", {"change": "signature", "ecu": "body"}, "faults.point", "http"),
        ("package:agent:http:1", {"change": "signature", "ecu": "a", "times": 0}, "faults.parameters.times", "from 1"),
        ("network:agent:http:1", {"lost": "everything"}, "faults.parameters.lost", '"request"'),
        ("network:agent:frame:1", {"lost": "answer"}, "faults.point", "http"),
        ("package:agent:http:1", {"change": "colour", "ecu": "body"}, "faults.parameters.change", '"signature"'),
        ("package:agent:http:1", {"ecu": "body"}, "faults.parameters.change", "wrong_hardware_id"),
        ("power.ecu:body:boot:1", {"restore_after_ms": 0}, "faults.parameters.restore_after_ms", "from 1"),
        ("power.ecu:body:boot:1", {"torn_reads": "odd"}, "faults.parameters.torn_reads", "ecc_error"),
        ("power.ecu:body:boot:1", {"after": 5}, "faults.parameters.after", "restore_after_ms"),
        ("ecu:body:frame:1", {"do": "silent"}, "faults.point", "request"),
        ("ecu:body:request:1", {"do": "warp"}, "faults.parameters.do", "lost_answer"),
        ("ecu:body:request:1", {"do": "silent", "times": 0}, "faults.parameters.times", "from 1"),
        ("isotp:body:request:1", {"do": "warp"}, "faults.parameters.do", "overflow"),
        ("storage:body:boot:1", {"address": 5, "bit": 8}, "faults.parameters.bit", "from 0 to 7"),
        ("condition:body:boot:1", {"key": "colour", "value": 1}, "faults.parameters.key", "speed_km_h"),
        ("condition:body:boot:1", {"key": "gear", "value": "X"}, "faults.parameters.value", "P, R, N, D"),
        ("condition:body:boot:1", {"key": "speed_km_h", "value": 900}, "faults.parameters.value", "from 0 to 400"),
        ("condition:body:boot:1", {"key": "engine", "value": 1}, "faults.parameters.value", "true, false"),
        ("driver:agent:http:1", {"answer": "maybe"}, "faults.parameters.answer", "postpone"),
    ],
)
def test_wrong_fault_is_refused_with_key_and_what_is_allowed(
    point: str, parameters: dict[str, object], key: str, allowed: str
) -> None:
    with pytest.raises(InputError) as error:
        check_fault(FaultPoint.parse(point), parameters, file="x.toml")
    assert (error.value.file, error.value.key) == ("x.toml", key)
    assert allowed in (error.value.allowed or "")


class Target:
    """Parts of a bench that write down what is done to them: `body`, `agent`, the whole vehicle, and the car."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.done: list[tuple[int, str, str]] = []
        self.torn_reads: tuple[str, str] | None = None
        self.disk_loss: tuple[str, str] | None = None
        self.disk_limits = ""
        self.state = CarState()
        for name in ("body", "agent", "vehicle"):
            Part(self, name).offer(world.offers)
        world.offers.offer(CAR, self)
        world.offers.offer(WAVEFORM_OF, lambda profile: Waveform(((0, 13_500), (250_000_000, 13_500))))
        world.offers.offer(SIGN_FOR_HARDWARE, lambda package, ecu, hardware_id: package)

    def note(self, what: str, part: str) -> None:
        self.done.append((self.world.clock.now_ns(), what, part))

    def change(self, key: str, value: CarValue, cause: str) -> CarValue:
        before: CarValue = getattr(self.state, key)
        self.state = self.state.changed(key, value)
        self.note(f"{key} = {value}", cause)
        return before


class Part:
    """One part, with every port that a part may have."""

    def __init__(self, target: Target, name: str) -> None:
        self.target, self.name = target, name

    def offer(self, offers: Offers) -> None:
        offers.offer(POWER, self, self.name)
        offers.offer(TORN_CELLS, self, self.name)
        offers.offer(UNSYNCED_DATA, self, self.name)
        offers.offer(SUPPLY, self, self.name)
        offers.offer(STORED_BITS, self, self.name)
        offers.offer(ECU_RULES, self, self.name)
        offers.offer(ISO_TP_RULES, self, self.name)
        offers.offer(PACKAGE_PATH, self, self.name)
        offers.offer(HTTP_PATH, self, self.name)

    def cut(self, cause: str) -> None:
        self.target.note("cut", self.name)

    def restore(self, cause: str) -> None:
        self.target.note("restore", self.name)

    def tear_as(self, reads: str) -> None:
        self.target.torn_reads = self.name, reads

    def lose_as(self, loss: DiskLoss) -> str:
        self.target.disk_loss = self.name, loss
        return self.target.disk_limits

    def follow(self, waveform: Waveform, name: str, torn_reads: str) -> None:
        self.target.torn_reads = self.name, torn_reads
        self.target.note(f"{name} {waveform.end_ns}", self.name)

    def flip_bit(self, area: str, address: int, bit: int) -> None:
        self.target.note(f"flip {area} {address:X}.{bit}", self.name)

    def misbehave(self, how: EcuMisbehaviour | Misbehaviour) -> None:
        self.target.note(str(how), self.name)

    def lose(self, what: str, over: Callable[[], None]) -> None:
        self.target.note(f"lose {what}", self.name)
        self.target.world.clock.call_at_ns(self.target.world.clock.now_ns() + 20_000_000, over)

    def set(self, change: Callable[[bytes], bytes], times: int | None) -> None:
        self.target.note(
            "change" if times is None else f"change {times}", str(len(change(package())) == len(package()))
        )


def struck(point: str, /, **parameters: object) -> tuple[Target, Injector]:
    """Arm one fault, let its operation happen at 1 s, run 5 s."""
    return struck_on("", point, **parameters)


def struck_on(disk_limits: str, point: str, /, **parameters: object) -> tuple[Target, Injector]:
    """See `struck`, on a bench that says of a disk that it cannot do so much."""
    loop = VirtualLoop()
    world = World(loop, seed=1)
    target = Target(world)
    target.disk_limits = disk_limits
    parsed = FaultPoint.parse(point)
    fault = ArmedFault(parsed, check_fault(parsed, parameters, file=None))
    injector = Injector(world, [fault])

    async def main() -> None:
        injector.arm()
        await loop.sleep_ns(10**9)
        counter = world.points.counter(parsed.part, parsed.event)
        counter.end(counter.begin())
        await loop.sleep_ns(4 * 10**9)

    loop.run(main())
    return target, injector


def test_supply_profile_is_over_after_its_duration_and_strikes_one_ecu_or_all() -> None:
    target, injector = struck("supply:body:program:1", profile="crank", time_scale=2.0)
    assert target.done == [(10**9, "crank 500000000", "body")]
    record = injector.records()[0]
    assert (record.t_ns, record.restored_t_ns) == (10**9, 1_500_000_000)
    target, _ = struck("supply:body:program:1", profile="crank", every_ecu=True)
    assert target.done == [(10**9, "crank 250000000", "vehicle")]


def test_package_is_changed_as_often_as_the_fault_says() -> None:
    target, _ = struck("package:agent:http:1", change="signature", ecu="body", times=2)
    assert target.done == [(10**9, "change 2", "True")]


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_lost_message_is_over_when_it_is_lost(lost: str) -> None:
    target, injector = struck("network:agent:http:1", lost=lost)
    assert target.done == [(10**9, f"lose {lost}", "agent")]
    record = injector.records()[0]
    assert (record.t_ns, record.restored_t_ns) == (10**9, 1_020_000_000)


def test_power_cut_is_restored_after_its_time_and_both_instants_are_recorded() -> None:
    target, injector = struck("power.ecu:body:program:1", restore_after_ms=300)
    assert target.done == [(10**9, "cut", "body"), (1_300_000_000, "restore", "body")]
    record = injector.records()[0]
    assert (record.t_ns, record.restored_t_ns) == (10**9, 1_300_000_000)
    assert injector.all_struck_are_over


def test_condition_of_the_car_is_given_back_after_its_time() -> None:
    target, injector = struck("condition:body:erase:1", key="speed_km_h", value=30, restore_after_ms=2000)
    point = "condition:body:erase:1"
    assert target.done == [(10**9, "speed_km_h = 30.0", point), (3 * 10**9, "speed_km_h = 0.0", "restored")]
    assert injector.all_struck_are_over
    assert injector.records()[0].restored_t_ns == 3 * 10**9


def test_answer_of_the_driver_counts_for_its_time() -> None:
    target, _ = struck("driver:agent:transition:1", answer="postpone", restore_after_ms=500)
    assert [what for _, what, _ in target.done] == ["driver = postpone", "driver = none"]


@pytest.mark.parametrize(
    ("point", "parameters", "order"),
    [
        ("ecu:body:request:1", {"service": 0x36, "do": "nrc", "nrc": 0x72}, "0x36:nrc=0x72@1"),
        ("ecu:body:boot:1", {"do": "late", "value": "above_p2", "times": 3}, "any:late=above_p2@1..3"),
        ("isotp:body:request:1", {"do": "overflow", "times": 2}, "overflow@1..2"),
    ],
)
def test_misbehaviour_is_ordered_of_the_ecu_at_the_point(point: str, parameters: dict[str, object], order: str) -> None:
    target, injector = struck(point, **parameters)
    assert target.done == [(10**9, order, "body")]
    assert injector.all_struck_are_over


def test_vehicle_cut_names_the_whole_vehicle() -> None:
    target, _ = struck("power.vehicle:body:program:1")
    assert [(what, part) for _, what, part in target.done] == [("cut", "vehicle"), ("restore", "vehicle")]


@pytest.mark.parametrize(("fault_class", "part"), [("power.ecu", "body"), ("power.vehicle", "vehicle")])
def test_power_cut_says_how_what_it_tears_will_read(fault_class: str, part: str) -> None:
    target, injector = struck(f"{fault_class}:body:program:1", torn_reads="ecc_error")
    assert target.torn_reads == (part, "ecc_error")
    assert injector.records()[0].parameters["torn_reads"] == "ecc_error"


def test_supply_profile_says_how_what_its_brown_outs_tear_will_read() -> None:
    target, injector = struck("supply:body:program:1", profile="crank", torn_reads="ecc_error")
    assert target.torn_reads == ("body", "ecc_error")
    assert injector.records()[0].parameters["torn_reads"] == "ecc_error"


def test_power_cut_of_the_agent_tears_no_cells() -> None:
    with pytest.raises(InputError, match="torn_reads"):
        struck("power.agent:agent:sync:1", torn_reads="valid")


@pytest.mark.parametrize(("point", "part"), [("power.agent:agent", "agent"), ("power.vehicle:body", "vehicle")])
def test_power_cut_says_what_the_disk_of_the_agent_loses(point: str, part: str) -> None:
    event = "sync" if part == "agent" else "program"
    target, injector = struck(f"{point}:{event}:1", disk_loss="names")
    assert target.disk_loss == (part, "names")
    assert injector.records()[0].parameters["disk_loss"] == "names"
    assert injector.records()[0].limits == ""


def test_power_cut_records_what_the_bench_cannot_do_of_it() -> None:
    _, injector = struck_on("nothing is lost here", "power.agent:agent:sync:1")
    assert injector.records()[0].limits == "nothing is lost here"


def test_power_cut_of_an_ecu_loses_nothing_of_a_disk() -> None:
    with pytest.raises(InputError, match="disk_loss"):
        struck("power.ecu:body:program:1", disk_loss="names")


def test_point_that_is_never_reached_is_recorded_as_such() -> None:
    target, injector = struck("power.ecu:body:program:2")
    assert target.done == []
    assert injector.records()[0].t_ns is None
    assert injector.all_struck_are_over


def test_default_parameters_are_shown() -> None:
    _, injector = struck("power.ecu:body:program:1")
    assert injector.records()[0].parameters == PowerCutParameters().model_dump()
