"""Time: integer nanoseconds from 0, the same interface in virtual and in real time (D1).

This module and `loop.py` are the only ones that may read a clock of the machine.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

NS_PER_US = 1_000
NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
NEVER_NS = 1 << 62
"""An instant that no run reaches."""

EPOCH = datetime(2030, 1, 1, tzinfo=UTC)
"""Added whenever time is shown or signed; virtual time itself starts at 0."""
_EPOCH_NS = round(EPOCH.timestamp()) * NS_PER_S


class Timer(Protocol):
    """A callback to come; `cancel()` makes it never come."""

    def cancel(self) -> None:
        """Drop the callback; harmless when it has already run."""


class Clock(Protocol):
    """Where every part takes its time from; handed in at construction."""

    @property
    def virtual(self) -> bool:
        """Whether time is simulated."""

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


class Instant(NamedTuple):
    """A moment twice: nanoseconds of the run, and nanoseconds since 1970, which go on over restarts."""

    t_ns: int
    wall_ns: int


def instant(clock: Clock) -> Instant:
    """Return now. The date is the machine's own in real time, in simulation EPOCH plus the run's time."""
    t_ns = clock.now_ns()
    return Instant(t_ns, _EPOCH_NS + t_ns if clock.virtual else time.time_ns())


def utc(now_ns: int) -> datetime:
    """Return the date that stands for `now_ns` (EPOCH plus the run's time; microseconds)."""
    return EPOCH + timedelta(microseconds=now_ns // NS_PER_US)


class RealClock:
    """The ordinary running asyncio loop, counted in nanoseconds from construction."""

    virtual = False

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._start_ns = time.monotonic_ns()
        self._loop_start_s = self._loop.time()

    def now_ns(self) -> int:
        """Return nanoseconds since construction."""
        return time.monotonic_ns() - self._start_ns

    def call_at_ns(self, when_ns: int, callback: Callable[..., object], *args: object) -> Timer:
        """Schedule on the loop; never early, late by what the loop's timers cost."""
        return self._loop.call_at(self._loop_start_s + when_ns / NS_PER_S, callback, *args)

    def advance_inline(self, when_ns: int) -> bool:
        """Return False: real time cannot be moved."""
        del when_ns
        return False

    def quiet_until_ns(self) -> int:
        """Return now: anything may happen at any time."""
        return self.now_ns()

    async def sleep_ns(self, duration_ns: int) -> None:
        """Sleep on the loop."""
        await asyncio.sleep(max(0, duration_ns) / NS_PER_S)


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
