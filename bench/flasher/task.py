"""What a flashing job is made of: tasks, small values that say what is to be done next and take what came of it.

A job's agenda is a tuple of tasks (`bench.flasher.flash_state`); the first one is at work. It asks for one thing at a
time, gets the answer or the failure, and is replaced by what it becomes, or by the tasks that follow from it. Nothing
here waits, sends or reads a clock, and no task keeps anything outside of its own fields: a job stopped anywhere is
equal to any other one with an equal agenda.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from bench.core.clock import NS_PER_MS, utc
from bench.flasher.belief import Belief
from bench.flasher.credentials import Identity
from bench.flasher.errors import FlasherError
from bench.flasher.notes import JobNote, Note
from bench.flasher.packing import packed
from bench.flasher.recipe import Recipe, Step, TesterPresent
from bench.flasher.services import Call, SessionTiming, tester_present
from bench.flasher.software import Part, Segment, Software
from bench.flasher.state import DurableState, JobState
from bench.wire.download_format import PLAIN

# What never changes during a job -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes of the job, named instead of copied: those of a segment, from `begin` on."""

    part: int
    segment: int = 0
    begin: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """A job's constants: what shall be programmed, by which recipe, and when it began (`started_ns`)."""

    ecu: str
    software: Software
    recipe: Recipe
    started_ns: int
    epoch_ns: int
    can_power_cycle: bool = False
    identity: Identity | None = None
    """The tester's certificate and key, where the recipe wants them (0x29)."""
    _streams: dict[Piece, bytes] = field(default_factory=dict, compare=False, repr=False)
    """What was packed already: made of the rest, so it decides nothing."""

    def part(self, piece: Piece) -> Part:
        """Return the part that a piece belongs to."""
        return self.software.parts[piece.part]

    def segment(self, piece: Piece) -> Segment:
        """Return the segment that a piece is of."""
        return self.part(piece).segments[piece.segment]

    def address(self, piece: Piece) -> int:
        """Return where a piece goes to."""
        return self.segment(piece).address + piece.begin

    def size_bytes(self, piece: Piece) -> int:
        """Return how many bytes of memory a piece fills."""
        return self.segment(piece).size_bytes - piece.begin

    def packs(self, piece: Piece) -> bool:
        """Return whether the recipe packs a piece, which may take a while (see `Pack`)."""
        return self.part(piece).data_format is None and self.recipe.download != PLAIN

    def data_format(self, piece: Piece) -> int:
        """Return the dataFormatIdentifier of a piece."""
        known = self.part(piece).data_format
        return self.recipe.download.data_format if known is None else known

    def stream(self, piece: Piece) -> bytes:
        """Return what is sent for a piece; what the recipe packs is packed once."""
        known = self._streams.get(piece)
        if known is None:
            data = self.segment(piece).data[piece.begin :]
            known = packed(data, self.address(piece), self.recipe.download) if self.packs(piece) else data
            self._streams[piece] = known
        return known


# What a task may ask for -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Something to be done by whoever drives the job; what came of it goes to the task that asked."""

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them."""
        return continuing(self, now_ns)


@dataclass(frozen=True, slots=True)
class Request(Ask):
    """One request to the ECU, by its own address; gives the decoded answer. `newest`: see `exchange.Wanted`."""

    call: Call[Any]
    newest: bool = False

    def state(self, now_ns: int) -> tuple[object, ...]:
        """See `Ask`: the bytes are those of the exchange, how they are read follows from the task."""
        del now_ns
        return ("Request",)


@dataclass(frozen=True, slots=True)
class Rest(Ask):
    """Nothing is done until `until_ns`."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class Silence(Ask):
    """No tester present until `until_ns`; gives False at once where other jobs of the bus need it."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class Prepare(Ask):
    """A functional request on every bus of the job, and what takes it back; gives False when the ECU's own bus did not
    get it because others are being programmed there."""

    payload: bytes
    undo: tuple[Step, bytes]


@dataclass(frozen=True, slots=True)
class EnterProgramming(Ask):
    """From now on a functional request would hurt this job's ECU."""


@dataclass(frozen=True, slots=True)
class Restore(Ask):
    """A functional request that switches on again, by the step that does it."""

    step: Step
    payload: bytes


@dataclass(frozen=True, slots=True)
class LeaveBuses(Ask):
    """What this job alone still needed switched off is switched on; best effort."""


@dataclass(frozen=True, slots=True)
class PowerCycle(Ask):
    """The ECU's supply goes off for `off_ms`."""

    off_ms: int


@dataclass(frozen=True, slots=True)
class MakeKey(Ask):
    """The key for a seed."""

    seed: bytes


@dataclass(frozen=True, slots=True)
class Pack(Ask):
    """`Plan.stream` of a piece, which takes its time."""

    piece: Piece


@dataclass(frozen=True, slots=True)
class Keep(Ask):
    """What must outlive the tester is stored before anything else is done."""

    durable: DurableState


