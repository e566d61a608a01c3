"""Time: integer nanoseconds from 0, the same interface in virtual and in real time (D1).

This module and `loop.py` are the only ones that may read a clock of the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from bench.core.lateness import LOOK_EVERY_NS, HostWatch
from bench.core.records import Lateness

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NEVER_NS = 1 << 62
"""An instant that no run reaches."""

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
"""Added whenever virtual time is shown or signed; it starts at 0. A real clock has a beginning of its own."""
EPOCH_NS = int(EPOCH.timestamp()) * NS_PER_S


class Timer(Protocol):
    """A callback to come; `cancel()` makes it never come."""

    def cancel(self) -> None:
        """Drop the callback; harmless when it has already run."""


class Clock(Protocol):
    """Where every part takes its time from; handed in at construction."""

    @property
    def virtual(self) -> bool:
        """Whether time is simulated."""

    @property
    def epoch_ns(self) -> int:
        """The date that stands for 0, in nanoseconds since 1970: `EPOCH` in virtual time, else this machine's."""

    def now_ns(self) -> int:
        """Return nanoseconds since the start of the run."""

    def call_at_ns(self, when_ns: int, callback: Callable[..., object], *args: object) -> Timer:
        """Call `callback(*args)` at `when_ns` (at once, in order, when that has passed)."""

    def advance_inline(self, when_ns: int) -> bool:
        """Move virtual time to `when_ns` and return True when nothing else is due until then.

        A caller that gets True goes on inline instead of scheduling itself; a real clock always says False.
        """

    def quiet_until_ns(self) -> int:
        """Return the instant before which nothing is due, far in the future when nothing is; a real clock: now."""

    async def sleep_ns(self, duration_ns: int) -> None:
        """Wait; nothing happens before `duration_ns` have gone by."""


def utc(now_ns: int, epoch_ns: int = EPOCH_NS) -> datetime:
    """Return the date that stands for `now_ns` of a run that began at `epoch_ns` (microseconds, rounded down)."""
    return EPOCH + timedelta(microseconds=(epoch_ns - EPOCH_NS + now_ns) // NS_PER_US)


def date_of(clock: Clock) -> datetime:
    """Return the date that a clock shows: what goes into a real ECU or certificate check must be the real day."""
    return utc(clock.now_ns(), clock.epoch_ns)


class Instant(NamedTuple):
    """A moment twice: nanoseconds of the run, and nanoseconds since 1970, which go on over restarts."""

    t_ns: int
    wall_ns: int


def instant(clock: Clock) -> Instant:
    """Return now; the date is the clock's own (`Clock.epoch_ns`)."""
    t_ns = clock.now_ns()
    return Instant(t_ns, clock.epoch_ns + t_ns)


class RealClock:
    """The ordinary running asyncio loop, counted in nanoseconds from construction."""

    virtual = False

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start_ns = time.monotonic_ns()
        self.epoch_ns = time.time_ns()
        """Taken once: a step of the machine's clock (NTP) moves no frame against another."""
        self._loop_start_s = self._loop.time()
        self._host = HostWatch()
        self._watched = False

    def now_ns(self) -> int:
        """Return nanoseconds since construction."""
        return time.monotonic_ns() - self._start_ns

    def call_at_ns(self, when_ns: int, callback: Callable[..., object], *args: object) -> Timer:
        """Schedule on the loop; never early, late by what the loop's timers cost (`lateness`)."""
        due_ns = max(when_ns, self.now_ns())  # who asks late (a bus that catches up) is not kept waiting by the host
        return self._loop.call_at(self._loop_start_s + when_ns / NS_PER_S, self._came, due_ns, callback, args)

    def _came(self, due_ns: int, callback: Callable[..., object], args: tuple[object, ...]) -> None:
        self._host.came(due_ns, self.now_ns())
        callback(*args)

    def advance_inline(self, when_ns: int) -> bool:
        """Return False: real time cannot be moved."""
        del when_ns
        return False

    def quiet_until_ns(self) -> int:
        """Return now: anything may happen at any time."""
        return self.now_ns()

    async def sleep_ns(self, duration_ns: int) -> None:
        """Sleep on the loop."""
        due_ns = self.now_ns() + max(0, duration_ns)
        await asyncio.sleep(max(0, duration_ns) / NS_PER_S)
        self._host.came(due_ns, self.now_ns())

    # How late the host is -----------------------------------------------------------------------------

    def watch_host(self) -> None:
        """Look from now on, a hundred times a second, whether the loop is alive; it ends with the loop."""
        self._watched = True
        self._look_at(self.now_ns() + LOOK_EVERY_NS)

    def _look_at(self, due_ns: int) -> None:
        self._loop.call_at(self._loop_start_s + due_ns / NS_PER_S, self._look, due_ns)

    def _look(self, due_ns: int) -> None:
        now_ns = self.now_ns()
        self._host.looked(due_ns, now_ns)
        self._look_at(now_ns + LOOK_EVERY_NS)

    def lateness(self) -> Lateness | None:
        """Return how late the host was since `watch_host`; None when nobody asked for that."""
        return self._host.seen() if self._watched else None


class Stopwatch:
    """Wall time that a run cost (`wall_s`), the one figure that differs between equal runs."""

    def __init__(self) -> None:
        self._start_ns = time.perf_counter_ns()

    def elapsed_s(self) -> float:
        """Return seconds since construction."""
        return (time.perf_counter_ns() - self._start_ns) / NS_PER_S


def wall_utc() -> datetime:
    """Return the machine's own date, for what is shown about a run (never part of its trace)."""
    return datetime.now(UTC)
