"""Several ECUs in one coordinated job: what goes to all of them goes once, and nobody harms the others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.world import World
from bench.flasher.belief import EcuState
from bench.flashing.run import FlashResult, run_flash

if TYPE_CHECKING:
    from tests.flashing.conftest import Stage

ALL = ("body", "door", "gateway")
REQUEST_IDS = {"body": 0x7A0, "door": 0x7A2, "gateway": 0x7A1}
BEFORE_AND_AFTER = ["1083", "8582", "288301", "288001", "8581", "1081"]


def states(result: FlashResult) -> dict[str, EcuState]:
    return {ecu.outcome.ecu: ecu.outcome.belief.state for ecu in result.ecus}


def assert_nobody_is_thrown_out(stage: Stage, result: FlashResult, ecus: tuple[str, ...] = ALL) -> None:
    """No functional session change on a bus between an ECU's 10 02 and the end of that ECU's job."""
    heard = stage.requests(result.frames)
    for ecu in (each for each in result.ecus if each.outcome.ecu in ecus):
        report = ecu.outcome.report
        channel = "can1" if ecu.outcome.ecu == "gateway" else "can0"
        mine = [each for each in heard if each.can_id == REQUEST_IDS[ecu.outcome.ecu]]
        asked_ns = [each.t_ns for each in mine if each.payload == b"\x10\x02"]
        reset_ns = [each.t_ns for each in mine if each.payload == b"\x11\x01"]
        ends_ns = reset_ns[-1] if reset_ns else report.started_ns + report.duration_ns
        to_all = [each for each in heard if each.can_id == 0x7DF and each.channel == channel]
        sessions = [each.t_ns for each in to_all if each.payload[0] == 0x10]
        assert asked_ns
        assert [t_ns for t_ns in sessions if asked_ns[0] < t_ns < ends_ns] == []


def test_what_goes_to_all_ecus_of_a_bus_is_sent_once_before_the_first_and_after_the_last(stage: Stage) -> None:
    result = stage.play(stage.order(*ALL))
    assert result.good
    assert stage.functional(result.frames, "can0") == BEFORE_AND_AFTER
    assert stage.functional(result.frames, "can1") == BEFORE_AND_AFTER
    assert_nobody_is_thrown_out(stage, result)
    for channel, ecus in (("can0", ("body", "door")), ("can1", ("gateway",))):
        heard = [each for each in stage.requests(result.frames) if each.channel == channel]
        first_ns = next(each.t_ns for each in heard if each.payload == b"\x10\x02")
        last_ns = max(each.t_ns for each in heard if each.payload == b"\x11\x01")
        times = {each.payload.hex(): each.t_ns for each in heard if each.can_id == 0x7DF}
        assert max(times[name] for name in BEFORE_AND_AFTER[:3]) < first_ns
        assert min(times[name] for name in BEFORE_AND_AFTER[3:]) > last_ns
        assert len([each for each in heard if each.payload == b"\x10\x02"]) == len(ecus)


def test_together_nothing_is_repeated_although_ecus_share_a_saturated_bus(stage: Stage) -> None:
    """Answers lose arbitration against the other job's blocks for longer than P2: that is no lost answer."""
    result = stage.play(stage.order("body", "door", size_bytes=60_000))
    counts = [ecu.outcome.report.counts for ecu in result.ecus]
    assert [{name for name, count in each.items() if count} for each in counts] == [{"pending"}, {"pending"}]
    assert any(event.name == "bus_occupied" for ecu in result.ecus for event in ecu.outcome.report.events)


def test_together_takes_less_than_three_quarters_of_one_after_the_other(stage: Stage) -> None:
    together, alone = (stage.play(stage.order(*ALL), parallel=parallel) for parallel in (True, False))
    assert together.good
    assert alone.good
    assert together.duration_ns < 0.75 * alone.duration_ns
    assert alone.sum_ns == alone.duration_ns
    assert together.sum_ns > 1.5 * together.duration_ns


def test_different_buses_take_as_long_as_the_slower_one(stage: Stage) -> None:
    both = stage.play(stage.order("body", "gateway"))
    alone = [stage.play(stage.order(ecu)).duration_ns for ecu in ("body", "gateway")]
    assert both.duration_ns < max(alone) + 60 * NS_PER_MS


def test_two_equal_jobs_have_the_same_trace(stage: Stage) -> None:
    one, other = (stage.play(stage.order(*ALL)) for _ in range(2))
    assert one.trace_sha256 == other.trace_sha256


def test_recipe_that_forbids_it_is_flashed_alone(stage: Stage) -> None:
    order = stage.order(*ALL)
    values = order.files.recipes["gateway"].model_dump(mode="json") | {"parallel": False}
    order.files.recipes["gateway"] = type(order.files.recipes["gateway"]).model_validate(values)
    result = stage.play(order)
    body, door, gateway = (ecu.outcome.report for ecu in result.ecus)
    assert result.good
    assert gateway.started_ns >= max(each.started_ns + each.duration_ns for each in (body, door))


