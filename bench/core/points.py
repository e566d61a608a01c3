"""Fault points: every part announces what it does; a golden run numbers them; an injector is armed at one.

Grammar (`docs/contracts.md`): `<class>:<part>:<event>:<n>[:phase=<name>][:before|torn=<k>|after]`; `<n>` counts
from 1, or is `first`, `middle`, `last` (of the phase, when one is named), which a golden run turns into a number.
"""

from __future__ import annotations

import contextvars
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from bench.core.clock import Clock
from bench.core.errors import InputError
from bench.core.frame_run import RunTimes

SYMBOLS = ("first", "middle", "last")
GRAMMAR = "<class>:<part>:<event>:<n|first|middle|last>[:phase=<name>][:before|torn=<k>|after]"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*\Z")
_CLASS = re.compile(r"[a-z0-9][a-z0-9_.-]*\Z")


@dataclass(frozen=True, slots=True)
class EventKind:
    """A kind of event that parts announce; the part that announces it registers it (entry point `otabench.events`).

    `announced_by` says which kinds of part do: `ecu`, `agent`, or what a package brings.
    """

    name: str
    title: str
    announced_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FaultPoint:
    """Where a fault strikes. `torn_units` is set when it strikes inside the operation, that many units done."""

    fault_class: str
    part: str
    event: str
    n: int | str
    phase: str | None = None
    where: str = "before"
    torn_units: int | None = None

    @classmethod
    def parse(cls, text: str) -> FaultPoint:
        """Read the text form; `InputError` names what is wrong in it.

        Which classes and events there are, core does not know: `bench.faults.catalogue.check_fault` does.
        """
        fields = text.split(":")
        if len(fields) < 4:
            raise _refused(text, "has too few fields", GRAMMAR)
        fault_class, part, event, number, *more = fields
        if not _CLASS.match(fault_class):
            raise _refused(text, f"bad class {fault_class!r}", "lower-case letters, digits, . - and _")
        for what, name in (("part", part), ("event", event)):
            if not _NAME.match(name):
                raise _refused(text, f"bad {what} {name!r}", "lower-case letters, digits, - and _")
        point = cls(fault_class, part, event, _number(text, number))
        for word in more:
            point = _with_word(text, point, word)
        kinds = ["phase" if word.startswith("phase=") else "where" for word in more]
        if len(set(kinds)) != len(kinds):
            raise _refused(text, "says where twice", GRAMMAR)
        return point

    def __str__(self) -> str:
        text = f"{self.fault_class}:{self.part}:{self.event}:{self.n}"
        if self.phase is not None:
            text += f":phase={self.phase}"
        if self.where == "torn":
            return f"{text}:torn={self.torn_units}"
        return text if self.where == "before" else f"{text}:{self.where}"


def _refused(text: str, why: str, allowed: str) -> InputError:
    return InputError(f"fault point {text!r} cannot be used: {why}", found=text, allowed=allowed)


def _number(text: str, number: str) -> int | str:
    if number in SYMBOLS:
        return number
    if number.isascii() and number.isdigit() and 0 < int(number) < 10**12:
        return int(number)
    raise _refused(text, f"bad number {number!r}", "a number from 1, first, middle or last")


def _with_word(text: str, point: FaultPoint, word: str) -> FaultPoint:
    name, _, value = word.partition("=")
    if word in ("before", "after"):
        return replace(point, where=word)
    if name == "torn" and value.isascii() and value.isdigit() and len(value) < 10:
        return replace(point, where="torn", torn_units=int(value))
    if name == "phase" and _NAME.match(value):
        return replace(point, phase=value)
    raise _refused(text, f"unknown word {word!r}", "phase=<name>, before, torn=<k>, after")


class Occurrence(NamedTuple):
    """One numbered point of a golden run; `units` is how many units the operation has (0 when it has none)."""

    n: int
    t_ns: int
    phase: str
    units: int


class _Many(NamedTuple):
    """Points of a run of frames, the first of them `n`."""

    n: int
    phase: str
    times: RunTimes


class _Shared(NamedTuple):
    """Points that many counters share: operations `start` to `stop` of a list of instants; the first is `n` here."""

    n: int
    phase: str
    instants_ns: list[int]
    start: int
    stop: int


_Seen = tuple[int, int, str, int] | _Many | _Shared


