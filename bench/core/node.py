"""Nodes lose power: each boot is an incarnation, a cut retires it (D3).

A cut may strike in the middle of a node's own code, at any point that it announces. Python cannot stop that code
there; it runs on until it next asks. So whoever calls code of a life enters that life (`OWNER`), the journal and the
records take nothing from a life that has ended, and every effect goes through one of `check`, `note` and `effect`.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from bench.core.clock import Clock, Timer
from bench.core.loop import OWNER, PowerLost, outside
from bench.core.points import PointCounter
from bench.core.records import PowerRecord

if TYPE_CHECKING:
    from bench.core.world import World

T = TypeVar("T")


class Effect:
    """An operation under way that a fault may strike: `with life.effect(...) as effect`.

    Announced when it is made, complete when its block was left without an exception (or by `end`); raises
    `PowerLost` at whichever of its points the life ended.
    """

    __slots__ = ("_counter", "_life", "n")

    def __init__(self, life: Incarnation, counter: PointCounter, units: int) -> None:
        self._life, self._counter = life, counter
        life.check()
        self.n = counter.begin(units)
        """Which operation of its kind it is, from 1."""
        life.check()

    @property
    def torn_at(self) -> int | None:
        """After how many units it is to be struck; None: it may be done in one go."""
        return self._counter.torn_at(self.n)

    def inside(self, units_done: int) -> None:
        """Announce that so many units are done and the next one is under way."""
        self._counter.inside(self.n, units_done)
        self._life.check()

    def end(self) -> None:
        """Announce that it is complete."""
        self._counter.end(self.n)
        self._life.check()

    def __enter__(self) -> Effect:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()


class Incarnation:
    """One life of a node, from a boot to the next reset or power loss.

    It is the `Clock` of everything in the node's volatile part: its timers and tasks die with it. Ports and
    storage call `check()` before every effect, or use `effect`, which is a fault point too.
    """

    def __init__(self, world: World, part: str, number: int) -> None:
        self.part, self.number = part, number
        self.alive = True
        self.ended_ns: int | None = None
        """When this life ended; what was under way then left its traces in memory up to that instant."""
        self.end_cause: str | None = None
        """Why it ended; None while it lives, and when the bench took it out of the run."""
        self._clock: Clock = world.clock
        self._world = world
        self._tasks: dict[asyncio.Task[Any], None] = {}
        self._at_end: list[Callable[[], None]] = []
        self._context = contextvars.Context()
        self._context.run(OWNER.set, self)
        # Not `_context` itself: a done callback of a task may run in that one and call this life.
        self._enter = self._context.copy().run
        self._inside = False

    @property
    def virtual(self) -> bool:
        """Whether time is simulated."""
        return self._clock.virtual

    @property
    def epoch_ns(self) -> int:
        """See `Clock.epoch_ns`."""
        return self._clock.epoch_ns

    def now_ns(self) -> int:
        """Return the run's time."""
        return self._clock.now_ns()

    def call_at_ns(self, when_ns: int, callback: Callable[..., object], *args: object) -> Timer:
        """Schedule a callback that is skipped once this life has ended."""
        # a bare timer has no context of its own (a context for each costs more than most of them do): `_fire` enters
        return self._clock.call_at_ns(when_ns, self._fire, callback, args)

    def _fire(self, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self.call((callback,), *args)

    def advance_inline(self, when_ns: int) -> bool:
        """See `Clock.advance_inline`."""
        return self._clock.advance_inline(when_ns)

    async def sleep_ns(self, duration_ns: int) -> None:
        """Wait; a node that was cut meanwhile does not go on."""
        await self._clock.sleep_ns(duration_ns)
        self.check()

    def check(self) -> None:
        """Raise `PowerLost` once this life has ended; every port does this before every effect."""
        if not self.alive:
            raise PowerLost(f"{self.part} lost power in its life {self.number}")

    # Effects ----------------------------------------------------------------------------------------

    def counter(self, event: str) -> PointCounter:
        """Return the fault points of this node's operations of a kind, over all its lives."""
        return self._world.points.counter(self.part, event)

    def effect(self, event: str, units: int = 0) -> Effect:
        """Begin an operation that a fault may strike; `units` when it may be struck in the middle, too."""
        return Effect(self, self.counter(event), units)

    def note(self, kind: str, payload: bytes | str = "") -> None:
        """Write an event of this life into the journal."""
        self.check()
        self._world.journal.add(self.part, kind, payload)

    # Being called -----------------------------------------------------------------------------------

    def call(self, callbacks: Sequence[Callable[..., object]], *event: object) -> None:
        """Let this life take an event, as one of its own; what it did when it lost power stays undone."""
        # A context that is entered costs 40 ns, setting and resetting OWNER 190, twice for each frame of a bus. Who is
        # inside already (a callback of this life had another life call it) cannot enter once more.
        if self._inside:
            self._call_inside(callbacks, *event)
            return
        self._inside, enter = True, self._enter
        try:
            for callback in callbacks:
                if not self.alive:
                    return
                enter(callback, *event)
        except PowerLost:
            return
        finally:
            self._inside = False

    def take(self, callbacks: Sequence[Callable[[T, int], object]], frame: T, t_ns: int) -> None:
        """The same as `call` for a frame: with its two arguments written out it costs 100 ns less, per frame."""
        if self._inside:
            self._call_inside(callbacks, frame, t_ns)
            return
        self._inside, enter = True, self._enter
        try:
            for callback in callbacks:
                if not self.alive:
                    return
                enter(callback, frame, t_ns)
        except PowerLost:
            return
        finally:
            self._inside = False

    def tell(self, callback: Callable[[T], object], event: T) -> None:
        """The same for one callback that learns how its frame ended."""
        if self._inside:
            self._call_inside((callback,), event)
            return
        self._inside = True
        try:
            if self.alive:
                self._enter(callback, event)
        except PowerLost:
            return
        finally:
            self._inside = False

    def _call_inside(self, callbacks: Sequence[Callable[..., object]], *event: object) -> None:
        token = OWNER.set(self)
        try:
            for callback in callbacks:
                if not self.alive:
                    return
                callback(*event)
        except PowerLost:
            return
        finally:
            OWNER.reset(token)

    def handle(self, counter: PointCounter, callbacks: Sequence[Callable[..., object]], *event: object) -> None:
        """The same as a numbered fault point: a frame that the node sent or received."""
        n = counter.begin()
        self.call(callbacks, *event)
        if self.alive:
            counter.end(n)

    def bound(self, callback: Callable[..., object]) -> Callable[..., None]:
        """Return the callback for somebody outside who outlives this life: it enters it, and is dropped after it."""

        def enter(*args: object) -> None:
            self.call((callback,), *args)

        return enter

    # Tasks ------------------------------------------------------------------------------------------

    @property
    def tasks(self) -> tuple[asyncio.Task[Any], ...]:
        """The tasks that are not done: once this life has ended, those that it left parked."""
        return tuple(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Start a task of this life; its failure (other than by power loss) ends the run."""
        loop = asyncio.get_running_loop()
        task = loop.create_task(work, name=f"{self.part}.{name}", context=self._context.copy())
        self._tasks[task] = None
        task.add_done_callback(self._report, context=self._context)
        return task

    def _report(self, task: asyncio.Task[None]) -> None:
        self._tasks.pop(task, None)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and not isinstance(error, PowerLost):
            self._world.crashed(self.part, error)

    def quiet_until_ns(self) -> int:
        """See `Clock.quiet_until_ns`."""
        return self._clock.quiet_until_ns()

    def at_end(self, callback: Callable[[], None]) -> None:
        """Have what surrounds the node (a bus) see at once that this life ends; it runs outside the node."""
        self._at_end.append(callback)

    def retire(self, cause: str | None = None) -> None:
        """End this life: handles and timers are skipped, tasks stay parked and referenced."""
        self.alive = False
        self.end_cause = cause
        self.ended_ns = self._clock.now_ns()
        # what surrounds the node acts for itself: in the dying life's own context the journal would drop its words
        seen, self._at_end = self._at_end, []
        for callback in seen:
            contextvars.Context().run(callback)


class Node:
    """Something with a supply: a persistent part that outlives it and a volatile part built by each boot."""

    def __init__(self, world: World, part: str, boot: Callable[[Incarnation], None]) -> None:
        self.part = part
        self._world = world
        self._boot = boot
        self._lives: list[Incarnation] = []
        self._hangs = False
        world.nodes.append(self)

    @property
    def incarnation(self) -> Incarnation | None:
        """The current life, or None while without power."""
        return self._lives[-1] if self.powered else None

    @property
    def powered(self) -> bool:
        """Whether the node lives now."""
        return bool(self._lives) and self._lives[-1].alive

    @property
    def supplied(self) -> bool:
        """Whether the node has its supply: it lives, or hangs."""
        return self.powered or self._hangs

    @property
    def hangs(self) -> bool:
        """Whether the node has its supply and executes nothing."""
        return self._hangs

    def power_on(self, cause: str = "supply") -> None:
        """Apply power: boots a new life; nothing happens when it has power already."""
        if not self.supplied:
            outside(self._world.power, PowerRecord(self._world.clock.now_ns(), self.part, True, cause))
            self._start()

    def cut(self, cause: str) -> None:
        """Take the power away at this instant."""
        if self.supplied:
            self._end(cause)
            outside(self._world.power, PowerRecord(self._world.clock.now_ns(), self.part, False, cause))

    def reset(self, cause: str = "reset") -> None:
        """Boot anew without losing the supply (ECU reset, watchdog); the running life ends here."""
        if self.supplied:
            self._end(cause)
            self._start()

    def hang(self, cause: str) -> None:
        """Let the running life stop executing while the supply stays: only a reset or a power cut ends that."""
        if self.powered:
            self._end(cause)
            self._hangs = True

    def _end(self, cause: str) -> None:
        self._hangs = False
        if self.powered:
            self._lives[-1].retire(cause)

    def stop(self, reason: str) -> None:
        """End this life without a loss of power: the bench takes the part out of the run."""
        self._hangs = False
        if self.powered:
            self._world.journal.add(self.part, "stopped", reason)
            self._lives[-1].retire()

    def _start(self) -> None:
        life = Incarnation(self._world, self.part, len(self._lives) + 1)
        self._lives.append(life)
        token = OWNER.set(life)
        try:
            self._boot(life)
        finally:
            OWNER.reset(token)
