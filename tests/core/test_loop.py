"""The virtual-time loop: order, jumps, deadlocks, time-outs, failures, no threads (D1)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.loop import Deadlock, PowerLost, VirtualLoop


def run(loop: VirtualLoop, until_ns: int = 0) -> None:
    try:
        loop.run(loop.sleep_ns(until_ns))
    finally:
        loop.discard()


@given(st.lists(st.integers(0, 5), max_size=30))
def test_timers_of_equal_instants_run_in_the_order_they_were_asked_for(instants: list[int]) -> None:
    loop = VirtualLoop()
    seen: list[tuple[int, int]] = []
    for number, when_ns in enumerate(instants):
        loop.call_at_ns(when_ns, seen.append, (when_ns, number))
    run(loop, until_ns=10)
    assert seen == sorted(seen)
    assert len(seen) == len(instants)


@given(st.lists(st.integers(0, 1_000), min_size=1, max_size=30))
def test_bare_timers_and_asyncio_timers_share_one_order(instants: list[int]) -> None:
    loop = VirtualLoop()
    seen: list[int] = []
    for number, when_ms in enumerate(instants):
        if number % 2:
            loop.call_at(when_ms / 1000, seen.append, number)
        else:
            loop.call_at_ns(when_ms * NS_PER_MS, seen.append, number)
    run(loop, until_ns=2 * NS_PER_S)
    assert seen == sorted(range(len(instants)), key=lambda number: (instants[number], number))


def test_idle_time_is_jumped_to_the_nanosecond() -> None:
    loop = VirtualLoop()

    async def main() -> list[int]:
        await loop.sleep_ns(3_600 * NS_PER_S + 7)
        return [loop.now_ns()]

    assert loop.run(main()) == [3_600 * NS_PER_S + 7]
    loop.discard()


def test_a_timer_asked_for_in_the_past_runs_now_and_time_does_not_go_back() -> None:
    loop = VirtualLoop()
    seen: list[int] = []
    loop.call_at_ns(100, lambda: loop.call_at_ns(5, lambda: seen.append(loop.now_ns())))
    run(loop, until_ns=200)
    assert seen == [100]


def test_a_cancelled_timer_never_runs() -> None:
    loop = VirtualLoop()
    seen: list[str] = []
    timer = loop.call_at_ns(10, seen.append, "cancelled")
    loop.call_at_ns(10, seen.append, "kept")
    timer.cancel()
    run(loop, until_ns=20)
    assert seen == ["kept"]


def test_a_timer_cancelled_by_one_of_the_same_instant_never_runs() -> None:
    loop = VirtualLoop()
    seen: list[str] = []
    loop.call_at_ns(10, lambda: second.cancel())
    second = loop.call_at_ns(10, seen.append, "cancelled")
    run(loop, until_ns=20)
    assert seen == []


def test_deadlock_names_every_waiting_task_and_no_finished_one() -> None:
    loop = VirtualLoop()

    async def forever() -> None:
        await loop.create_future()

    async def main() -> None:
        finished = loop.create_task(loop.sleep_ns(1), name="finished")
        tasks = [loop.create_task(forever(), name=name) for name in ("tester", "body.uds")]
        await finished
        await asyncio.gather(*tasks)

    with pytest.raises(Deadlock, match=r"waiting: body\.uds, main, tester$"):
        loop.run(main())
    loop.discard()


def test_asyncio_timeout_ends_at_its_virtual_instant() -> None:
    loop = VirtualLoop()

    async def main() -> int:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(2.5):
                await loop.create_future()
        return loop.now_ns()

    assert loop.run(main()) == 2_500_000_000
    loop.discard()


def test_asyncio_sleep_of_a_day_keeps_whole_nanoseconds() -> None:
    loop = VirtualLoop()

    async def main() -> int:
        for _ in range(24):
            await asyncio.sleep(3_600)
        return loop.now_ns()

    assert loop.run(main()) == 86_400 * NS_PER_S
    loop.discard()


def test_advance_inline_moves_time_when_nothing_else_is_due() -> None:
    loop = VirtualLoop()

    async def main() -> tuple[bool, int]:
        return loop.advance_inline(500), loop.now_ns()

    assert loop.run(main()) == (True, 500)
    loop.discard()


@pytest.mark.parametrize(("timer_ns", "moved"), [(499, False), (500, False), (501, True)])
def test_advance_inline_stops_at_a_timer_that_is_due_until_then(timer_ns: int, moved: bool) -> None:
    loop = VirtualLoop()

    async def main() -> tuple[bool, int]:
        loop.call_at_ns(timer_ns, lambda: None)
        return loop.advance_inline(500), loop.now_ns()

    assert loop.run(main()) == (moved, 500 if moved else 0)
    loop.discard()


def test_advance_inline_ignores_a_cancelled_timer() -> None:
    loop = VirtualLoop()

    async def main() -> bool:
        loop.call_at_ns(100, lambda: None).cancel()
        return loop.advance_inline(500)

    assert loop.run(main())
    loop.discard()


def test_advance_inline_waits_for_what_is_ready() -> None:
    loop = VirtualLoop()

    async def main() -> bool:
        loop.call_soon(lambda: None)
        return loop.advance_inline(500)

    assert not loop.run(main())
    loop.discard()


def test_advance_inline_never_moves_time_back() -> None:
    loop = VirtualLoop()

    async def main() -> int:
        await loop.sleep_ns(1_000)
        loop.advance_inline(10)
        return loop.now_ns()

    assert loop.run(main()) == 1_000
    loop.discard()


def test_a_failing_callback_stops_the_run_at_once() -> None:
    loop = VirtualLoop()
    seen: list[int] = []
    loop.call_at_ns(10, lambda: 1 // 0)
    loop.call_at_ns(11, seen.append, 11)
    with pytest.raises(ZeroDivisionError):
        run(loop, until_ns=20)
    assert seen == []


def test_a_failing_call_soon_callback_stops_the_run() -> None:
    loop = VirtualLoop()
    loop.call_soon(lambda: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        run(loop, until_ns=20)


def test_power_lost_in_a_callback_is_not_a_failure() -> None:
    def dying() -> None:
        raise PowerLost("body")

    loop = VirtualLoop()
    loop.call_at_ns(10, dying)
    run(loop, until_ns=20)
    assert loop.now_ns() == 20


def test_a_failure_of_the_main_coroutine_is_raised_with_its_type() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        raise ValueError("main failed")

    with pytest.raises(ValueError, match="main failed"):
        loop.run(main())
    loop.discard()


def test_executors_and_other_threads_are_refused() -> None:
    loop = VirtualLoop()

    async def main() -> None:
        with pytest.raises(RuntimeError, match="no thread"):
            await loop.run_in_executor(None, print)
        with pytest.raises(RuntimeError, match="no thread"):
            await asyncio.to_thread(print)
        with pytest.raises(RuntimeError, match="no thread"):
            loop.call_soon_threadsafe(print)

    loop.run(main())
    loop.discard()


def test_an_async_generator_left_early_is_closed_by_the_loop() -> None:
    loop = VirtualLoop()
    seen: list[str] = []

    async def progress() -> AsyncGenerator[int, None]:
        try:
            for step in range(3):
                await loop.sleep_ns(1)
                yield step
        finally:
            await loop.sleep_ns(5)
            seen.append("closed")

    async def main() -> None:
        async for _ in progress():
            break
        await loop.sleep_ns(100)

    loop.run(main())
    loop.discard()
    assert seen == ["closed"]


def test_two_loops_run_the_same_program_to_the_same_trace() -> None:
    def trace() -> list[tuple[int, str]]:
        loop = VirtualLoop()
        seen: list[tuple[int, str]] = []

        async def worker(name: str, step_ns: int) -> None:
            for _ in range(5):
                await loop.sleep_ns(step_ns)
                seen.append((loop.now_ns(), name))

        async def main() -> None:
            async with asyncio.TaskGroup() as group:
                for name, step_ns in (("a", 3), ("b", 5), ("c", 15)):
                    group.create_task(worker(name, step_ns))

        loop.run(main())
        loop.discard()
        return seen

    assert trace() == trace()