class Announced(NamedTuple):
    """The first `taken` entries of what a counter saw; the list only ever grows."""

    seen: list[_Seen]
    taken: int

    def occurrences(self) -> tuple[Occurrence, ...]:
        """Return the points."""
        found: list[Occurrence] = []
        for seen in self.seen[: self.taken]:
            if isinstance(seen, _Shared):
                instants = enumerate(seen.instants_ns[seen.start : seen.stop], seen.n)
                found.extend(Occurrence(n, t_ns, seen.phase, 0) for n, t_ns in instants)
            elif isinstance(seen, _Many):
                found.extend(Occurrence(n, t_ns, seen.phase, 0) for n, t_ns in enumerate(seen.times.ends_ns(), seen.n))
            else:
                found.append(Occurrence(*seen))
        return tuple(found)


FAR = 1 << 62
Action = Callable[[], None]
_Armed = dict[int, list[tuple[str, int | None, Action]]]


class PointCounter:
    """The points of one (part, event): counts, remembers for the golden table, and fires what is armed."""

    __slots__ = (
        "_armed",
        "_clock",
        "_followed",
        "_given_up",
        "_n",
        "_phases",
        "_seen",
        "_shared",
        "_taken",
        "event",
        "part",
    )

    def __init__(self, clock: Clock, phases: dict[str, str], part: str, event: str) -> None:
        self._clock, self._phases = clock, phases
        self.part, self.event, self._n = part, event, 0
        self._seen: list[_Seen] = []
        self._armed: _Armed = {}
        self._shared: list[int] | None = None
        self._taken = 0
        self._followed = 0
        self._given_up: Callable[[], None] | None = None

    @property
    def n(self) -> int:
        """How many operations there were."""
        self.catch_up()
        return self._n

    def follow(self, instants_ns: list[int], given_up: Callable[[], None]) -> None:
        """Count from now on what is appended to a list that many counters share, until `unfollow`.

        A counter that follows two lists at once takes nothing from either: nobody could tell their order afterwards.
        Nor does one at which something is armed; `given_up` is called when that happens later.
        """
        self.catch_up()
        self._followed += 1
        alone = self._followed == 1 and not self._armed
        self._shared, self._taken = (instants_ns, len(instants_ns)) if alone else (None, 0)
        self._given_up = given_up

    def unfollow(self) -> None:
        """End one `follow`."""
        self.catch_up()
        self._followed -= 1
        self._shared = None

    def follows(self, instants_ns: list[int]) -> bool:
        """Return whether what is appended to the list is counted here."""
        return self._shared is instants_ns

    def catch_up(self) -> None:
        """Take what was appended since."""
        shared = self._shared
        if shared is not None and len(shared) > self._taken:
            stop = len(shared)
            self._seen.append(_Shared(self._n + 1, self._phases.get(self.part, ""), shared, self._taken, stop))
            self._n += stop - self._taken
            self._taken = stop

    def begin(self, units: int = 0) -> int:
        """Announce that the next operation is about to start; returns its number."""
        if self._shared is not None:
            self.catch_up()
        n = self._n = self._n + 1
        self._seen.append((n, self._clock.now_ns(), self._phases.get(self.part, ""), units))
        if self._armed:
            self._fire(n, "before", None)
        return n

    def forget(self) -> None:
        """Count from one again; no operation is under way and nothing is armed."""
        self.catch_up()
        self._n = 0
        self._seen.clear()

    def unarmed(self) -> int:
        """Return how many operations may follow before one at which something is armed."""
        return min(self._armed) - self.n - 1 if self._armed else FAR

    def many(self, times: RunTimes) -> None:
        """Announce operations that are over, one at the end of each frame of a run; `unarmed` allows them."""
        self.catch_up()
        self._seen.append(_Many(self._n + 1, self._phases.get(self.part, ""), times))
        self._n += len(times.durations_ns)

    @property
    def occurrences(self) -> tuple[Occurrence, ...]:
        """Return all points so far."""
        return self.announced().occurrences()

    def announced(self) -> Announced:
        """Return what was announced so far, not yet made into points: a frame costs one plain tuple, or none."""
        self.catch_up()
        return Announced(self._seen, len(self._seen))

    def inside(self, n: int, units_done: int) -> None:
        """Announce that `units_done` units of operation `n` are done and the next one is under way."""
        if self._armed:
            self._fire(n, "torn", units_done)

    def torn_at(self, n: int) -> int | None:
        """Return after how many units operation `n` is to be struck, or None (do it in one go)."""
        return next((units for where, units, _ in self._armed.get(n, ()) if where == "torn"), None)

    def end(self, n: int) -> None:
        """Announce that operation `n` is complete."""
        if self._armed:
            self._fire(n, "after", None)

    def arm(self, n: int, where: str, units: int | None, action: Action) -> None:
        """Have `action` called once when operation `n` gets there."""
        self.catch_up()
        self._shared = None
        self._armed.setdefault(n, []).append((where, units, action))
        if self._given_up is not None:
            self._given_up()

    def _fire(self, n: int, where: str, units: int | None) -> None:
        armed = self._armed.get(n)
        if not armed:
            return
        due = [entry for entry in armed if entry[0] == where and entry[1] == units]
        for entry in due:
            armed.remove(entry)
        if not armed:
            del self._armed[n]
        for _, _, action in due:  # in a context of its own: the bench acts, not the part that is struck
            contextvars.Context().run(action)


