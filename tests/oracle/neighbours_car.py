"""A car for *neighbours*: two ECUs that are updated, beside a door module on a bus of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.core.records import (
    BUS_SLEEP,
    BankLayout,
    ConditionRecord,
    CyclicFrame,
    Dtc,
    DtcReading,
    EcuLayout,
    ExecutionRecord,
    ExpectedFrame,
    FaultRecord,
    FlashDump,
    FrameRecord,
    MemoryRegion,
    PowerRecord,
    RunRecord,
    Surroundings,
)
from tests.oracle.oracle_vectors import MS, OLD, S, boot, healthy, ran, replace, start

DRIVE_BEGAN, DRIVE_ENDED = 8 * S, 9 * S
LOST_BODY, LOST_GATEWAY = 0xC10087, 0xC10187
DOOR_FRAME, BODY_FRAME = 0x210, 0x110
Change = Callable[[RunRecord], RunRecord]


def cyclic(can_id: int, channel: str, sender: str, *, until_ns: int = DRIVE_ENDED) -> list[FrameRecord]:
    return [
        FrameRecord(t_ns, channel, sender, can_id, 0, bytes(8))
        for t_ns in range(200 * MS, until_ns, 100 * MS)
    ]  # fmt: skip


def door_dump(changed: int | None = None, *, nvm: bytes | None = bytes(64)) -> FlashDump:
    data = bytearray(b"\xa5" * 10_000)
    if changed is not None:
        data[changed] ^= 1
    return FlashDump("door", (MemoryRegion("image:A", 0x8000, bytes(data)),), 0, 0, (), nvm=nvm)


def dtcs(before: bool, ecu: str, *found: tuple[int, int], refused: int | None = None, silent: bool = False) -> Any:
    known = None if silent or refused is not None else tuple(Dtc(*each) for each in found)
    return DtcReading(0 if before else 10 * S, ecu, before, known, refused)


def no_dtcs() -> tuple[DtcReading, ...]:
    return tuple(dtcs(before, ecu) for before in (True, False) for ecu in ("body", "gateway", "door"))


def with_dtcs(*after: DtcReading, before: tuple[DtcReading, ...] = ()) -> Change:
    """Some readings take the place of the empty ones of the same ECU and time."""
    fresh = {(reading.ecu, reading.before): reading for reading in (*no_dtcs(), *before, *after)}
    return lambda record: replace(record, dtcs=tuple(fresh.values()))


def around() -> Surroundings:
    return Surroundings(
        ordered=("body", "gateway"),
        buses=(("body", "can0"), ("gateway", "can0"), ("door", "can1")),
        sleepers=("door",),
        cyclic=(
            CyclicFrame("door", "can1", DOOR_FRAME, False, 150, 150),
            CyclicFrame("body", "can0", BODY_FRAME, False, 150, 150),
        ),
        expected=(
            ExpectedFrame("door", LOST_BODY, ("body", "gateway")),
            ExpectedFrame("door", LOST_GATEWAY, ("gateway",)),
        ),
        began_t_ns=0,
    )


def car() -> RunRecord:
    """The healthy update of body and gateway, and the door beside them."""
    base = healthy()
    door = EcuLayout("door", "can0", 0x7A2, 0x7AA, "DOOR", 0x00F00000, (BankLayout("A", 0x8000, 10_000),), 500, 0xFF00)
    frames = [*base.frames.items, *cyclic(DOOR_FRAME, "can1", "door"), *cyclic(BODY_FRAME, "can0", "body")]
    return replace(
        base,
        layouts=(*base.layouts, door),
        surroundings=around(),
        frames=tuple(sorted(frames, key=lambda frame: frame.t_ns)),
        boots=(*base.boots.items, *start(0, "door", "application", "A")),
        executions=(*base.executions.items, ExecutionRecord(30 * MS, "door", "A", 0, b"", "", 0)),
        power=(*base.power.items, PowerRecord(0, "door", True, "supply")),
        conditions=(ConditionRecord(0, "ignition", True, True, "beginning"),),
        flash=(*base.flash.items, door_dump()),
        memory_before=(door_dump(),),
        dtcs=no_dtcs(),
        drive_after_ns=(DRIVE_BEGAN, DRIVE_ENDED),
    )


def fault(point: str, t_ns: int = 5 * S, over_ns: int | None = 6 * S) -> FaultRecord:
    return FaultRecord(point.split(":")[0], point, {}, t_ns, over_ns)


def faulted(point: str, change: Change, **at: Any) -> Change:
    return lambda record: replace(change(record), faults=(fault(point, **at),))


def booted_at_5_s(record: RunRecord) -> RunRecord:
    return replace(record, boots=(*record.boots.items, *start(5 * S, "door", "application", "A")))


def slept_until_5_s(record: RunRecord) -> RunRecord:
    """The door falls asleep a second before it boots."""
    asleep = ExecutionRecord(30 * MS, "door", "A", 0, b"", "", 0, 4 * S, BUS_SLEEP)
    ran_on = [e for e in record.executions.items if e.ecu != "door"]
    quiet = without(DOOR_FRAME, 4 * S, 5 * S)(record)
    return replace(booted_at_5_s(quiet), executions=(*ran_on, asleep))


def supplied_anew(record: RunRecord) -> RunRecord:
    dark = [PowerRecord(4 * S, "door", False, "cut"), PowerRecord(5 * S, "door", True, "back")]
    quiet = without(DOOR_FRAME, 4 * S, 5 * S)(record)
    return replace(booted_at_5_s(quiet), power=(*record.power.items, *dark))


def without(can_id: int, since_ns: int, until_ns: int) -> Change:
    """Take the frames away that came between two instants."""
    return lambda record: replace(
        record,
        frames=tuple(f for f in record.frames.items if f.can_id != can_id or not since_ns < f.t_ns < until_ns),
    )


def to_all(record: RunRecord, *requests: tuple[int, str]) -> RunRecord:
    """Add functional requests on the door's bus."""
    said = [
        FrameRecord(t_ns, "can1", "agent", 0x7DF, 0, bytes((len(text) // 2,)) + bytes.fromhex(text))
        for t_ns, text in requests
    ]
    return replace(record, frames=tuple(sorted([*record.frames.items, *said], key=lambda frame: frame.t_ns)))


def silenced(*requests: tuple[int, str], back_ns: int) -> Change:
    """The door says nothing from the first request on until a given instant, and with these requests on its bus."""

    def change(record: RunRecord) -> RunRecord:
        quiet = without(DOOR_FRAME, requests[0][0], back_ns)(record)
        back = FrameRecord(back_ns, "can1", "door", DOOR_FRAME, 0, bytes(8))
        return to_all(replace(quiet, frames=(*quiet.frames.items, back)), *requests)

    return change


def changed_to(changed: FlashDump) -> Change:
    return lambda record: replace(record, flash=(*record.flash.items[:-1], changed))


def hidden(**sources: Any) -> Change:
    return lambda record: replace(record, **sources)


def body_reverted(record: RunRecord) -> RunRecord:
    """The body's new software did not stay: the old one runs at the end, and its frames go on."""
    back = [*start(7 * S, "body", "application", "A")]
    return replace(
        record,
        boots=(*record.boots.items, *back),
        executions=(*record.executions.items, ran(7 * S + 30 * MS, OLD["body"], "A")),
    )


def gateway_dead(record: RunRecord) -> RunRecord:
    return replace(record, boots=(*record.boots.items, boot(7 * S, "gateway", "bootloader")))