def test_one_tester_present_serves_all_ecus_of_a_bus(stage: Stage) -> None:
    result = stage.play(stage.order("body", "door", size_bytes=60_000))
    beats = [each.t_ns for each in stage.requests(result.frames) if each.payload == b"\x3e\x80"]
    assert len(beats) == result.duration_ns // (2 * NS_PER_S)


# A failing ECU --------------------------------------------------------------------------------------


def test_ecu_that_refuses_the_key_harms_no_other_and_all_is_restored_once(stage: Stage) -> None:
    order = stage.with_recipe(stage.order(*ALL), "door", security={"secret_name": "another"})
    result = stage.play(order)
    assert states(result) == {
        "body": EcuState.NEW_SOFTWARE,
        "door": EcuState.OTHER_SOFTWARE,
        "gateway": EcuState.NEW_SOFTWARE,
    }
    assert stage.functional(result.frames, "can0") == BEFORE_AND_AFTER
    assert_nobody_is_thrown_out(stage, result)
    assert not result.good
    assert {ecu.outcome.ecu: ecu.confirmed for ecu in result.ecus} == {"body": None, "door": None, "gateway": None}


def test_last_ecu_of_a_bus_to_fail_restores_for_all(stage: Stage) -> None:
    order = stage.order("body", "door", size_bytes=20_000)
    order = stage.with_recipe(order, "door", routines={"check_memory": 0x0299})
    result = stage.play(order)
    assert states(result) == {"body": EcuState.NEW_SOFTWARE, "door": EcuState.BOOTLOADER}
    sent = stage.functional(result.frames, "can0")
    assert sent[:3] + sent[-3:] == BEFORE_AND_AFTER
    assert [sent.count(name) for name in BEFORE_AND_AFTER[3:]] == [1, 1, 1]
    assert_nobody_is_thrown_out(stage, result, ("body",))  # alone, the other one may address them all again


def dark(ecu: str, from_ms: int, until_ms: int) -> Any:
    def interfere(world: World, vehicle: Any) -> None:
        node, now_ns = vehicle.nodes[ecu], world.clock.now_ns()
        world.clock.call_at_ns(now_ns + from_ms * NS_PER_MS, node.cut, "test")
        world.clock.call_at_ns(now_ns + until_ms * NS_PER_MS, node.power_on, "test")

    return interfere


@pytest.mark.parametrize(("from_ms", "until_ms"), [(0, 1_500), (0, 4_000), (400, 900), (900, 1_400), (1_300, 5_000)])
def test_ecu_that_is_dark_for_a_while_is_prepared_by_its_own_address_and_throws_nobody_out(
    stage: Stage, from_ms: int, until_ms: int
) -> None:
    result = stage.play(stage.order("body", "door", size_bytes=250_000), dark("door", from_ms, until_ms))
    assert set(states(result).values()) == {EcuState.NEW_SOFTWARE}
    assert stage.functional(result.frames, "can0") == BEFORE_AND_AFTER
    body = result.ecus[0].outcome.report
    assert body.counts["job_retry"] == body.counts["download_restart"] == 0
    to_door = [each.payload for each in stage.requests(result.frames) if each.can_id == REQUEST_IDS["door"]]
    assert b"\x10\x03" in to_door
    assert b"\x85\x02" in to_door
    assert b"\x28\x03\x01" in to_door
    assert_nobody_is_thrown_out(stage, result)


# Interrupted ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at_ms", [502, 560, 700, 1_000, 1_215, 1_300, 2_000, 2_100, 2_250])
def test_interrupted_order_restores_every_bus_once_and_says_what_each_ecu_is(stage: Stage, at_ms: int) -> None:
    order = stage.order(*ALL)
    result = interrupted(order, at_ms)
    assert result.interrupted
    assert not result.good
    for channel in ("can0", "can1"):
        sent = stage.functional(result.frames, channel)
        assert [sent.count(name) <= 1 for name in BEFORE_AND_AFTER] == [True] * 6
        assert ("8582" in sent) <= ("8581" in sent)
        assert ("288301" in sent) <= ("288001" in sent)
        assert ("1083" in sent) <= ("1081" in sent)
    assert all(ecu.outcome.belief.state is not EcuState.SILENT for ecu in result.ecus)
    assert all(ecu.outcome.belief.next_step for ecu in result.ecus)
    heard = stage.requests(result.frames)
    for ecu, can_id in REQUEST_IDS.items():
        mine = [each.payload for each in heard if each.can_id == can_id]
        assert (b"\x10\x02" in mine) <= (b"\x11\x01" in mine), ecu


def interrupted(order: Any, at_ms: int) -> FlashResult:
    """Interrupt when the bench's clock has passed `at_ms`: progress is told often enough for that."""
    interrupts: list[Any] = []

    def watch(progress: Any) -> None:
        if interrupts and progress.t_ns >= at_ms * NS_PER_MS:
            interrupts.pop()()

    return run_flash(order, progress=watch, started=interrupts.append)
