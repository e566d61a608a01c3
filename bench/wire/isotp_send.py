"""ISO-TP, the sending half: frames of any data length, paced by the receiver's flow control (ISO 15765-2).

Clauses in comments are those of ISO 15765-2:2016, from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.core.clock import NS_PER_MS, Clock
from bench.core.continuing import State, called
from bench.wire.can_fd import next_fd_length
from bench.wire.frame_run import Heads
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
    TransmitRun,
    st_min_to_ns,
)
from bench.wire.outcome import SENT, Outcome, OutcomeCallback, ignore_outcome

# Bound once: under Python 3.11 looking a member up in its class costs 250 ns, which each frame would pay.
TIMEOUT_A = IsoTpError.TIMEOUT_A
FD_PADDING = 0xCC
"""Fills up to the next data length, which an FD frame must have, when no padding byte is configured."""


class Framing:
    """How this side's frames begin and end: address extension, length of a frame, padding."""

    def __init__(self, prefix: bytes, params: IsoTpParams) -> None:
        self._prefix, self._padding = prefix, params.padding
        self._shortest = FRAME_BYTES if params.padding is None else params.tx_dl_min
        self._short = single_bytes(FRAME_BYTES, len(prefix)) if self._shortest == FRAME_BYTES else 0
        self.single_bytes = single_bytes(params.tx_dl, len(prefix))

    def single(self, payload: bytes) -> bytes:
        """Return a single frame, its length in a byte of its own when the frame is longer than 8 (escape)."""
        # SF_DL 0 in the first byte is the escape to a length of its own byte, which CAN_DL over 8 needs (ISO
        # 15765-2:2016, 9.6.2, from memory): used in a frame of 8 bytes it would be ignored by the receiver.
        head = (len(payload),) if len(payload) <= self._short else (0, len(payload))
        return self._prefix + bytes(head) + payload

    def first_head(self, length: int) -> bytes:
        """Return what stands before the data of a first frame: FF_DL of 12 bits, or 32 bits over 4095."""
        # FF_DL of 32 bits only where 12 do not hold it: a receiver ignores an escape that was not needed (ISO
        # 15765-2:2016, 9.6.3).
        if length <= MAX_LENGTH:
            return self._prefix + bytes((FIRST << 4 | length >> 8, length & 0xFF))
        return self._prefix + bytes((FIRST << 4, 0)) + length.to_bytes(4, "big")

    def filled(self, data: bytes) -> bytes:
        """Return a frame padded to the shortest one if padding is on, or to the next data length of an FD frame."""
        if len(data) <= self._shortest:
            return data if self._padding is None else data.ljust(self._shortest, bytes((self._padding,)))
        # A CAN FD controller has no data lengths between 8, 12, 16, 20, 24, 32, 48, 64 (ISO 11898-1): what is left over
        # must hold something, padding configured or not.
        padding = FD_PADDING if self._padding is None else self._padding
        return data.ljust(next_fd_length(len(data)), bytes((padding,)))


class _Run:
    """The rest of one message's block, as a bus may ask for it; of a message that has ended nothing is left."""

    __slots__ = ("_generation", "_sender")

    def __init__(self, sender: Sender, generation: int) -> None:
        self._sender, self._generation = sender, generation

    @property
    def gap_ns(self) -> int:
        return self._sender.gap_ns

    def certain(self) -> int:
        return self._sender.certain(self._generation)

    def peek(self, count: int) -> tuple[Heads, bytes]:
        return self._sender.peek(count)

    def take(self, count: int, next_begin_ns: int) -> bytes:
        return self._sender.take(count, next_begin_ns)


