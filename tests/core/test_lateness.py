"""In real time the bench measures how late it is itself; a loop that is blocked on purpose is seen to be."""

from __future__ import annotations

import pytest

from bench.core.clock import NS_PER_MS, NS_PER_S, Clock, RealClock
from bench.core.lateness import STALL_NS, HostWatch
from bench.core.realtime import run_on_clock
from bench.core.records import Lateness, Stall

BUSY_NS = 80 * NS_PER_MS


def block(clock: Clock) -> None:
    """Keep the loop from doing anything else for a while."""
    end_ns = clock.now_ns() + BUSY_NS
    while clock.now_ns() < end_ns:
        pass


async def blocked(clock: Clock) -> tuple[int, Lateness]:
    """Block the loop once in the middle of a quiet wait; returns when that began, and what was measured."""
    assert isinstance(clock, RealClock)
    clock.watch_host()
    began: list[int] = []

    def busy() -> None:
        began.append(clock.now_ns())
        block(clock)

    clock.call_at_ns(clock.now_ns() + 30 * NS_PER_MS, busy)
    await clock.sleep_ns(200 * NS_PER_MS)
    lateness = clock.lateness()
    assert lateness is not None
    return began[0], lateness


def test_loop_that_a_callback_blocks_is_a_stall_of_that_time_and_length() -> None:
    began_ns, lateness = run_on_clock(blocked, virtual=False)
    here = [s for s in lateness.stalls if began_ns - STALL_NS <= s.t_ns < began_ns + BUSY_NS]
    assert here, lateness
    at_least_ns = BUSY_NS - 2 * STALL_NS  # up to one look's time lies between the last look and the block
    assert max(s.length_ns for s in here) >= at_least_ns
    assert lateness.longest_stall_ns >= at_least_ns
    assert lateness.largest_lag_ns >= lateness.longest_stall_ns


def test_timer_that_a_callback_delays_is_the_lag() -> None:
    async def main(clock: Clock) -> Lateness | None:
        assert isinstance(clock, RealClock)
        clock.watch_host()
        now_ns = clock.now_ns()
        clock.call_at_ns(now_ns + NS_PER_MS, block, clock)
        clock.call_at_ns(now_ns + 2 * NS_PER_MS, lambda: None)
        await clock.sleep_ns(BUSY_NS + 20 * NS_PER_MS)
        return clock.lateness()

    lateness = run_on_clock(main, virtual=False)
    assert lateness is not None
    assert lateness.largest_lag_ns >= BUSY_NS - 5 * NS_PER_MS


def test_what_is_asked_for_after_its_time_is_not_the_hosts_lag() -> None:
    async def main(clock: Clock) -> Lateness | None:
        assert isinstance(clock, RealClock)
        clock.watch_host()
        clock.call_at_ns(clock.now_ns() - 3_600 * NS_PER_S, lambda: None)
        await clock.sleep_ns(NS_PER_MS)
        return clock.lateness()

    lateness = run_on_clock(main, virtual=False)
    assert lateness is not None
    assert lateness.largest_lag_ns < 3_600 * NS_PER_S


def test_clock_that_nobody_asked_to_watch_says_nothing_rather_than_zero() -> None:
    async def main(clock: Clock) -> Lateness | None:
        assert isinstance(clock, RealClock)
        return clock.lateness()

    assert run_on_clock(main, virtual=False) is None


@pytest.mark.parametrize(("late_ns", "stalls"), [(STALL_NS - 1, ()), (STALL_NS, (Stall(5, STALL_NS),))])
def test_look_is_a_stall_from_its_limit_on(late_ns: int, stalls: tuple[Stall, ...]) -> None:
    watch = HostWatch()
    watch.looked(5, 5 + late_ns)
    assert watch.seen() == Lateness(stalls[0].length_ns if stalls else 0, late_ns, stalls)


def test_lag_of_a_timer_is_no_stall() -> None:
    watch = HostWatch()
    watch.came(0, 50 * NS_PER_MS)
    watch.came(0, 20 * NS_PER_MS)
    assert watch.seen() == Lateness(0, 50 * NS_PER_MS, ())
