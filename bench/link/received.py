"""What has arrived on a link and waits for its owner: messages and receptions that broke off, one owner at a time."""

from __future__ import annotations

import asyncio
from collections import deque

from bench.core.clock import Clock
from bench.core.continuing import State, left_ns
from bench.ports.diagnostics import LinkError

Reception = bytes | LinkError
"""A whole message, or why there is none."""


class Received:
    """The queue between callbacks, which fill it, and the one coroutine that waits for it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._queue: deque[Reception] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._until_ns: int | None = None

    def state(self, now_ns: int) -> State:
        """Return what has arrived, and until when somebody waits for more."""
        arrived = tuple(each if isinstance(each, bytes) else each.name for each in self._queue)
        return arrived, self._waiter is not None, left_ns(self._until_ns, now_ns) if self._waiter else None

    def __bool__(self) -> bool:
        return bool(self._queue)

    def add(self, reception: Reception) -> None:
        """Queue a message or a failure, and wake who waits."""
        self._queue.append(reception)
        if self._waiter is not None:
            _wake(self._waiter)

    def take(self) -> bytes:
        """Return the oldest message; LinkError when that reception broke off, IndexError when there is none."""
        reception = self._queue.popleft()
        if isinstance(reception, LinkError):
            raise reception
        return reception

    async def wait(self, until_ns: int | None) -> None:
        """Wait for something to arrive, at most `until_ns` (None: as long as it takes)."""
        self._until_ns = until_ns
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        timer = None if until_ns is None else self._clock.call_at_ns(until_ns, _wake, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def discard(self) -> int:
        """Drop what has arrived so far; returns how many messages."""
        dropped = len(self._queue)
        self._queue.clear()
        return dropped


def _wake(waiter: asyncio.Future[None]) -> None:
    # A message and the deadline may come in one turn of the loop: a future takes one result only.
    if not waiter.done():
        waiter.set_result(None)
