"""One stream of events out of a record, in order of time: what rules read while a run goes on, or afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Union

from bench.core.frame_run import FrameRunRecord, Frames
from bench.core.records import (
    BootRecord,
    ConditionRecord,
    Crash,
    DidReading,
    DtcReading,
    EndedBy,
    ExecutionRecord,
    FaultRecord,
    FlashDump,
    FlashOperation,
    FrameRecord,
    HttpRecord,
    Lateness,
    PowerRecord,
    RunRecord,
    ServerEvent,
    ServerViewRecord,
    StoredFile,
    VoltageRecord,
)
from bench.oracle.facts import Coverage, coverage_of


@dataclass(frozen=True, slots=True)
class FaultStruck:
    """A fault was injected."""

    t_ns: int
    fault_class: str
    point: str


@dataclass(frozen=True, slots=True)
class FaultOver:
    """A fault is over."""

    t_ns: int
    fault_class: str
    point: str


@dataclass(frozen=True, slots=True)
class BootloaderRun:
    """An ECU began to execute its bootloader (an `ExecutionRecord` by itself is the run of an application)."""

    t_ns: int
    run: ExecutionRecord


@dataclass(frozen=True, slots=True)
class ExecutionEnded:
    """From this instant on no byte of a run is executed any more; `began_t_ns` and `bank` say of which."""

    t_ns: int
    ecu: str
    bank: str
    began_t_ns: int
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class AgentDisk:
    """What lay on the agent's disk after the run."""

    t_ns: int
    files: tuple[StoredFile, ...]


@dataclass(frozen=True, slots=True)
class DumpBefore:
    """The memory of an ECU as it was before the story."""

    t_ns: int
    dump: FlashDump


@dataclass(frozen=True, slots=True)
class DriveBegan:
    """The story is over; from now on the vehicle is driven."""

    t_ns: int


@dataclass(frozen=True, slots=True)
class DriveEnded:
    """The drive is over: what the bench does from now on is its own reading, with a tester's computer gone."""

    t_ns: int


@dataclass(frozen=True, slots=True)
class Ended:
    """The run is over: how it came to its end, how every source was watched, and how late the bench itself was."""

    t_ns: int
    coverage: Coverage
    ended_by: EndedBy
    crash: Crash | None = None
    lateness: Lateness | None = None


RawEvent = Union[  # noqa: UP007  # a name for many, read at run time
    FaultStruck, FaultOver, PowerRecord, VoltageRecord,
    ExecutionEnded, BootRecord, ExecutionRecord, BootloaderRun, FlashOperation,
    ConditionRecord, HttpRecord, FrameRecord, FrameRunRecord, ServerEvent, DidReading, DtcReading, DumpBefore,
    DriveBegan, DriveEnded, FlashDump, AgentDisk, ServerViewRecord,
    Ended,
]  # fmt: skip
"""What a bench observes; `bench/oracle/bus.py` adds what the frames mean."""

Event = Any
"""A `RawEvent` or an event of `bench/oracle/bus.py`: rules name the kinds that they take."""


def events(record: RunRecord) -> Iterator[RawEvent]:
    """Yield everything that a record holds, in order of time.

    Of equal instants causes come before effects: faults, the supply, what ends, boots, what begins to execute, flash,
    the car, the network, frames, the server, readings. What is read once the run is over comes last. A run of frames
    comes whole, at its last frame's end, where nothing else falls between its frames.
    """
    runs = (*record.executions.items, *record.bootloader_runs.items)
    ends = [
        (r, ExecutionEnded(r.ended_t_ns, r.ecu, r.bank, r.t_ns, r.end_cause)) for r in runs if r.ended_t_ns is not None
    ]
    timed: list[Iterable[Any]] = [
        _struck(record.faults),
        _over(record.faults),
        record.power.items,
        record.voltages.items,
        [ended for run, ended in ends if run.t_ns != ended.t_ns],
        record.boots.items,
        record.executions.items,
        [BootloaderRun(run.t_ns, run) for run in record.bootloader_runs.items],
        # A power cut in the very instant of the jump: a run of no length ends behind its beginning, or it would go on.
        [ended for run, ended in ends if run.t_ns == ended.t_ns],
        record.flash_operations.items,
        record.conditions.items,
        sorted(record.http.items, key=lambda exchange: exchange.last_byte_ns),
        record.frames.items.parts if isinstance(record.frames.items, Frames) else record.frames.items,
        sorted(record.server_events.items, key=lambda event: event.seq),
        record.readings.items,
        record.dtcs.items,
        [] if record.drive_after_ns is None else [DriveBegan(record.drive_after_ns[0])],
        [] if record.drive_after_ns is None else [DriveEnded(record.drive_after_ns[1])],
    ]
    entries = _in_order([entry for rank, source in enumerate(timed) for entry in _ranked(rank, source)])
    began_ns = 0 if record.surroundings is None else record.surroundings.began_t_ns
    yield from (DumpBefore(began_ns, dump) for dump in record.memory_before.items)
    for *_, event in entries:
        yield event
    yield from record.server_view.items
    yield from record.flash.items
    if record.agent_files.watched:
        yield AgentDisk(record.ended_t_ns, tuple(record.agent_files.items))
    yield Ended(record.ended_t_ns, coverage_of(record), record.ended_by, record.crash, record.lateness)


_Entry = tuple[int, int, int, Any]
"""Instant, rank of its source, number in that: unique together, so that sorting never compares events."""


def _in_order(entries: list[_Entry]) -> list[_Entry]:
    """Sort the entries; runs of frames between whose frames another one falls are taken apart."""
    entries.sort()
    for before, (_, rank, number, event) in pairwise(entries):
        if isinstance(event, FrameRunRecord) and before[:3] > (event.times.first_ns, rank, number):
            return _in_order(_taken_apart(entries))
    return entries


def _taken_apart(entries: list[_Entry]) -> list[_Entry]:
    """Put frames in the place of every run behind an entry that came after the run's first frame."""
    found, before = entries[:1], entries[0]
    for entry in entries[1:]:
        _, rank, number, event = entry
        if isinstance(event, FrameRunRecord) and before[:3] > (event.times.first_ns, rank, number):
            found += [(frame.t_ns, rank, number, frame) for frame in event.frames()]
        else:
            found.append(entry)
        before = entry
    return found


def _ranked(rank: int, source: Iterable[Any]) -> Iterator[_Entry]:
    """Give every event of a source its place. The server's log keeps its own order, whatever its clock says."""
    reached_ns = -(1 << 63)
    for n, event in enumerate(source):
        reached_ns = max(reached_ns, event.t_ns) if isinstance(event, ServerEvent) else instant_ns(event)
        yield reached_ns, rank, n, event


def instant_ns(event: Any) -> int:
    """Return when an event is read: an exchange once its last byte came, since nobody can judge a part of a package."""
    if isinstance(event, FrameRunRecord):
        return event.times.last_ns
    if isinstance(event, FlashDump):
        return 0  # read once the run is over, whenever that was
    return event.last_byte_ns if isinstance(event, HttpRecord) else event.t_ns


def _struck(faults: tuple[FaultRecord, ...]) -> list[FaultStruck]:
    return [FaultStruck(f.t_ns, f.fault_class, f.point) for f in faults if f.t_ns is not None]


def _over(faults: tuple[FaultRecord, ...]) -> list[FaultOver]:
    return [FaultOver(f.restored_t_ns, f.fault_class, f.point) for f in faults if f.restored_t_ns is not None]
