"""ISO-TP as a `DiagLink`: our own state machine on a CAN port, for whole messages in coroutines."""

from __future__ import annotations

import asyncio
from collections import deque

from bench.core.clock import NS_PER_MS, Clock
from bench.link.pacer import Pacer
from bench.ports import AnswerTimeout, CanPort, LinkError, PacedCanPort
from bench.wire.can import CanFrame
from bench.wire.isotp import SINGLE_BYTES, IsoTpEndpoint, IsoTpParams

Outcome = bytes | LinkError


class IsoTpLink:
    """Tester side of one address pair. One owner; one `receive` at a time."""

    def __init__(self, clock: Clock, port: CanPort, request_id: int, response_id: int, params: IsoTpParams) -> None:
        self._clock = clock
        self._arrived: deque[Outcome] = deque()
        self._started = False
        self._waiter: asyncio.Future[None] | None = None
        pacer = Pacer(port) if isinstance(port, PacedCanPort) else None
        send = port.send if pacer is None else pacer.send
        self._endpoint = IsoTpEndpoint(
            clock,
            params,
            lambda data, sent: send(CanFrame(request_id, data), sent),
            listener=self,
            abort=lambda: port.cancel(request_id),
            pace=pacer,
        )
        self._response_id = response_id
        port.subscribe(self._on_frame)

    def _on_frame(self, frame: CanFrame, t_ns: int) -> None:
        if frame.can_id == self._response_id:
            self._endpoint.on_frame(frame.data, t_ns)

    # IsoTpListener ----------------------------------------------------------------------------------

    def on_start(self, length: int) -> None:
        """Note that an answer began: P2 is over."""
        del length
        self._started = True

    def on_message(self, payload: bytes) -> None:
        """Queue a complete message."""
        self._arrived.append(payload)
        self._wake()

    def on_error(self, name: str) -> None:
        """Queue the failure of a reception."""
        self._arrived.append(LinkError(name, "while receiving"))
        self._wake()

    def _wake(self) -> None:
        self._started = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # DiagLink ---------------------------------------------------------------------------------------

    async def send(self, payload: bytes) -> None:
        """Send one message; returns when its last frame is on the bus. Raises LinkError."""
        done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._endpoint.send(payload, lambda error: None if done.done() else done.set_result(error))
        error = await done
        if error is not None:
            raise LinkError(error, "while sending")

    async def receive(self, start_within_ns: int) -> bytes:
        """Return the next message; AnswerTimeout when none began in time, LinkError when one broke off."""
        deadline_ns = self._clock.now_ns() + start_within_ns
        while not self._arrived:
            if self._started:  # the answer is under way: N_Cr guards it, P2 no longer does
                await self._wait(None)
            elif not await self._wait(deadline_ns) and not self._started and not self._arrived:
                raise AnswerTimeout(f"no answer began within {start_within_ns / NS_PER_MS:g} ms")
        outcome = self._arrived.popleft()
        if isinstance(outcome, LinkError):
            raise outcome
        return outcome

    async def _wait(self, deadline_ns: int | None) -> bool:
        """Wait for a message or the deadline; returns whether a message (or error) came."""
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        timer = None if deadline_ns is None else self._clock.call_at_ns(deadline_ns, _expire, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()
        return bool(self._arrived)

    def discard(self) -> int:
        """Drop what has arrived so far; returns how many messages."""
        dropped = len(self._arrived)
        self._arrived.clear()
        return dropped


class IsoTpFunctionalLink:
    """Functional addressing on one bus: single frames, no answer is collected."""

    def __init__(self, port: CanPort, functional_id: int, padding: int | None) -> None:
        self._port, self._id, self._padding = port, functional_id, padding

    async def send(self, payload: bytes) -> None:
        """Send one single frame; ValueError over seven bytes (15765-2 allows no more functionally)."""
        if not 0 < len(payload) <= SINGLE_BYTES:
            raise ValueError(f"{len(payload)} bytes; functional messages carry 1 to {SINGLE_BYTES}")
        data = bytes((len(payload),)) + payload
        if self._padding is not None:
            data = data.ljust(8, bytes((self._padding,)))
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._port.send(CanFrame(self._id, data), lambda _t_ns: None if done.done() else done.set_result(None))
        try:
            await done
        except asyncio.CancelledError:  # given up by the caller: it must not go out late
            self._port.cancel(self._id)
            raise


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
