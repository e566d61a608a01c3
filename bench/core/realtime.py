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
    task = asyncio.current_task()
    assert task is not None
    with STOP.telling(_OneCancellation(task).ask):
        return await main(RealClock())


class _OneCancellation:
    """Cancels a task the first time it is asked: a second cancellation would break off what the first one restores."""

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task, self._loop = task, task.get_loop()
        self._done = False

    def ask(self) -> None:
        """Cancel, from within a signal handler of any thread."""
        if not self._done:
            self._done = True
            self._loop.call_soon_threadsafe(self._task.cancel)
