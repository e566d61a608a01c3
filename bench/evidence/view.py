"""`view.json`: what the pages show of a run besides RUN; written beside `verdicts.json`, read by the dashboard.

Everything is a value that a page can print. Times are nanoseconds of the run; positions on the timeline are
parts of 1000 of its width.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config.output import OutputModel

BINS = 250
"""Columns into which a timeline folds thousands of frames or flash operations."""
AXIS_WIDTH = 1000.0

Outcome = Literal["ok", "bad", "none", "info"]


class Anchor(OutputModel):
    """One corner of the time axis: this instant stands at this position (0 to 1000); linear in between."""

    t_ns: int
    x: float


class Gap(OutputModel):
    """A stretch without any event that the axis shortens; drawn as a break with its true length."""

    start_t_ns: int
    end_t_ns: int


class Axis(OutputModel):
    """The time axis: its corners, and the stretches it shortens."""

    anchors: tuple[Anchor, ...] = Field(min_length=2)
    gaps: tuple[Gap, ...]


class Span(OutputModel):
    """Something that lasted: `kind` chooses the colour."""

    start_t_ns: int
    end_t_ns: int
    kind: str
    label: str


class Mark(OutputModel):
    """Something that happened at one instant: cut, restore, boot, execute, server event, exchange, fault."""

    t_ns: int
    kind: str
    label: str


class Density(OutputModel):
    """How often something happened, per column of the axis; `total` is their sum."""

    kind: str
    label: str
    counts: tuple[int, ...]
    total: int


class Lane(OutputModel):
    """One participant on the timeline; states, then activities, then marks, then density from top to bottom."""

    id: str
    title: str
    subtitle: str
    states: tuple[Span, ...] = ()
    activities: tuple[Span, ...] = ()
    marks: tuple[Mark, ...] = ()
    densities: tuple[Density, ...] = ()


class Timeline(OutputModel):
    """All lanes over one axis; `faults` cross every lane."""

    ended_t_ns: int
    axis: Axis
    lanes: tuple[Lane, ...]
    faults: tuple[Mark, ...]


class Step(OutputModel):
    """One line of the sequence: an arrow from `source` to `target`, or a note at `source` (no target).

    `count` messages of one kind may be folded into one arrow that then lasts until `end_t_ns`.
    """

    t_ns: int
    end_t_ns: int
    kind: Literal["http", "uds", "functional", "power", "boot", "event", "left_out"]
    source: str
    target: str | None
    text: str
    detail: str
    outcome: Outcome
    count: int


class Sequence(OutputModel):
    """The messages of a run between its participants, in order."""

    participants: tuple[str, ...]
    steps: tuple[Step, ...]


class Comparison(OutputModel):
    """Server said, vehicle is: one property of one ECU; `agrees` is None when one side is unknown."""

    ecu: str
    what: str
    server: str
    vehicle: str
    agrees: bool | None


class Reading(OutputModel):
    """A data identifier that the bench's own tester read after the run; `value` None: nothing answered."""

    t_ns: int
    ecu: str
    did: int
    name: str
    value: str | None


class Bank(OutputModel):
    """One image place of an ECU after the run.

    `cells` maps the bank, first address first, one letter a cell: E erased, T equals the target image,
    I equals the installed image, B equals both, X anything else, ~ holds cells that read unstably.
    """

    ecu: str
    bank: str
    linked_base: int
    size_bytes: int
    mark: str
    header: str
    image: str
    role: Literal["target", "installed", "other", "empty", "unreadable"]
    running: bool
    cells: str


class FlashCount(OutputModel):
    """How much an ECU's flash was worked on."""

    ecu: str
    erases: int
    programs: int
    driver_faults: tuple[str, ...]
    most_worn: str = ""
    """The sector that was erased most often, how often, and its rating; empty where nobody counts."""


class FaultRow(OutputModel):
    """A fault as it was injected; `t_ns` is None when its point was never reached."""

    fault_class: str
    point: str
    parameters: str
    t_ns: int | None
    restored_t_ns: int | None


class EventRow(OutputModel):
    """An entry of the DM server's event log; `seq` is its place in the log as pages show it, from 1.

    The server itself numbers the events of each vehicle, and those of no vehicle, by themselves.
    """

    seq: int
    t_ns: int
    kind: str
    data: str


class BusRow(OutputModel):
    """One CAN channel; shares and peak are None where the bit rate is not known or no frame crossed."""

    channel: str
    frames: int
    data_bytes: int
    senders: str
    peak_frames_per_s: int
    bitrate_bit_s: int | None
    data_bitrate_bit_s: int | None = None
    mean_load: float | None
    peak_load: float | None


class InputRow(OutputModel):
    """A copy of an input file below `inputs/`."""

    name: str
    size_bytes: int
    sha256: str