class Sender:
    """The sending half: one message at a time."""

    def __init__(
        self,
        clock: Clock,
        params: IsoTpParams,
        transmit: Transmit,
        abort: Callable[[], None],
        prefix: bytes,
        transmit_run: TransmitRun | None = None,
        pace: Pace | None = None,
    ) -> None:
        self._clock, self._params, self._transmit, self._abort = clock, params, transmit, abort
        self._transmit_run, self._pace = transmit_run, pace
        self._framing = Framing(prefix, params)
        self._tx_dl = params.tx_dl
        self._heads = tuple(prefix + bytes((CONSECUTIVE << 4 | sequence,)) for sequence in range(16))
        self._heads_from = tuple(self._heads[n:] + self._heads[:n] for n in range(16))
        self._consecutive_bytes = params.tx_dl - len(prefix) - 1
        self._n_as_ns = params.n_as_ms * NS_PER_MS
        self._payload = b""
        self._done: Done | None = None
        self._on_ended: OutcomeCallback = ignore_outcome
        self._run = _Run(self, 0)
        self._offset = 0
        self._first_bytes = 0
        self._sequence = 0
        self._left_in_block: int | None = None
        self._gap_ns = 0
        self._waits = 0
        self._awaits_flow = False
        self._generation = 0
        self._next_ns: int | None = None
        """When the next consecutive frame is due after a pause that a timer keeps."""
        self._timeout_name = TIMEOUT_A
        self._deadline = Deadline(clock, self._timed_out)

    def state(self, now_ns: int) -> State:
        """Return the message on its way, how far it is, and what is waited for: nothing of it once it has ended."""
        if self._done is None:
            return ()
        next_ns = None if self._next_ns is None or self._next_ns < now_ns else self._next_ns - now_ns
        place = self._offset, self._first_bytes, self._sequence, self._left_in_block, self._gap_ns
        waits = self._waits, self._awaits_flow, str(self._timeout_name), self._deadline.state(now_ns), next_ns
        return self._payload, called(self._done, now_ns), place, waits

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
        self._first_bytes, self._next_ns = 0, None
        self._generation += 1
        self._on_ended = partial(self._ended, self._generation)
        self._run = _Run(self, self._generation)
        now_ns = self._clock.now_ns()
        if len(payload) <= self._framing.single_bytes:
            self._offset = len(payload)
            self._put(self._framing.single(payload), now_ns)
            return
        head = self._framing.first_head(len(payload))
        self._offset = self._first_bytes = self._tx_dl - len(head)
        self._sequence = 1
        self._put(head + payload[: self._first_bytes], now_ns)

    def _put(self, data: bytes, now_ns: int, *, run: bool = False) -> None:
        if len(data) != self._tx_dl:
            data = self._framing.filled(data)
        # N_As runs until the controller reports the frame as sent (9.8.2): on a bus without an acknowledgement this is
        # the only end of a message.
        self._timeout_name = TIMEOUT_A
        self._deadline.set(now_ns + self._n_as_ns)
        if run and self._transmit_run is not None:
            self._transmit_run(data, self._on_ended, self._run)
        else:
            self._transmit(data, self._on_ended)

    def _ended(self, generation: int, outcome: Outcome) -> None:
        # An outcome may come late, for a message that was given up: taken for that of its successor it would put a
        # consecutive frame on the bus before its flow control.
        if generation != self._generation or self._done is None:
            return
        fate, t_ns, _, _ = outcome
        if fate is not SENT:  # lost at bus-off, refused: nothing is left to wait for (N_ERROR)
            self._finish(IsoTpError.ERROR)
        elif self._offset >= len(self._payload):
            self._finish(None)
        # After the first frame, and after BS consecutive ones, the receiver has the word; whoever goes on overruns its
        # buffer.
        elif self._offset == self._first_bytes or self._left_in_block == 0:
            self._await_flow(t_ns)
        # STmin runs from the end of a frame to the begin of the next (9.6.5.4): where the port can
        # keep the gap itself it does, since a timer of the host is late by a millisecond.
        elif self._gap_ns and self._pace is not None:
            self._pace(t_ns + self._gap_ns)
            self._next(generation, t_ns + self._gap_ns)
        elif self._gap_ns:
            self._deadline.clear()
            due_ns = self._next_ns = t_ns + self._gap_ns
            self._clock.call_at_ns(due_ns, self._next, generation, due_ns)
        else:
            self._put(self._next_data(), t_ns, run=True)

    def _await_flow(self, t_ns: int) -> None:
        self._awaits_flow = True
        # N_Bs (9.8.2): a receiver that died in mid-message never says so.
        self._timeout_name = IsoTpError.TIMEOUT_BS
        self._deadline.set(t_ns + self._params.n_bs_ms * NS_PER_MS)

    def _next(self, generation: int, now_ns: int) -> None:
        if generation != self._generation or self._done is None:
            return
        self._put(self._next_data(), now_ns, run=True)

    def _next_data(self) -> bytes:
        """Return the data of the next consecutive frame and count it as begun."""
        end = self._offset + self._consecutive_bytes
        data = self._heads[self._sequence] + self._payload[self._offset : end]
        self._offset, self._sequence = end, (self._sequence + 1) & 0xF
        if self._left_in_block is not None:
            self._left_in_block -= 1
        return data

    # A run of frames; the frame that was put last is the first of it -----------------------------------

    @property
    def gap_ns(self) -> int:
        """The pause between two consecutive frames."""
        return self._gap_ns

    def certain(self, generation: int) -> int:
        """See `FrameRun.certain`; a message that has ended has no more frames."""
        if generation != self._generation or self._done is None:
            return 0
        whole = (len(self._payload) - self._offset) // self._consecutive_bytes
        return whole if self._left_in_block is None else min(whole, self._left_in_block)

    def peek(self, count: int) -> tuple[Heads, bytes]:
        """See `FrameRun.peek`."""
        start = self._offset - self._consecutive_bytes
        heads = self._heads_from[(self._sequence - 1) & 0xF]
        return heads, self._payload[start : start + count * self._consecutive_bytes]

    def take(self, count: int, next_begin_ns: int) -> bytes:
        """See `FrameRun.take`."""
        skipped = count - 1
        self._offset += skipped * self._consecutive_bytes
        self._sequence = (self._sequence + skipped) & 0xF
        if self._left_in_block is not None:
            self._left_in_block -= skipped
        self._deadline.set(next_begin_ns + self._n_as_ns)
        return self._next_data()

    def on_flow(self, data: bytes, t_ns: int) -> None:
        """Take a flow control frame; one that nobody waits for is ignored."""
        if not self._awaits_flow or len(data) < 3:
            return  # an unexpected flow control is ignored (15765-2, 9.8.3)
        status = data[0] & 0xF
        if status == CONTINUE:
            self._awaits_flow, self._waits = False, 0
            # BS 0: no more flow control until the end of the message (9.6.5.3).
            self._left_in_block = data[1] or None
            n_cs_ns = self._params.n_cs_ms * NS_PER_MS
            # The receiver asks for STmin, the sender may be slower: N_Cs is its own pace. Reserved STmin values count
            # as 127 ms (9.6.5.5): too slow harms nobody, too fast loses frames.
            self._gap_ns = max(st_min_to_ns(data[2]), n_cs_ns)
            if n_cs_ns:
                self._deadline.clear()
                due_ns = self._next_ns = t_ns + n_cs_ns
                self._clock.call_at_ns(due_ns, self._next, self._generation, due_ns)
            else:
                self._next(self._generation, t_ns)
        elif status == WAIT:
            # N_WFTmax (9.7): a receiver that says WAIT for ever would hold the sender for ever, for N_Bs begins anew
            # each time.
            self._waits += 1
            if self._waits > self._params.wait_frames_max:
                self._finish(IsoTpError.WAIT_OVERRUN)
            else:
                self._await_flow(t_ns)
        else:
            # OVFLW answers a first frame only, and a reserved FS means that sender and receiver do not speak of the
            # same thing: the message ends either way (9.6.5.2).
            self._finish(IsoTpError.BUFFER_OVERFLOW if status == OVERFLOW else IsoTpError.INVALID_FS)

    def _timed_out(self) -> None:
        if self._done is not None:
            # The frame still lies in the controller: unless it is taken back it goes out once the bus is there again,
            # in the middle of another message.
            if self._timeout_name is TIMEOUT_A:
                self._generation += 1  # what is taken back is told so at once: it is nobody's any more
                self._abort()
            self._finish(self._timeout_name)

    def fail(self) -> None:
        """The data link failed: give up with N_ERROR."""
        if self._done is not None:
            self._finish(IsoTpError.ERROR)

    def _finish(self, error: str | None) -> None:
        done, self._done = self._done, None
        # Before `done`: it may begin the next message at once.
        self._generation += 1
        self._awaits_flow = False
        self._deadline.clear()
        if done is not None:
            done(error)
