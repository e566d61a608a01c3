"""ISO-TP (ISO 15765-2) over classic CAN with normal addressing: a state machine without I/O, time injected.

Both directions of one address pair run at once. The owner feeds received frames in (`on_frame`) and carries
frames out (`transmit`); events go to the listener. Errors carry the standard's names.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Protocol

from bench.core.clock import NS_PER_MS, NS_PER_US, Clock, Timer

SINGLE, FIRST, CONSECUTIVE, FLOW = 0, 1, 2, 3
CONTINUE, WAIT, OVERFLOW = 0, 1, 2
FRAME_BYTES = 8
FIRST_BYTES, CONSECUTIVE_BYTES, SINGLE_BYTES = 6, 7, 7
MAX_LENGTH = 4095
ST_MIN_LONGEST_NS = 127 * NS_PER_MS


class IsoTpError(StrEnum):
    """N_Result values other than N_OK."""

    TIMEOUT_A = "N_TIMEOUT_A"
    TIMEOUT_BS = "N_TIMEOUT_Bs"
    TIMEOUT_CR = "N_TIMEOUT_Cr"
    WRONG_SN = "N_WRONG_SN"
    INVALID_FS = "N_INVALID_FS"
    UNEXPECTED_PDU = "N_UNEXP_PDU"
    WAIT_OVERRUN = "N_WFT_OVRN"
    BUFFER_OVERFLOW = "N_BUFFER_OVFLW"


@dataclass(frozen=True, slots=True, kw_only=True)
class IsoTpParams:
    """What one side of a link does; times in milliseconds, limits of the standard by default."""

    block_size: int = 0
    st_min: int = 0
    padding: int | None = 0xCC
    n_as_ms: int = 1000
    n_bs_ms: int = 1000
    n_cr_ms: int = 1000
    max_length: int = MAX_LENGTH
    wait_frames_max: int = 10


class IsoTpListener(Protocol):
    """Who wants to know what a link received."""

    def on_start(self, length: int) -> None:
        """A message of `length` bytes began (single or first frame seen)."""

    def on_message(self, payload: bytes) -> None:
        """A message is complete."""

    def on_error(self, name: str) -> None:
        """A reception broke off; `name` is the standard's."""


Transmit = Callable[[bytes, Callable[[int], None]], None]
Done = Callable[[str | None], None]


def st_min_to_ns(st_min: int) -> int:
    """Return the smallest gap between consecutive frames, in nanoseconds.

    0x00-0x7F count milliseconds, 0xF1-0xF9 count 100 microseconds; reserved values mean the longest gap,
    127 ms (ISO 15765-2, SeparationTime parameter).
    """
    if st_min <= 0x7F:
        return st_min * NS_PER_MS
    if 0xF1 <= st_min <= 0xF9:
        return (st_min - 0xF0) * 100 * NS_PER_US
    return ST_MIN_LONGEST_NS


class Deadline:
    """One time-out that moves often and fires rarely: moving it costs an assignment, not a timer."""

    __slots__ = ("_armed_ns", "_clock", "_due_ns", "_expired", "_timer")

    def __init__(self, clock: Clock, expired: Callable[[], None]) -> None:
        self._clock, self._expired = clock, expired
        self._due_ns: int | None = None
        self._armed_ns = 0
        self._timer: Timer | None = None

    def set(self, due_ns: int) -> None:
        """Expire at `due_ns` unless moved or cleared before."""
        self._due_ns = due_ns
        if self._timer is None:
            self._arm(due_ns)
        elif due_ns < self._armed_ns:
            self._timer.cancel()
            self._arm(due_ns)

    def clear(self) -> None:
        """Do not expire."""
        self._due_ns = None

    def _arm(self, due_ns: int) -> None:
        self._armed_ns = due_ns
        self._timer = self._clock.call_at_ns(due_ns, self._fire)

    def _fire(self) -> None:
        self._timer = None
        due_ns = self._due_ns
        if due_ns is None:
            return
        if due_ns > self._armed_ns:
            self._arm(due_ns)
            return
        self._due_ns = None
        self._expired()


