"""The timeline of a run: server, agent, each ECU and each bus as lanes over one axis."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.records import EcuLayout, PowerRecord, RunRecord
from bench.evidence.axis import Ruler, make_axis
from bench.evidence.bus_view import channels_of
from bench.evidence.dm_story import path_of
from bench.evidence.uds_story import Talk
from bench.evidence.view import AXIS_WIDTH, Lane, Mark, Span, Timeline

AGENT, SERVER = "agent", "server"
FRAME_LINE = b'"kind":"frame"'
STORAGE_WORDS = ("disk", "storage", "sync", "append", "replace", "delete")
INSTALL_PAUSE_NS = 3 * NS_PER_S
TALK_PAUSE_NS = 50 * NS_PER_MS
SECURITY_ACCESS, WRITE_DID = 0x27, 0x2E
PLACES = 1000
"""About as many as an image has pixels."""


class Happening(NamedTuple):
    """A line of the journal other than a frame, without its payload's details."""

    t_ns: int
    part: str
    kind: str
    word: str


def happenings(journal: Iterable[bytes]) -> list[Happening]:
    """Return the journal's lines but frames (of which there are thousands, and records have them)."""
    found = []
    for line in journal:
        if FRAME_LINE not in line:
            entry = json.loads(line)
            word = str(entry["payload"]).split(" ", 1)[0]
            found.append(Happening(entry["t"], entry["part"], entry["kind"], word))
    return found


def timeline_of(record: RunRecord, talks: Sequence[Talk], journal: Sequence[bytes]) -> Timeline:
    """Return all lanes of `record`."""
    lines = happenings(journal)
    frames = record.frames.items
    axis = make_axis(
        [
            *(frame.t_ns for frame in frames),
            *(line.t_ns for line in lines),
            *(event.t_ns for event in record.server_events.items),
            *(http.t_ns for http in record.http.items),
            *(power.t_ns for power in record.power.items),
        ],
        record.ended_t_ns,
    )
    ruler = Ruler(axis)
    lanes = [_server_lane(record), _agent_lane(record, talks, lines, ruler)]
    lanes += [_ecu_lane(record, layout, talks, lines, ruler) for layout in record.layouts]
    lanes += _bus_lanes(record, ruler)
    faults = tuple(
        Mark(t_ns=fault.t_ns, kind="fault", label=fault.point) for fault in record.faults if fault.t_ns is not None
    )
    return Timeline(
        ended_t_ns=record.ended_t_ns, axis=axis, lanes=tuple(_thinned(lane, ruler) for lane in lanes), faults=faults
    )


def _server_lane(record: RunRecord) -> Lane:
    marks = tuple(
        Mark(t_ns=event.t_ns, kind=_event_kind(event.kind), label=f"#{number} {event.kind}")
        for number, event in enumerate(record.server_events.items, start=1)
    )
    sessions: list[Span] = []
    started: int | None = None
    for event in record.server_events.items:
        if event.kind == "session_started":
            started = event.t_ns
        elif event.kind == "session_ended" and started is not None:
            sessions.append(_span(started, event.t_ns, "session", "DM session"))
            started = None
    subtitle = f"{len(record.server_events.items)} events"
    return Lane(id=SERVER, title=SERVER, subtitle=subtitle, activities=tuple(sessions), marks=marks)


def _event_kind(kind: str) -> str:
    if kind in ("order_placed", "order_closed", "component_result"):
        return "decision"
    return "refusal" if kind in ("message_refused", "order_refused_by_vehicle") else "event"


def _agent_lane(record: RunRecord, talks: Sequence[Talk], lines: Sequence[Happening], ruler: Ruler) -> Lane:
    storage = [x.t_ns for x in lines if x.part == AGENT and any(word in x.kind for word in STORAGE_WORDS)]
    marks = [
        Mark(t_ns=http.t_ns, kind="exchange", label=f"{http.method} {path_of(http.url)} {http.status}")
        for http in record.http.items
        if http.part == AGENT
    ]
    return Lane(
        id=AGENT,
        title=AGENT,
        subtitle=f"{len(marks)} HTTP exchanges",
        states=_power_states(record, AGENT),
        activities=(*_downloads(record), *_installs(record, talks)),
        marks=(*marks, *_power_marks(record.power.items, AGENT)),
        densities=(ruler.density("storage", "storage writes", storage),) if storage else (),
    )


