"""Ctrl-C while simulated time runs: the first one asks the job to stop and restore, the second one ends it at once.

In real time `bench.core.realtime` cancels the job's task, which restores too.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from bench.core.stop import STOP

Interrupt = Callable[[], None]


@contextmanager
def gentle_interrupts() -> Iterator[Callable[[Interrupt], None]]:
    """Yield a function that takes what the first Ctrl-C shall do; the old handler comes back on leaving."""
    asked: list[Interrupt] = []
    before = signal.getsignal(signal.SIGINT)

    def handle(number: int, frame: FrameType | None) -> None:
        del number, frame
        if not asked:
            STOP.ask()
            return
        asked.pop()()

    signal.signal(signal.SIGINT, handle)
    try:
        yield asked.append
    finally:
        signal.signal(signal.SIGINT, before)