class _Sender:
    """The sending half: one message at a time."""

    def __init__(self, clock: Clock, params: IsoTpParams, transmit: Transmit, abort: Callable[[], None]) -> None:
        self._clock, self._params, self._transmit, self._abort = clock, params, transmit, abort
        self._n_as_ns = params.n_as_ms * NS_PER_MS
        self._payload = b""
        self._done: Done | None = None
        self._on_sent: Callable[[int], None] = _ignore
        self._offset = 0
        self._sequence = 0
        self._left_in_block: int | None = None
        self._gap_ns = 0
        self._waits = 0
        self._awaits_flow = False
        self._generation = 0
        self._timeout_name = IsoTpError.TIMEOUT_A
        self._deadline = Deadline(clock, self._timed_out)

    @property
    def busy(self) -> bool:
        return self._done is not None

    def start(self, payload: bytes, done: Done) -> None:
        if self.busy:
            raise ValueError("a message is already being sent on this link")
        if not 0 < len(payload) <= MAX_LENGTH:
            raise ValueError(f"{len(payload)} bytes; this link carries 1 to {MAX_LENGTH}")
        self._payload, self._done, self._waits = payload, done, 0
        self._generation += 1
        self._on_sent = partial(self._sent, self._generation)
        now_ns = self._clock.now_ns()
        if len(payload) <= SINGLE_BYTES:
            self._offset = len(payload)
            self._put(bytes((len(payload),)) + payload, now_ns)
            return
        self._offset, self._sequence = FIRST_BYTES, 1
        head = bytes((FIRST << 4 | len(payload) >> 8, len(payload) & 0xFF))
        self._put(head + payload[:FIRST_BYTES], now_ns)

    def _put(self, data: bytes, now_ns: int) -> None:
        if len(data) < FRAME_BYTES and self._params.padding is not None:
            data = data + bytes((self._params.padding,)) * (FRAME_BYTES - len(data))
        self._timeout_name = IsoTpError.TIMEOUT_A
        self._deadline.set(now_ns + self._n_as_ns)
        self._transmit(data, self._on_sent)

    def _sent(self, generation: int, t_ns: int) -> None:
        if generation != self._generation or self._done is None:
            return
        if self._offset >= len(self._payload):
            self._finish(None)
        elif self._offset == FIRST_BYTES or self._left_in_block == 0:
            self._await_flow(t_ns)
        elif self._gap_ns:
            self._deadline.clear()
            self._clock.call_at_ns(t_ns + self._gap_ns, self._next, generation, t_ns + self._gap_ns)
        else:
            self._next(generation, t_ns)

    def _await_flow(self, t_ns: int) -> None:
        self._awaits_flow = True
        self._timeout_name = IsoTpError.TIMEOUT_BS
        self._deadline.set(t_ns + self._params.n_bs_ms * NS_PER_MS)

    def _next(self, generation: int, now_ns: int) -> None:
        if generation != self._generation or self._done is None:
            return
        end = self._offset + CONSECUTIVE_BYTES
        data = bytes((CONSECUTIVE << 4 | self._sequence,)) + self._payload[self._offset : end]
        self._offset, self._sequence = end, (self._sequence + 1) & 0xF
        if self._left_in_block is not None:
            self._left_in_block -= 1
        self._put(data, now_ns)

    def on_flow(self, data: bytes, t_ns: int) -> None:
        if not self._awaits_flow or len(data) < 3:
            return  # an unexpected flow control is ignored (15765-2, 9.8.3)
        status = data[0] & 0xF
        if status == CONTINUE:
            self._awaits_flow, self._waits = False, 0
            self._left_in_block = data[1] or None
            self._gap_ns = st_min_to_ns(data[2])
            self._next(self._generation, t_ns)
        elif status == WAIT:
            self._waits += 1
            if self._waits > self._params.wait_frames_max:
                self._finish(IsoTpError.WAIT_OVERRUN)
            else:
                self._await_flow(t_ns)
        else:
            self._finish(IsoTpError.BUFFER_OVERFLOW if status == OVERFLOW else IsoTpError.INVALID_FS)

    def _timed_out(self) -> None:
        if self._done is not None:
            if self._timeout_name is IsoTpError.TIMEOUT_A:
                self._abort()
            self._finish(self._timeout_name)

    def _finish(self, error: str | None) -> None:
        done, self._done = self._done, None
        self._generation += 1
        self._awaits_flow = False
        self._deadline.clear()
        if done is not None:
            done(error)