def _downloads(record: RunRecord) -> list[Span]:
    spans: list[Span] = []
    records = sorted(record.http.items, key=lambda http: http.t_ns)
    for before, http in pairwise(records):
        if http.method == "GET" and "/packages/" in http.url:
            spans.append(_span(before.t_ns, http.t_ns, "download", f"download, {len(http.response_body)} bytes"))
    return _joined(spans, TALK_PAUSE_NS)


def _installs(record: RunRecord, talks: Sequence[Talk]) -> list[Span]:
    """From the first to the last step that serves the new image (not the reading of versions, not the confirming)."""
    spans: list[Span] = []
    for layout in record.layouts:
        mine = [x for x in talks if x.ecu == layout.ecu and x.request.sender == AGENT and _installs_with(x, layout)]
        spans += _joined(
            [_span(x.request.t_start_ns, x.end_t_ns, "install", f"install {layout.ecu}") for x in mine],
            INSTALL_PAUSE_NS,
        )
    return spans


def _installs_with(talk: Talk, layout: EcuLayout) -> bool:
    return talk.sid in (SECURITY_ACCESS, WRITE_DID) or activity(talk, layout) != "talk"


def _ecu_lane(
    record: RunRecord,
    layout: EcuLayout,
    talks: Sequence[Talk],
    lines: Sequence[Happening],
    ruler: Ruler,
) -> Lane:
    ecu = layout.ecu
    mine = [line for line in lines if line.part == ecu]
    programs = [line.t_ns for line in mine if "program" in (line.kind, line.word) or line.kind.endswith(".program")]
    erases = [line.t_ns for line in mine if "erase" in (line.kind, line.word) or line.kind.endswith(".erase")]
    densities = []
    if programs:
        densities.append(ruler.density("program", "flash programs", programs))
    if erases:
        densities.append(ruler.density("erase", "flash erases", erases))
    executions = [
        Mark(t_ns=x.t_ns, kind="execute", label=f"executes bank {x.bank}, {version_of(record, x.header)}")
        for x in record.executions.items
        if x.ecu == ecu
    ]
    return Lane(
        id=ecu,
        title=ecu,
        subtitle=_place(layout),
        states=_ecu_states(record, ecu),
        activities=_activities([x for x in talks if x.ecu == ecu], layout),
        marks=(*executions, *_power_marks(record.power.items, ecu)),
        densities=tuple(densities),
    )


def _place(layout: EcuLayout) -> str:
    """Return identifier and channel, with the address byte after a slash where there is one."""
    extension = "" if layout.request_extension is None else f"/{layout.request_extension:02X}"
    return f"0x{layout.request_id:X}{extension} on {layout.channel}"


def version_of(record: RunRecord, header: bytes) -> str:
    """Return which reference image `header` belongs to, in words."""
    for reference in record.references:
        if reference.header == header:
            return f"{reference.role} {reference.version}"
    return "an image nobody signed for this run"


def _ecu_states(record: RunRecord, ecu: str) -> tuple[Span, ...]:
    """Off, boot manager, bootloader, application; only on and off where boots were not observed."""
    changes = [(power.t_ns, "powered" if power.on else "off", "") for power in record.power.items if power.part == ecu]
    for boot in record.boots.items:
        if boot.ecu == ecu:
            bank = f" {boot.bank}" if boot.bank else ""
            changes.append((boot.t_ns, boot.stage, f"{boot.stage}{bank}: {boot.reason}"))
    changes.sort(key=lambda change: change[0])
    ends = [t_ns for t_ns, _, _ in changes[1:]] + [record.ended_t_ns]
    return tuple(
        _span(t_ns, end, kind, label or ("power off" if kind == "off" else "power on"))
        for (t_ns, kind, label), end in zip(changes, ends, strict=True)
        if end > t_ns
    )


