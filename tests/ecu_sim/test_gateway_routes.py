"""A gateway between buses: what it carries, how late, how much, and what is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.config import data_root
from bench.core.clock import NS_PER_MS
from bench.core.errors import InputError
from bench.core.records import BRS, FD
from bench.core.specs import RouteSpec
from bench.wire.can import CanFrame
from bench.wire.can_errors import Disturbance
from tests.ecu_sim.network_world import NetCar, drive, ecu, frame

TWO_BUSES: dict[str, int | None] = {"can0": None, "can1": None}


def route(source: str, first: int, last: int | None = None, **changed: Any) -> RouteSpec:
    given: dict[str, Any] = {
        "source": source, "target": "can1" if source == "can0" else "can0", "first_id": first,
        "last_id": first if last is None else last, "to_id": first, "delay_us": 500, "capacity": 64,
    }  # fmt: skip
    return RouteSpec(**(given | changed))


def gateway(*routes: RouteSpec, **changed: Any) -> Any:
    return ecu("gateway", 1, **({"personality": "gateway", "hardware_id": "GW-HW-02", "routes": routes} | changed))


def body(**changed: Any) -> Any:
    return ecu("body", 0, **({"channel": "can1", "reached_on": "can0"} | changed))


DIAGNOSTICS = (route("can0", 0x7DF), route("can0", 0x7A0), route("can1", 0x7A8))


def test_frames_of_a_route_arrive_later_by_its_delay_and_others_do_not() -> None:
    async def story(car: NetCar) -> None:
        inner = car.listeners["can1"]
        for can_id in (0x200, 0x20F, 0x210, 0x1FF):
            car.can0.send(can_id, "0102")
        await car.wait_ms(10)
        assert [f.can_id for _, f in inner.frames] == [0x200, 0x20F]
        assert [data for _, data in inner.of(0x200)] == [b"\x01\x02"]
        (sent_ns,) = [f.t_ns for f in car.world.journal.frames() if (f.channel, f.can_id) == ("can0", 0x200)]
        frame_ns = 130_000  # two data bytes at 500 kbit/s: 63 to 75 bits
        assert 500_000 + frame_ns // 2 < inner.of(0x200)[0][0] - sent_ns < 500_000 + 2 * frame_ns
        inner.send(0x200, "03")
        await car.wait_ms(10)
        assert [f for _, f in car.can0.frames if f.can_id == 0x200] == [], "a route has one direction"

    drive(story, [gateway(route("can0", 0x200, 0x20F))], buses=TWO_BUSES)


def test_route_renumbers_identifiers_from_its_first_one_on() -> None:
    async def story(car: NetCar) -> None:
        car.can0.send(0x203, "00")
        await car.wait_ms(5)
        assert [f.can_id for _, f in car.listeners["can1"].frames] == [0x303]

    drive(story, [gateway(route("can0", 0x200, 0x20F, to_id=0x300))], buses=TWO_BUSES)


def test_frames_keep_their_order_and_beyond_the_capacity_are_lost_and_noted() -> None:
    async def story(car: NetCar) -> None:
        for n in range(12):
            car.can0.send(0x200, bytes((n,)))
        await car.wait_ms(100)
        assert [data[0] for _, data in car.listeners["can1"].of(0x200)] == list(range(4))
        assert len(car.entries("gateway", "route.lost")) == 8
        car.can0.send(0x200, "63")
        await car.wait_ms(100)
        assert [data[0] for _, data in car.listeners["can1"].of(0x200)] == [*range(4), 0x63], "room again"

    drive(story, [gateway(route("can0", 0x200, delay_us=20_000, capacity=4))], buses=TWO_BUSES)


def test_frames_under_way_are_lost_with_the_power() -> None:
    async def story(car: NetCar) -> None:
        car.can0.send(0x200, "01")
        await car.wait_ms(5)
        car.vehicle.nodes["gateway"].cut("test")
        car.vehicle.nodes["gateway"].power_on()
        await car.wait_ms(300)
        assert car.listeners["can1"].frames == []
        car.can0.send(0x200, "02")
        await car.wait_ms(50)
        assert [data for _, data in car.listeners["can1"].of(0x200)] == [b"\x02"]

    drive(story, [gateway(route("can0", 0x200, delay_us=20_000))], buses=TWO_BUSES)


def test_ecu_behind_the_gateway_answers_physical_and_functional_requests() -> None:
    async def story(car: NetCar) -> None:
        assert await car.can0.ask("22F190") == f"62 F1 90 {b'ZZZ00TABENCH00001'.hex(' ').upper()}"
        car.can0.answers.clear()
        car.can0.send(0x7DF, "023E00")
        await car.wait_ms(50)
        assert car.can0.answers == [b"\x7e\x00"]

    drive(story, [body(), gateway(*DIAGNOSTICS)], buses=TWO_BUSES)


def test_nothing_is_routed_while_the_gateway_itself_is_in_its_bootloader() -> None:
    async def story(car: NetCar) -> None:
        assert await car.can0.ask("3E00") == "7E 00"
        await car.can0.ask("1003", n=1)
        assert (await car.can0.ask("1002", n=1) or "").startswith("50 02")
        await car.wait_ms(100)
        assert await car.can0.ask("3E00", within_ms=500) is None
        assert await car.can0.ask("1001", n=1) is not None
        await car.wait_ms(1500)
        assert await car.can0.ask("3E00") == "7E 00"

    drive(story, [body(), gateway(*DIAGNOSTICS)], buses=TWO_BUSES)


def test_bootloader_routes_where_the_personality_says_so(tmp_path: Path) -> None:
    text = (data_root() / "ecus" / "gateway.toml").read_text()
    path = tmp_path / "gateway.toml"
    path.write_text(text.replace('title = "Gateway', 'routes_in_bootloader = true\ntitle = "Gateway'))

    async def story(car: NetCar) -> None:
        await car.can0.ask("1003", n=1)
        await car.can0.ask("1002", n=1)
        await car.wait_ms(100)
        assert await car.can0.ask("22F186", n=1) == "62 F1 86 02"
        assert await car.can0.ask("3E00") == "7E 00"

    drive(story, [body(), gateway(*DIAGNOSTICS)], buses=TWO_BUSES, files={"gateway": path})


def test_frames_of_the_gateway_go_out_on_the_bus_that_they_name() -> None:
    async def story(car: NetCar) -> None:
        await car.wait_ms(500)
        assert len(car.listeners["can1"].of(0x121)) >= 4
        assert car.can0.of(0x121) == []

    drive(story, [gateway(*DIAGNOSTICS, frames=(frame(0x121, channel="can1"),))], buses=TWO_BUSES)


def test_classic_route_leaves_fd_frames_out() -> None:
    async def story(car: NetCar) -> None:
        car.listeners["can1"].port.send(CanFrame(0x200, bytes(12), FD | BRS))
        car.listeners["can1"].port.send(CanFrame(0x200, b"\x07"))
        await car.wait_ms(10)
        assert [data for _, data in car.can0.of(0x200)] == [b"\x07"]

    classic = gateway(route("can1", 0x200, classic_only=True))
    drive(story, [classic], buses={"can0": None, "can1": 2_000_000})


OF_NODES = (
    route("can1", 0x110, node=0x21),
    route("can0", 0x130, node=0x21),
    route("can1", 0x111, node=0x22),
    route("can1", 0x501, node=0x21, management=True),
)
"""Application frames of node 0x21 in both directions, of node 0x22, and alive messages of node 0x21."""


async def carried(car: NetCar) -> set[int]:
    """Which of the routed frames arrive now."""
    began_ns, inner = car.now_ns, car.listeners["can1"]
    for can_id in (0x110, 0x111, 0x501):
        inner.send(can_id, "01")
    car.can0.send(0x130, "01")
    await car.wait_ms(20)
    arrived = {f.can_id for t_ns, f in car.can0.frames if t_ns > began_ns} - {0x130}
    return arrived | {f.can_id for t_ns, f in inner.frames if t_ns > began_ns and f.can_id == 0x130}


@pytest.mark.parametrize(
    ("messages", "silent"), [("01", {0x110, 0x130}), ("02", {0x501}), ("03", {0x110, 0x130, 0x501})]
)
def test_0x28_with_a_node_stops_the_routes_of_that_node_and_no_diagnostics(messages: str, silent: set[int]) -> None:
    async def story(car: NetCar) -> None:
        everything = {0x110, 0x111, 0x130, 0x501}
        assert await carried(car) == everything
        await car.can0.ask("1003", n=1)
        assert await car.can0.ask(f"2804{messages}0021", n=1) == "68 04"
        assert await carried(car) == everything - silent
        assert await car.can0.ask("3E00") == "7E 00", "its ECU is reached all the same"
        assert await car.can0.ask(f"2805{messages}0021", n=1) == "68 05"
        assert await carried(car) == everything
        assert await car.can0.ask(f"2804{messages}0021", n=1) == "68 04"
        await car.wait_ms(6000)
        assert await carried(car) == everything, "the session ran out"

    drive(story, [body(), gateway(*DIAGNOSTICS, *OF_NODES)], buses=TWO_BUSES)


def test_route_of_a_node_that_the_gateway_does_not_know_is_refused() -> None:
    with pytest.raises(InputError) as caught:
        drive(nothing, [gateway(route("can1", 0x110, node=0x23))], buses=TWO_BUSES)
    assert all(word in str(caught.value) for word in ("0x23", "node_ids", "0x21, 0x22"))


def test_capacity_of_a_route_is_the_same_after_its_controller_was_bus_off() -> None:
    """What waited in the controller is lost; what the gateway still held back is under way, and counts once."""

    async def story(car: NetCar) -> None:
        inner = car.listeners["can1"]
        troubles = [Disturbance(at_bit=10)] * 32
        inner.bus.disturb = lambda _frame, _part: troubles.pop() if troubles else None
        car.can0.send(0x200, "00")
        await car.wait_ms(19)
        for n in range(1, 4):
            car.can0.send(0x200, bytes((n,)))
        await car.wait_ms(200)
        assert not troubles
        before = len(inner.of(0x200))
        for n in range(12):
            car.can0.send(0x200, bytes((n,)))
        await car.wait_ms(100)
        assert len(inner.of(0x200)) - before == 4

    drive(story, [gateway(route("can0", 0x200, delay_us=20_000, capacity=4))], buses=TWO_BUSES)


def second_gateway(*routes: RouteSpec) -> Any:
    return ecu("other", 2, personality="gateway", hardware_id="GW-HW-02", routes=routes)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((route("can0", 0x200),), (route("can1", 0x200),)),
        ((route("can0", 0x200, 0x20F, to_id=0x300),), (route("can1", 0x2FF, 0x308, to_id=0x1FF),)),
        (
            (route("can0", 0x200, to_id=0x201), route("can0", 0x210)),
            (route("can1", 0x201, to_id=0x210), route("can1", 0x210, to_id=0x200)),
        ),
    ],
)
def test_routes_of_two_gateways_that_would_carry_a_frame_for_ever_are_refused(
    first: tuple[RouteSpec, ...], second: tuple[RouteSpec, ...]
) -> None:
    with pytest.raises(InputError) as caught:
        drive(nothing, [gateway(*first), second_gateway(*second)], buses=TWO_BUSES)
    assert all(word in str(caught.value) for word in ("for ever", "gateway", "other", "id = 0x"))


def test_routes_of_two_gateways_that_come_to_an_end_are_taken() -> None:
    async def story(car: NetCar) -> None:
        car.can0.send(0x200, "01")
        await car.wait_ms(50)
        assert [f.can_id for _, f in car.listeners["can1"].frames] == [0x300]
        assert [f.can_id for _, f in car.can0.frames] == [0x400]

    there_and_back = (route("can0", 0x200, to_id=0x300), route("can1", 0x300))
    drive(story, [gateway(*there_and_back), second_gateway(route("can1", 0x300, to_id=0x400))], buses=TWO_BUSES)


async def nothing(_car: NetCar) -> None:
    """The vehicle could be built."""


@pytest.mark.parametrize(
    ("ecus", "words"),
    [
        ((gateway(route("can1", 0x200)),), ["routes from can1, a CAN FD bus, to can0", 'frames = "classic"']),
        ((gateway(route("can0", 0x200, target="can7")),), ["unknown bus", "can7"]),
        ((gateway(frames=(frame(channel="can1"),)),), ["none of its own", "can1"]),
        ((gateway(frames=(frame(length=12, fd=True),)),), ["classic bus", "fd = false"]),
    ],
)
def test_route_that_no_bus_can_carry_is_refused(ecus: tuple[Any, ...], words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        drive(nothing, ecus, buses={"can0": None, "can1": 2_000_000})
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_gateway_alone_on_its_bus_keeps_the_frames_of_that_bus_only() -> None:
    spec = gateway(*DIAGNOSTICS, frames=(frame(0x120), frame(0x121, channel="can1")))

    async def story(car: NetCar) -> None:
        await car.wait_ms(300)
        assert {f.can_id for _, f in car.can0.frames} == {0x120}

    drive(story, [spec.alone()])


def test_route_counts_what_is_under_way_and_not_what_was_sent() -> None:
    """2000 frames through a queue of 64, as fast as the bus carries them: none is lost."""

    async def story(car: NetCar) -> None:
        for n in range(2000):
            car.can0.send(0x200, n.to_bytes(2, "big"))
        await car.world.clock.sleep_ns(2000 * NS_PER_MS)
        heard = [int.from_bytes(data, "big") for _, data in car.listeners["can1"].of(0x200)]
        assert heard == list(range(2000))

    drive(story, [gateway(route("can0", 0x200))], buses=TWO_BUSES)
