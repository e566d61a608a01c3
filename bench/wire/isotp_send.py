"""ISO-TP, the sending half: frames of any data length, paced by the receiver's flow control (ISO 15765-2)."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.core.clock import NS_PER_MS, Clock
from bench.wire.can_fd import next_fd_length
from bench.wire.isotp_address import single_bytes
from bench.wire.isotp_params import (
    CONSECUTIVE,
    CONTINUE,
    FIRST,
    FRAME_BYTES,
    MAX_LENGTH,
    OVERFLOW,
    WAIT,
    Deadline,
    Done,
    IsoTpError,
    IsoTpParams,
    Pace,
    Transmit,
    ignore_sent,
    st_min_to_ns,
)

FD_PADDING = 0xCC
"""Fills up to the next data length, which an FD frame must have, when no padding byte is configured."""


class Framing:
    """How this side's frames begin and end: address extension, length of a frame, padding."""

    def __init__(self, prefix: bytes, tx_dl: int, padding: int | None) -> None:
        self._prefix, self._padding = prefix, padding
        self._short = single_bytes(FRAME_BYTES, len(prefix))
        self.single_bytes = single_bytes(tx_dl, len(prefix))

    def single(self, payload: bytes) -> bytes:
        """Return a single frame, its length in a byte of its own when the frame is longer than 8 (escape)."""
        head = (len(payload),) if len(payload) <= self._short else (0, len(payload))
        return self._prefix + bytes(head) + payload

    def first_head(self, length: int) -> bytes:
        """Return what stands before the data of a first frame: FF_DL of 12 bits, or 32 bits over 4095."""
        if length <= MAX_LENGTH:
            return self._prefix + bytes((FIRST << 4 | length >> 8, length & 0xFF))
        return self._prefix + bytes((FIRST << 4, 0)) + length.to_bytes(4, "big")

    def filled(self, data: bytes) -> bytes:
        """Return a frame padded to 8 bytes if padding is on, or to the next data length of an FD frame."""
        if len(data) <= FRAME_BYTES:
            return data if self._padding is None else data.ljust(FRAME_BYTES, bytes((self._padding,)))
        padding = FD_PADDING if self._padding is None else self._padding
        return data.ljust(next_fd_length(len(data)), bytes((padding,)))


class Sender:
    """The sending half: one message at a time."""

    def __init__(
        self,
        clock: Clock,
        params: IsoTpParams,
        transmit: Transmit,
        abort: Callable[[], None],
        prefix: bytes,
        pace: Pace | None = None,
    ) -> None:
        self._clock, self._params, self._transmit, self._abort = clock, params, transmit, abort
        self._pace = pace
        self._framing = Framing(prefix, params.tx_dl, params.padding)
        self._tx_dl = params.tx_dl
        self._heads = tuple(prefix + bytes((CONSECUTIVE << 4 | sequence,)) for sequence in range(16))
        self._consecutive_bytes = params.tx_dl - len(prefix) - 1
        self._n_as_ns = params.n_as_ms * NS_PER_MS
        self._payload = b""
        self._done: Done | None = None
        self._on_sent: Callable[[int], None] = ignore_sent
        self._offset = 0
        self._first_bytes = 0
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
        """Whether a message is on its way out."""
        return self._done is not None

    def start(self, payload: bytes, done: Done) -> None:
        """Begin a message (ValueError when busy, or when its length is out of range)."""
        if self.busy:
            raise ValueError("a message is already being sent on this link")
        if not 0 < len(payload) <= self._params.max_length:
            raise ValueError(f"{len(payload)} bytes; this link carries 1 to {self._params.max_length}")
        self._payload, self._done, self._waits = payload, done, 0
        self._generation += 1
        self._on_sent = partial(self._sent, self._generation)
        now_ns = self._clock.now_ns()
        if len(payload) <= self._framing.single_bytes:
            self._offset = len(payload)
            self._put(self._framing.single(payload), now_ns)
            return
        head = self._framing.first_head(len(payload))
        self._offset = self._first_bytes = self._tx_dl - len(head)
        self._sequence = 1
        self._put(head + payload[: self._first_bytes], now_ns)

    def _put(self, data: bytes, now_ns: int) -> None:
        if len(data) != self._tx_dl:
            data = self._framing.filled(data)
        self._timeout_name = IsoTpError.TIMEOUT_A
        self._deadline.set(now_ns + self._n_as_ns)
        self._transmit(data, self._on_sent)

    def _sent(self, generation: int, t_ns: int) -> None:
        if generation != self._generation or self._done is None:
            return
        if self._offset >= len(self._payload):
            self._finish(None)
        elif self._offset == self._first_bytes or self._left_in_block == 0:
            self._await_flow(t_ns)
        elif self._gap_ns and self._pace is not None:
            self._pace(t_ns + self._gap_ns)
            self._next(generation, t_ns + self._gap_ns)
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
        end = self._offset + self._consecutive_bytes
        data = self._heads[self._sequence] + self._payload[self._offset : end]
        self._offset, self._sequence = end, (self._sequence + 1) & 0xF
        if self._left_in_block is not None:
            self._left_in_block -= 1
        self._put(data, now_ns)

    def on_flow(self, data: bytes, t_ns: int) -> None:
        """Take a flow control frame; one that nobody waits for is ignored."""
        if not self._awaits_flow or len(data) < 3:
            return  # an unexpected flow control is ignored (15765-2, 9.8.3)
        status = data[0] & 0xF
        if status == CONTINUE:
            self._awaits_flow, self._waits = False, 0
            self._left_in_block = data[1] or None
            n_cs_ns = self._params.n_cs_ms * NS_PER_MS
            self._gap_ns = max(st_min_to_ns(data[2]), n_cs_ns)
            if n_cs_ns:
                self._deadline.clear()
                self._clock.call_at_ns(t_ns + n_cs_ns, self._next, self._generation, t_ns + n_cs_ns)
            else:
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

    def fail(self) -> None:
        """The data link failed: give up with N_ERROR."""
        if self._done is not None:
            self._finish(IsoTpError.ERROR)

    def _finish(self, error: str | None) -> None:
        done, self._done = self._done, None
        self._generation += 1
        self._awaits_flow = False
        self._deadline.clear()
        if done is not None:
            done(error)