def _power_states(record: RunRecord, part: str) -> tuple[Span, ...]:
    changes = [(power.t_ns, power.on) for power in record.power.items if power.part == part]
    ends = [t_ns for t_ns, _ in changes[1:]] + [record.ended_t_ns]
    return tuple(
        _span(t_ns, end, "powered" if on else "off", "power on" if on else "power off")
        for (t_ns, on), end in zip(changes, ends, strict=True)
    )


def _power_marks(power: Sequence[PowerRecord], part: str) -> list[Mark]:
    marks = []
    was_on = False
    for record in power:
        if record.part != part:
            continue
        if not record.on:
            marks.append(Mark(t_ns=record.t_ns, kind="cut", label=f"power cut: {record.cause}"))
        elif was_on:
            marks.append(Mark(t_ns=record.t_ns, kind="restore", label=f"power restored: {record.cause}"))
        was_on = True
    return marks


def _activities(talks: Sequence[Talk], layout: EcuLayout) -> tuple[Span, ...]:
    spans: list[Span] = []
    for x in talks:
        kind = activity(x, layout)
        spans.append(_span(x.request.t_start_ns, x.end_t_ns, kind, kind))
    return tuple(_joined(spans, TALK_PAUSE_NS))


def activity(talk: Talk, layout: EcuLayout) -> str:
    """Return what a talk is for: erase, transfer, check, reset or talk."""
    routine = talk.routine()
    if routine == layout.erase_routine:
        return "erase"
    if talk.sid in (0x34, 0x36, 0x37):
        return "transfer"
    if routine == layout.check_routine:
        return "check"
    return "reset" if talk.sid == 0x11 else "talk"


def _bus_lanes(record: RunRecord, ruler: Ruler) -> list[Lane]:
    if not record.frames.watched:
        return []
    lanes = []
    for channel in channels_of(record):
        density = ruler.density("frame", "frames", (f.t_ns for f in record.frames.items if f.channel == channel))
        lanes.append(Lane(id=channel, title=channel, subtitle=f"{density.total:,} frames", densities=(density,)))
    return lanes


def _thinned(lane: Lane, ruler: Ruler) -> Lane:
    """Keep one mark and one activity of a kind per place that the eye can tell apart."""

    def place(t_ns: int) -> int:
        return int(ruler.x(t_ns) * PLACES / AXIS_WIDTH)

    marks = {(mark.kind, place(mark.t_ns)): mark for mark in reversed(lane.marks)}
    spans: dict[tuple[str, int, int], Span] = {}
    for span in lane.activities:
        spans.setdefault((span.kind, place(span.start_t_ns), place(span.end_t_ns)), span)
    states = {(place(span.start_t_ns), place(span.end_t_ns), span.kind): span for span in lane.states}
    return lane.model_copy(
        update={
            "marks": tuple(sorted(marks.values(), key=lambda mark: mark.t_ns)),
            "activities": tuple(spans.values()),
            "states": tuple(states.values()),
        }
    )


def _span(start_t_ns: int, end_t_ns: int, kind: str, label: str) -> Span:
    return Span(start_t_ns=start_t_ns, end_t_ns=max(start_t_ns, end_t_ns), kind=kind, label=label)


def _joined(spans: Sequence[Span], pause_ns: int) -> list[Span]:
    """Join neighbours of one kind that a short pause parts."""
    joined: list[Span] = []
    for span in spans:
        last = joined[-1] if joined else None
        if last and last.kind == span.kind and span.start_t_ns - last.end_t_ns <= pause_ns:
            joined[-1] = last.model_copy(update={"end_t_ns": max(last.end_t_ns, span.end_t_ns)})
        else:
            joined.append(span)
    return joined