class _Receiver:
    """The receiving half: reassembles, and answers with flow control."""

    def __init__(self, clock: Clock, params: IsoTpParams, transmit: Transmit, listener: IsoTpListener) -> None:
        self._clock, self._params = clock, params
        self._transmit, self._listener = transmit, listener
        self._length = 0
        self._parts: list[bytes] = []
        self._have = 0
        self._sequence = 0
        self._left_in_block = 0
        self._n_cr_ns = params.n_cr_ms * NS_PER_MS
        self._deadline = Deadline(clock, self._timed_out)

    @property
    def receiving(self) -> bool:
        return self._length > 0

    def on_single(self, data: bytes) -> None:
        length = data[0] & 0xF
        if not 0 < length <= min(SINGLE_BYTES, len(data) - 1):
            return  # SF_DL 0 or too large is ignored
        self._interrupt()
        self._listener.on_start(length)
        self._listener.on_message(data[1 : 1 + length])

    def on_first(self, data: bytes, t_ns: int) -> None:
        length = (data[0] & 0xF) << 8 | data[1] if len(data) > 1 else 0
        if length <= SINGLE_BYTES or len(data) < FRAME_BYTES:
            return  # FF_DL too small is ignored
        self._interrupt()
        if length > self._params.max_length:
            self._flow(OVERFLOW)
            return
        self._length, self._parts, self._have, self._sequence = length, [data[2:8]], FIRST_BYTES, 1
        self._left_in_block = self._params.block_size
        self._listener.on_start(length)
        self._deadline.set(t_ns + self._n_cr_ns)
        self._flow(CONTINUE)

    def on_consecutive(self, data: bytes, t_ns: int) -> None:
        if not self._length:
            return  # an unexpected consecutive frame is ignored
        if data[0] & 0xF != self._sequence:
            self._break(IsoTpError.WRONG_SN)
            return
        self._parts.append(data[1:8])
        self._have += len(data) - 1
        self._sequence = (self._sequence + 1) & 0xF
        if self._have >= self._length:
            self._complete()
            return
        self._deadline.set(t_ns + self._n_cr_ns)
        if self._params.block_size:
            self._left_in_block -= 1
            if self._left_in_block == 0:
                self._left_in_block = self._params.block_size
                self._flow(CONTINUE)

    def _complete(self) -> None:
        payload = b"".join(self._parts)[: self._length]
        self._clear()
        self._listener.on_message(payload)

    def _interrupt(self) -> None:
        """A new message during reception ends the running one (15765-2, table of unexpected PDUs)."""
        if self._length:
            self._break(IsoTpError.UNEXPECTED_PDU)

    def _break(self, error: IsoTpError) -> None:
        self._clear()
        self._listener.on_error(error)

    def _clear(self) -> None:
        self._length, self._parts = 0, []
        self._deadline.clear()

    def _timed_out(self) -> None:
        if self._length:
            self._break(IsoTpError.TIMEOUT_CR)

    def _flow(self, status: int) -> None:
        data = bytes((FLOW << 4 | status, self._params.block_size, self._params.st_min))
        if self._params.padding is not None:
            data += bytes((self._params.padding,)) * (FRAME_BYTES - len(data))
        self._transmit(data, _ignore)


class IsoTpEndpoint:
    """One address pair: feed it frames, it sends messages and tells the listener of received ones."""

    def __init__(
        self,
        clock: Clock,
        params: IsoTpParams,
        transmit: Transmit,
        listener: IsoTpListener,
        abort: Callable[[], None] = lambda: None,
    ) -> None:
        """Build an idle endpoint; `abort` is called when a frame was not sent in time and must not be sent late."""
        self._sender = _Sender(clock, params, transmit, abort)
        self._receiver = _Receiver(clock, params, transmit, listener)

    @property
    def sending(self) -> bool:
        """Whether a message is on its way out."""
        return self._sender.busy

    @property
    def receiving(self) -> bool:
        """Whether a segmented message is on its way in."""
        return self._receiver.receiving

    def send(self, payload: bytes, done: Done) -> None:
        """Send 1 to 4095 bytes; `done(None)` when the last frame is on the bus, else `done(<N_ error>)`.

        ValueError when a message is already under way or the length is out of range.
        """
        self._sender.start(payload, done)

    def on_frame(self, data: bytes, t_ns: int) -> None:
        """Take the data of a received frame whose end was at `t_ns`; what is no ISO-TP frame is ignored."""
        if not data:
            return
        kind = data[0] >> 4
        if kind == CONSECUTIVE:
            self._receiver.on_consecutive(data, t_ns)
        elif kind == FLOW:
            self._sender.on_flow(data, t_ns)
        elif kind == FIRST:
            self._receiver.on_first(data, t_ns)
        elif kind == SINGLE:
            self._receiver.on_single(data)


def _ignore(_t_ns: int) -> None:
    """Flow control frames need no confirmation: N_Ar runs out as the other side's N_Bs."""
