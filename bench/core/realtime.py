"""Running a coroutine on the machine's own clock: the one place where `asyncio.run` is allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bench.core.clock import Clock, RealClock
from bench.core.loop import VirtualLoop
from bench.core.stop import STOP

T = TypeVar("T")


def run_on_clock(main: Callable[[Clock], Coroutine[Any, Any, T]], *, virtual: bool) -> T:
    """Run `main(clock)` to its end in virtual or in real time; the same coroutine either way (D1).

    KeyboardInterrupt when `STOP` was asked meanwhile; in real time `main` is cancelled, and may still return a result.
    """
    if not virtual:
        try:
            return asyncio.run(_with_real_clock(main))
        except asyncio.CancelledError:
            STOP.check()
            raise
    loop = VirtualLoop()
    try:
        return loop.run(main(loop))
    finally:
        loop.discard()


async def _with_real_clock(main: Callable[[Clock], Coroutine[Any, Any, T]]) -> T:
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None
    with STOP.telling(lambda: loop.call_soon_threadsafe(task.cancel)):
        return await main(RealClock())
