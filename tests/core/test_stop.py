"""The wish to end early: noted anywhere, obeyed at safe places."""

from __future__ import annotations

import asyncio
import os
import signal
import weakref
from collections.abc import Iterator
from types import FrameType

import pytest

from bench.core.clock import NS_PER_S, Clock
from bench.core.loop import VirtualLoop
from bench.core.realtime import run_on_clock
from bench.core.stop import STOP, StopRequest


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    yield
    STOP.withdraw()


def test_check_raises_once_somebody_asked_and_no_more_when_withdrawn() -> None:
    stop = StopRequest()
    stop.check()
    stop.ask()
    with pytest.raises(KeyboardInterrupt):
        stop.check()
    stop.withdraw()
    stop.check()


def test_listener_is_told_at_once_also_when_it_comes_late_and_never_after_it_left() -> None:
    stop, told = StopRequest(), []
    with stop.telling(lambda: told.append("early")):
        stop.ask()
        with stop.telling(lambda: told.append("late")):
            pass
    stop.ask()
    assert told == ["early", "late"]


def test_ctrl_c_inside_a_weakref_callback_is_not_lost() -> None:
    class Thing:
        pass

    def asks(_number: int, _frame: FrameType | None) -> None:
        STOP.ask()

    before = signal.signal(signal.SIGINT, asks)
    try:
        thing = Thing()
        watched = weakref.ref(thing, lambda _gone: os.kill(os.getpid(), signal.SIGINT))
        del thing
    finally:
        signal.signal(signal.SIGINT, before)
    assert watched() is None
    assert STOP.asked


async def _waits_for_ever(clock: Clock) -> None:
    while True:
        await clock.sleep_ns(NS_PER_S)


def test_virtual_loop_that_never_ends_ends_when_asked() -> None:
    async def main(clock: Clock) -> None:
        assert isinstance(clock, VirtualLoop)
        clock.call_at_ns(5 * NS_PER_S, STOP.ask)
        await _waits_for_ever(clock)

    with pytest.raises(KeyboardInterrupt):
        run_on_clock(main, virtual=True)


def test_virtual_loop_asked_before_it_begins_ends_too() -> None:
    STOP.ask()
    with pytest.raises(KeyboardInterrupt):
        run_on_clock(_waits_for_ever, virtual=True)


def test_virtual_loop_delivers_nothing_inline_once_asked() -> None:
    delivered: list[int] = []

    async def main(clock: Clock) -> None:
        assert isinstance(clock, VirtualLoop)
        while clock.advance_inline(clock.now_ns() + 1):
            delivered.append(clock.now_ns())
            if len(delivered) == 3:
                STOP.ask()
        await _waits_for_ever(clock)

    with pytest.raises(KeyboardInterrupt):
        run_on_clock(main, virtual=True)
    assert delivered == [1, 2, 3]


def test_result_that_is_already_there_is_not_thrown_away() -> None:
    async def main(clock: Clock) -> str:
        await clock.sleep_ns(1)
        STOP.ask()
        return "whole"

    assert run_on_clock(main, virtual=True) == "whole"


def test_real_time_run_is_cancelled_when_asked() -> None:
    undone: list[str] = []

    async def main(_clock: Clock) -> None:
        asyncio.get_running_loop().call_soon(STOP.ask)
        try:
            await asyncio.Event().wait()
        finally:
            undone.append("finally")

    with pytest.raises(KeyboardInterrupt):
        run_on_clock(main, virtual=False)
    assert undone == ["finally"]


def test_real_time_run_that_restores_and_then_returns_keeps_its_result() -> None:
    async def main(_clock: Clock) -> str:
        asyncio.get_running_loop().call_soon(STOP.ask)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "restored"
        return "never"

    assert run_on_clock(main, virtual=False) == "restored"
