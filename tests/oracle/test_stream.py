"""The stream of events: causes before effects, the server's log in its own order, what is read afterwards last."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from bench.core.records import (
    ConditionRecord,
    DtcReading,
    FaultRecord,
    FlashOperation,
    FrameRecord,
    PowerRecord,
    RunRecord,
    ServerEvent,
    ServerViewRecord,
    VoltageRecord,
)
from bench.oracle.stream import DumpBefore, Ended, ExecutionEnded, FaultOver, FaultStruck, events
from tests.oracle.neighbours_car import car
from tests.oracle.oracle_vectors import NEW, OLD, S, boot, event, http, ran, read, replace

T = 5 * S


def at_once(record: RunRecord) -> RunRecord:
    """A record in which everything happens in the same instant."""
    before = replace(ran(S, OLD["body"], "A"), ended_t_ns=T, end_cause="reset")
    nothing = replace(ran(T, NEW["body"], "A"), ended_t_ns=T, end_cause="power cut")
    boot_run = replace(ran(T, NEW["body"], "boot"), ended_t_ns=T + 1)
    return replace(
        record,
        faults=(FaultRecord("bus", "a", {}, T, T), FaultRecord("bus", "b", {}, None, None)),
        power=(PowerRecord(T, "body", True, "x"),), voltages=(VoltageRecord(T, "body", ((T, 1),)),),
        boots=(boot(T, "body", "boot_manager"),), executions=(before, nothing), bootloader_runs=(boot_run,),
        flash_operations=(FlashOperation(T, "body", "erase", "image:A", 0, 1),),
        conditions=(ConditionRecord(T, "gear", "P", True, "x"),), http=(http(b"", t_ns=T),),
        frames=(FrameRecord(T, "can0", "x", 1, 0, b""),), server_events=(event(1, T, "inventory", ecus={}),),
        readings=(replace(read("body", 1, b""), t_ns=T),), dtcs=(DtcReading(T, "body", True, ()),),
        drive_after_ns=(T, T),
        server_view=(ServerViewRecord(9 * S, (), False, {}, ()),),
    )  # fmt: skip


def test_of_one_instant_causes_come_before_effects() -> None:
    found = [(type(each).__name__, each.t_ns if hasattr(each, "t_ns") else None) for each in events(at_once(car()))]
    assert [name for name, _ in found] == [
        "DumpBefore", "ExecutionRecord", "FaultStruck", "FaultOver", "PowerRecord", "VoltageRecord", "ExecutionEnded",
        "BootRecord", "ExecutionRecord", "BootloaderRun", "ExecutionEnded", "FlashOperation", "ConditionRecord",
        "HttpRecord", "FrameRecord", "ServerEvent", "DidReading", "DtcReading", "DriveBegan", "DriveEnded",
        "ExecutionEnded", "ServerViewRecord", "FlashDump", "FlashDump", "FlashDump", "AgentDisk", "Ended",
    ]  # fmt: skip
    ends = [each for each in events(at_once(car())) if isinstance(each, ExecutionEnded)]
    assert [(each.began_t_ns, each.bank, each.t_ns, each.cause) for each in ends] == [
        (S, "A", T, "reset"), (T, "A", T, "power cut"), (T, "boot", T + 1, None),
    ]  # fmt: skip


def test_faults_that_never_struck_or_never_ended_are_no_events() -> None:
    faults = (
        FaultRecord("bus", "a", {}, None, None),
        FaultRecord("bus", "b", {}, 1, None),
        FaultRecord("bus", "c", {}, 2, 3),
    )  # fmt: skip
    found = list(events(replace(car(), faults=faults)))
    assert [each for each in found if isinstance(each, FaultStruck)] == [
        FaultStruck(1, "bus", "b"), FaultStruck(2, "bus", "c")
    ]  # fmt: skip
    assert [each for each in found if isinstance(each, FaultOver)] == [FaultOver(3, "bus", "c")]


def test_an_exchange_is_read_when_its_last_byte_came(v: ModuleType) -> None:
    slow = replace(v.http(v.PACKAGE, t_ns=S), ended_t_ns=4 * S)
    quick = v.http(v.FORGED, t_ns=2 * S)
    record = replace(car(), http=(slow, quick), power=(PowerRecord(3 * S, "body", True, "x"),))
    found = [each for each in events(record) if type(each).__name__ in ("HttpRecord", "PowerRecord")]
    assert found == [quick, PowerRecord(3 * S, "body", True, "x"), slow]


def test_the_servers_log_keeps_its_order_whatever_its_clock_says() -> None:
    log = (event(2, 2 * S, "b"), event(1, 6 * S, "a"), event(3, 8 * S, "c"), event(4, -5, "d"))
    power = tuple(PowerRecord(t_s * S, "body", True, "x") for t_s in (1, 7, 9))
    order: list[Any] = []
    for each in events(replace(car(), server_events=log, power=power)):
        if isinstance(each, ServerEvent | PowerRecord):
            order.append(each.kind if isinstance(each, ServerEvent) else each.t_ns // S)
    assert order == [1, "a", "b", 7, "c", "d", 9]


def test_a_log_may_begin_before_the_run() -> None:
    found = list(events(replace(car(), server_events=(event(1, -5, "a"),))))
    assert [each.t_ns for each in found if isinstance(each, ServerEvent)] == [-5]
    assert isinstance(found[1], ServerEvent)


@pytest.mark.parametrize("began_ns", [0, 3 * S])
def test_memory_before_is_of_the_beginning_of_the_story(began_ns: int) -> None:
    base = car()
    assert base.surroundings is not None
    record = replace(base, surroundings=replace(base.surroundings, began_t_ns=began_ns))
    for each, t_ns in ((record, began_ns), (replace(base, surroundings=None), 0)):
        first = next(events(each))
        assert isinstance(first, DumpBefore)
        assert first.t_ns == t_ns


def test_the_end_tells_how_the_run_ended() -> None:
    base = replace(car(), agent_files=None, drive_after_ns=None)
    *rest, last = events(base)
    assert isinstance(last, Ended)
    assert (last.t_ns, last.ended_by, last.crash, last.lateness) == (10 * S, "quiet", None, None)
    assert not {"AgentDisk", "DriveBegan", "DriveEnded"} & {type(each).__name__ for each in rest}
