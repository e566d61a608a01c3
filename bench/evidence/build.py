"""From a finished run to what its pages show."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config.output import OutputModel, Tool, this_tool
from bench.core.canonical import sha256_hex
from bench.core.clock import wall_utc
from bench.evidence.bus_view import buses_of
from bench.evidence.compare_view import comparisons_of, readings_of
from bench.evidence.contract import values_text
from bench.evidence.memory_view import banks_of, flash_counts
from bench.evidence.sequence_view import sequence_of
from bench.evidence.timeline_view import timeline_of
from bench.evidence.uds_story import talks
from bench.evidence.view import (
    Bank,
    BusRow,
    Comparison,
    EventRow,
    FaultRow,
    FlashCount,
    InputRow,
    Reading,
    Sequence,
    Timeline,
)
from bench.oracle.result import Invariant, RunResult

MAX_EVENTS = 1000


class View(OutputModel):
    """Everything a page shows of a run besides RUN."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    tool: Tool
    written_utc: str
    title: str
    vin: str
    ecus: tuple[str, ...]
    defect: str | None
    notes: tuple[str, ...]
    not_observed: tuple[Invariant, ...]
    blames: dict[Invariant, str]
    expects_update: bool
    timeline: Timeline
    sequence: Sequence
    comparisons: tuple[Comparison, ...]
    readings: tuple[Reading, ...]
    banks: tuple[Bank, ...]
    flash: tuple[FlashCount, ...] | None
    faults: tuple[FaultRow, ...]
    events: tuple[EventRow, ...]
    events_left_out: int
    buses: tuple[BusRow, ...] | None
    inputs: tuple[InputRow, ...]


def view_of(result: RunResult) -> View:
    """Return the content of `view.json`; `written_utc` is the machine's date (never part of the trace)."""
    record = result.record
    said = talks(record)
    return View(
        tool=this_tool(),
        written_utc=wall_utc().strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        title=result.title,
        vin=record.vin,
        ecus=tuple(layout.ecu for layout in record.layouts),
        defect=result.defect,
        notes=result.notes,
        not_observed=result.verdict.not_observed,
        blames={item.id: item.blame for item in result.verdict.invariants if item.blame is not None},
        expects_update=record.expects_update,
        timeline=timeline_of(record, said, result.journal),
        sequence=sequence_of(record, said),
        comparisons=comparisons_of(record),
        readings=readings_of(record),
        banks=banks_of(record),
        flash=flash_counts(record),
        faults=_faults(result),
        events=_events(result),
        events_left_out=max(0, len(record.server_events.items) - MAX_EVENTS),
        buses=buses_of(record, result.inputs),
        inputs=tuple(
            InputRow(name=name, size_bytes=len(data), sha256=sha256_hex(data))
            for name, data in sorted(result.inputs.items())
        ),
    )


def _faults(result: RunResult) -> tuple[FaultRow, ...]:
    return tuple(
        FaultRow(
            fault_class=fault.fault_class,
            point=fault.point,
            parameters=values_text(fault.parameters),
            t_ns=fault.t_ns,
            restored_t_ns=fault.restored_t_ns,
        )
        for fault in result.record.faults
    )


def _events(result: RunResult) -> tuple[EventRow, ...]:
    """Return the server's log, numbered through; of a very long one its beginning and its end."""
    rows = list(enumerate(result.record.server_events.items, start=1))
    shown = rows if len(rows) <= MAX_EVENTS else (*rows[: MAX_EVENTS // 2], *rows[-MAX_EVENTS // 2 :])
    return tuple(
        EventRow(seq=number, t_ns=event.t_ns, kind=event.kind, data=values_text(event.data)) for number, event in shown
    )