class Points:
    """All fault points of a run."""

    counter_type: type[PointCounter] = PointCounter

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._counters: dict[tuple[str, str], PointCounter] = {}
        self._phases: dict[str, str] = {}
        self.epoch = 0
        """Changes whenever a counter begins or ceases to follow a list, or a node asks for other frames."""

    def counter(self, part: str, event: str) -> PointCounter:
        """Return the counter of (part, event); parts keep it, so that a point costs one call."""
        key = (part, event)
        if key not in self._counters:
            self._counters[key] = self.counter_type(self._clock, self._phases, part, event)
        return self._counters[key]

    def set_phase(self, part: str, phase: str) -> None:
        """Name what `part` is going through from now on (the flasher names it for the ECU it flashes)."""
        for (whose, _), counter in self._counters.items():
            if whose == part:
                counter.catch_up()
        self._phases[part] = phase

    def phase(self, part: str) -> str:
        """Return what `part` is going through."""
        return self._phases.get(part, "")

    def arm(self, point: FaultPoint, action: Action) -> None:
        """Have `action` called once at a resolved point."""
        if not isinstance(point.n, int):
            raise ValueError(f"{point} is not resolved by a golden run")
        self.counter(point.part, point.event).arm(point.n, point.where, point.torn_units, action)

    def begin_story(self) -> None:
        """Count from here on: what was announced so far was the bench's own look at parts that have no power now."""
        for counter in self._counters.values():
            counter.forget()

    def table(self) -> PointTable:
        """Return what was announced so far, as a value."""
        return PointTable({key: counter.announced() for key, counter in self._counters.items()})


class PointTable(Mapping[tuple[str, str], tuple[Occurrence, ...]]):
    """The points of a run by (part, event), made when they are asked for.

    A run has tens of thousands of them; only a golden run's are ever looked up, and of those only the counters that
    a fault names.
    """

    def __init__(self, announced: Mapping[tuple[str, str], Announced] | None = None) -> None:
        self._announced = dict(announced or {})
        self._made: dict[tuple[str, str], tuple[Occurrence, ...]] = {}

    def __getitem__(self, key: tuple[str, str]) -> tuple[Occurrence, ...]:
        if key not in self._made:
            self._made[key] = self._announced[key].occurrences()
        return self._made[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._announced)

    def __len__(self) -> int:
        return len(self._announced)

    def names(self) -> list[str]:
        """Return `part:event` of all that announced anything, sorted."""
        return sorted(f"{part}:{event}" for (part, event), announced in self._announced.items() if announced.taken)


def resolve(point: FaultPoint, table: PointTable) -> FaultPoint:
    """Turn a symbolic number into the golden run's number and check that the point exists.

    Returns a point without phase and with `n` as a number; `InputError` says what the golden run did announce.
    """
    known = table.get((point.part, point.event), ())
    if not known:
        raise InputError(
            f"no such fault point in the golden run: {point}",
            found=f"{point.part}:{point.event}",
            allowed=", ".join(table.names()),
        )
    meant = [o for o in known if point.phase is None or o.phase == point.phase]
    if not meant:
        phases = ", ".join(sorted({o.phase for o in known if o.phase}))
        raise InputError(f"no {point.event} of {point.part} in that phase", found=point.phase, allowed=phases)
    chosen = _choose(point, meant)
    if point.torn_units is not None and point.torn_units >= chosen.units:
        raise InputError(
            f"{point}: the operation has {chosen.units} units",
            found=point.torn_units,
            allowed=f"0 to {max(0, chosen.units - 1)}",
        )
    return replace(point, n=chosen.n, phase=None)


def _choose(point: FaultPoint, meant: list[Occurrence]) -> Occurrence:
    if isinstance(point.n, str):
        return meant[{"first": 0, "middle": len(meant) // 2, "last": -1}[point.n]]
    if point.n > len(meant):
        raise InputError(f"{point}: the golden run has fewer", found=point.n, allowed=f"1 to {len(meant)}")
    return meant[point.n - 1]
