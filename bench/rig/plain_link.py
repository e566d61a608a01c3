"""The link of the bench's own tester: short requests in single frames, answers of any length (ISO 15765-2).

Written apart from `bench/link/isotp_link.py`, which the agent uses: a mistake there must not decide what the bench
reads after a run (D5). It asks for everything at once (flow control with block size 0 and STmin 0), sends
single frames only, and knows all addressing modes and CAN FD.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field

from bench.core.clock import NS_PER_MS, Clock
from bench.core.records import FD, REMOTE
from bench.ports.can import CanPort
from bench.ports.diagnostics import AnswerTimeout, LinkError
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpError
from bench.wire.outcome import SENT, Outcome

CLASSIC_BYTES = 8
CONTINUE_TO_SEND = bytes((0x30, 0, 0))
"""Flow control: no further one will come (block size 0), no gap is needed (STmin 0)."""
ANSWER_LIMIT_BYTES = 1 << 16
"""Longer answers are refused: no identifier or DTC list comes near, and a length of 32 bits is an attack on memory."""
N_CR_MS, N_AS_MS = 1000, 1000
"""ISO 15765-2, time-outs of the network layer: until the next consecutive frame; until a frame is on the bus."""


@dataclass(slots=True)
class Reassembly:
    """An answer that is under way: its announced length and what has come."""

    length: int = 0
    next_number: int = 1
    data: bytearray = field(default_factory=bytearray)

    def take(self, data: bytes, frame_bytes: int) -> bytes | None:
        """Take the N_PDU of one frame; returns the answer when it is complete.

        A frame that makes no sense here is ignored, as ISO 15765-2 asks of unexpected N_PDUs; a wrong sequence number
        ends the answer (N_WRONG_SN) with `LinkError`.
        """
        kind = data[0] >> 4
        if kind == 0:
            self.length = 0
            return _single(data, frame_bytes)
        if kind == 1:
            self._first(data, frame_bytes)
        elif kind == 2 and self.length:
            return self._consecutive(data)
        return None

    def _first(self, data: bytes, frame_bytes: int) -> None:
        length, begin = (data[0] & 0x0F) << 8 | int.from_bytes(data[1:2], "big"), 2
        if length == 0:  # escape: the length has 32 bits (ISO 15765-2:2016)
            length, begin = int.from_bytes(data[2:6], "big"), 6
        if frame_bytes < CLASSIC_BYTES or length <= len(data) - begin:
            return
        if length > ANSWER_LIMIT_BYTES:
            raise LinkError(IsoTpError.BUFFER_OVERFLOW, f"an answer of {length} bytes was announced")
        self.length, self.next_number, self.data = length, 1, bytearray(data[begin:])

    def _consecutive(self, data: bytes) -> bytes | None:
        if data[0] & 0x0F != self.next_number:
            self.length = 0
            raise LinkError(IsoTpError.WRONG_SN, f"expected {self.next_number}, found {data[0] & 0x0F}")
        self.next_number = (self.next_number + 1) & 0x0F
        self.data += data[1:]
        if len(self.data) < self.length:
            return None
        answer, self.length = bytes(self.data[: self.length]), 0
        return answer


def _single(data: bytes, frame_bytes: int) -> bytes | None:
    # In frames of more than 8 bytes the length has a byte of its own and the low half of the first one is 0.
    escape = frame_bytes > CLASSIC_BYTES
    length, begin = (int.from_bytes(data[1:2], "big"), 2) if escape else (data[0] & 0x0F, 1)
    possible = 0 < length <= len(data) - begin and not (escape and data[0] & 0x0F)
    return data[begin : begin + length] if possible else None


class PlainLink:
    """Implements `DiagLink` for requests that fit one frame. One owner; one `receive` at a time."""

    def __init__(
        self, clock: Clock, port: CanPort, address: IsoTpAddress, padding: int | None, frame_flags: int
    ) -> None:
        """Begin to listen. `padding` fills frames up to 8 bytes (None: as short as possible).

        `frame_flags` is FD and BRS as the vehicle's other tester sends; a request without an answer lets the next one
        go out in frames of the other kind, since a bootloader may know classic frames only.
        """
        self._clock, self._port, self._address, self._padding = clock, port, address, padding
        self._kinds = deque([frame_flags, 0] if frame_flags & FD else [0])
        self._reassembly = Reassembly()
        self._arrived: deque[bytes | LinkError] = deque()
        self._last_ns = 0
        self._waiter: asyncio.Future[None] | None = None
        port.subscribe(self._on_frame, (address.rx_identifier,))

    async def send(self, payload: bytes) -> None:
        """Send a request; ValueError when it does not fit a single frame, LinkError when nobody acknowledged it."""
        limit = CLASSIC_BYTES - 1 - len(self._address.prefix)
        if not 0 < len(payload) <= limit:
            raise ValueError(f"{len(payload)} bytes; requests of the bench's tester have 1 to {limit}")
        sent: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._transmit(bytes((len(payload),)) + payload, sent)
        timer = self._clock.call_at_ns(self._clock.now_ns() + N_AS_MS * NS_PER_MS, _fail, sent)
        try:
            await sent
        except LinkError:  # what nobody acknowledged must not go out later, in front of another request
            self._port.cancel(self._address.tx_id, self._address.flags, self._address.prefix)
            raise
        finally:
            timer.cancel()

    async def receive(self, start_within_ns: int) -> bytes:
        """Return the next answer; AnswerTimeout when none began in time, LinkError when one broke off."""
        begun_by_ns = self._clock.now_ns() + start_within_ns
        while not self._arrived:
            under_way = self._reassembly.length > 0
            until_ns = self._last_ns + N_CR_MS * NS_PER_MS if under_way else begun_by_ns
            if until_ns <= self._clock.now_ns():
                self._reassembly.length = 0
                if under_way:
                    raise LinkError(IsoTpError.TIMEOUT_CR, "an answer broke off")
                self._kinds.rotate()
                raise AnswerTimeout(f"no answer began within {start_within_ns / NS_PER_MS:g} ms")
            await self._wait_until(until_ns)
        outcome = self._arrived.popleft()
        if isinstance(outcome, LinkError):
            raise outcome
        return outcome

    def discard(self) -> int:
        """Drop what has arrived so far; returns how many answers."""
        dropped = len(self._arrived)
        self._arrived.clear()
        return dropped

    async def _wait_until(self, until_ns: int) -> None:
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        timer = self._clock.call_at_ns(until_ns, self._wake)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _transmit(self, data: bytes, sent: asyncio.Future[None] | None = None) -> None:
        data = self._address.prefix + data
        if self._padding is not None:
            data = data.ljust(CLASSIC_BYTES, bytes((self._padding,)))
        frame = CanFrame(self._address.tx_id, data, self._address.flags | self._kinds[0])
        self._port.send(frame, None if sent is None else lambda outcome: _ended(sent, outcome))

    def _on_frame(self, frame: CanFrame, t_ns: int) -> None:
        data = frame.data[len(self._address.prefix) :]
        if frame.flags & REMOTE or not data or not self._address.accepts(frame):
            return
        self._last_ns = t_ns
        try:
            answer = self._reassembly.take(data, len(frame.data))
        except LinkError as error:
            self._arrived.append(error)
        else:
            if answer is not None:
                self._arrived.append(answer)
            elif data[0] >> 4 == 1 and self._reassembly.length:
                self._transmit(CONTINUE_TO_SEND)
        self._wake()


def _ended(sent: asyncio.Future[None], outcome: Outcome) -> None:
    if sent.done():
        return
    if outcome.fate is SENT:
        sent.set_result(None)
    else:
        sent.set_exception(LinkError(IsoTpError.ERROR, f"the request was {outcome.fate}: {outcome.why}"))


def _fail(sent: asyncio.Future[None]) -> None:
    if not sent.done():
        sent.set_exception(LinkError(IsoTpError.TIMEOUT_A, "nobody acknowledged the request"))