# Tasks -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """What came of one event: exactly one of `ask`, `error`, `goto`, or none of them (the task is over).

    `task` is what the one that asks becomes, `then` what is done before the rest of the agenda.
    """

    job: JobState
    task: Task | None = None
    ask: Ask | None = None
    then: tuple[Task, ...] = ()
    error: FlasherError | None = None
    goto: Step | None = None
    timing: SessionTiming | None = None
    """What the ECU said of its time limits."""
    belief: Belief | None = None
    notes: tuple[JobNote, ...] = ()


@dataclass(frozen=True, slots=True)
class At:
    """Where a task stands: the job's constants, what it has brought about so far, and the instant."""

    plan: Plan
    job: JobState
    now_ns: int

    @property
    def recipe(self) -> Recipe:
        """Return the job's recipe."""
        return self.plan.recipe

    @property
    def date(self) -> datetime:
        """Return the date of this instant."""
        return utc(self.now_ns, self.plan.epoch_ns)

    def after_ms(self, duration_ms: int) -> int:
        """Return the instant so many milliseconds from now."""
        return self.now_ns + duration_ms * NS_PER_MS

    def changed(self, **changes: Any) -> At:
        """Return the same place with the job's state changed."""
        return replace(self, job=replace(self.job, **changes))

    def ask(self, task: Task, ask: Ask, *notes: JobNote, job: JobState | None = None) -> Turn:
        """Return the turn in which `task` asks for something."""
        return Turn(job or self.job, task=task, ask=ask, notes=notes)

    def request(self, task: Task, call: Call[Any], *notes: JobNote, newest: bool = False) -> Turn:
        """Return the turn in which `task` makes a request."""
        return Turn(self.job, task=task, ask=Request(call, newest), notes=notes)

    def over(self, *then: Task, job: JobState | None = None, notes: tuple[JobNote, ...] = ()) -> Turn:
        """Return the turn in which a task is over, and `then` is what follows from it."""
        return Turn(job or self.job, then=then, notes=notes)

    def fail(self, error: FlasherError, *notes: JobNote, job: JobState | None = None) -> Turn:
        """Return the turn in which the step that a task belongs to has failed."""
        return Turn(job or self.job, error=error, notes=notes)


@dataclass(frozen=True, slots=True)
class Task(ABC):
    """A part of a job. Its fields are all that it knows; what ends in `until_ns` is an instant."""

    @abstractmethod
    def begin(self, at: At) -> Turn:
        """Return what is done first."""

    def answered(self, at: At, value: Any) -> Turn:
        """Return what the answer leads to: nothing further, unless a task says otherwise."""
        del value
        return at.over()

    def failed(self, at: At, error: FlasherError) -> Turn:
        """Return what a failure leads to: that of the whole step, unless a task says otherwise."""
        return at.fail(error)

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them."""
        return continuing(self, now_ns)


@dataclass(frozen=True, slots=True)
class Pause(Task):
    """Wait on the job's clock; the ECU's session is kept where its recipe has that done by its own address."""

    duration_ms: int
    kept_alive: bool = True

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        timing = at.recipe.timing
        physical = self.kept_alive and timing.tester_present is TesterPresent.PHYSICAL
        if physical and self.duration_ms > timing.tester_present_interval_ms:
            return at.over(_LongPause(at.after_ms(self.duration_ms)))
        return at.ask(self, Rest(at.after_ms(self.duration_ms)))


@dataclass(frozen=True, slots=True)
class _LongPause(Task):
    """A pause in which S3Server would run out (ISO 14229-2): 3E 00 to the ECU's own address now and then."""

    until_ns: int

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.ask(self, Rest(min(self.until_ns, at.after_ms(at.recipe.timing.tester_present_interval_ms))))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        del value
        return at.over() if at.now_ns >= self.until_ns else at.over(_Present(), self)


@dataclass(frozen=True, slots=True)
class _Present(Task):
    """3E 00, answered; best effort: what follows will tell whether the session is still there."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, tester_present())

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        return at.over(notes=(noted("tester_present_failed", error=error),))


def continuing(value: Any, now_ns: int) -> tuple[object, ...]:
    """Return a value's class and fields; an instant, whose name ends in `until_ns`, as what is left of it.

    Instants that are over all count the same: nobody asks how long ago they were.
    """
    kind = type(value)
    return (kind.__name__, *[_field(name, getattr(value, name), now_ns) for name in _names(kind)])


def _names(kind: type[Any]) -> tuple[str, ...]:
    """Return the names of a class's fields, looked up once."""
    known = _NAMES.get(kind)
    if known is None:
        known = _NAMES[kind] = tuple(each.name for each in fields(kind))
    return known


_NAMES: dict[type[Any], tuple[str, ...]] = {}


def _field(name: str, value: Any, now_ns: int) -> object:
    if name.endswith("until_ns") and value is not None:
        return max(0, value - now_ns)
    return cause(value) if isinstance(value, BaseException) else value


def cause(error: BaseException) -> tuple[str, str]:
    """Return what of an error decides what follows it: its class and its text, which names all its fields."""
    return type(error).__name__, str(error)


def noted(name: str, /, *, counted: bool = True, **details: object) -> Note:
    """Return a note: something worth a line, and a count where `Counts` has one of that name."""
    return Note(name, tuple(details.items()), counted)
