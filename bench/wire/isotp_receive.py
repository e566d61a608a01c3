"""ISO-TP, the receiving half: reassembles, and answers with flow control (ISO 15765-2).

Clauses in comments are those of ISO 15765-2:2016, from memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from bench.core.clock import NS_PER_MS, Clock
from bench.core.continuing import State
from bench.wire.isotp_address import single_bytes
from bench.wire.isotp_params import (
    CONTINUE,
    FLOW,
    FRAME_BYTES,
    MAX_LENGTH,
    OVERFLOW,
    WAIT,
    Deadline,
    IsoTpError,
    IsoTpListener,
    IsoTpParams,
    Transmit,
)
from bench.wire.isotp_send import Framing
from bench.wire.outcome import SENT, Outcome, ignore_outcome

# Bound once: under Python 3.11 looking a member up in its class costs 250 ns, which each frame would pay.
TIMEOUT_CR = IsoTpError.TIMEOUT_CR


class Receiver:
    """Takes frames without their address extension, of which there are `prefix_bytes`."""

    def __init__(
        self,
        clock: Clock,
        params: IsoTpParams,
        transmit: Transmit,
        listener: IsoTpListener,
        abort: Callable[[], None],
        prefix: bytes,
    ) -> None:
        self._clock, self._params = clock, params
        self._transmit, self._listener, self._abort = transmit, listener, abort
        self._prefix, self._block_size = prefix, params.block_size
        self._framing = Framing(prefix, params)
        self._buffer_bytes = params.max_length if params.buffer_bytes is None else params.buffer_bytes
        self._length = 0
        self._parts: list[bytes] = []
        self._have = 0
        self._sequence = 0
        self._left_in_block = 0
        self._full_bytes = FRAME_BYTES
        self._waits = 0
        self._generation = 0
        self.held = False
        self._n_cr_ns = params.n_cr_ms * NS_PER_MS
        self._timeout_name = TIMEOUT_CR
        self._deadline = Deadline(clock, self._timed_out)

    def state(self, now_ns: int) -> State:
        """Return the message being received, how far it is, and what is waited for: nothing of it once it has ended.

        Of the flow control that is due the schedule has the instant.
        """
        if not self._length:
            return (self.held,)
        place = self._length, b"".join(self._parts), self._sequence, self._left_in_block, self._full_bytes
        waits = self._waits, str(self._timeout_name), self._deadline.state(now_ns)
        return self.held, place, waits

    @property
    def receiving(self) -> bool:
        """Whether a segmented message is on its way in."""
        return self._length > 0

    def on_single(self, data: bytes) -> None:
        """Take a single frame; one whose SF_DL does not fit the frame is ignored."""
        can_dl = len(data) + len(self._prefix)
        escape = can_dl > FRAME_BYTES
        if escape and data[0] & 0xF:
            return  # over 8 bytes the length has to stand in a byte of its own
        length, start = (data[1], 2) if escape else (data[0] & 0xF, 1)
        if not 0 < length <= len(data) - start:
            return  # SF_DL 0 or too large is ignored
        # Only now: a frame that is to be ignored must not end the reception under way (ISO 15765-2:2016, 9.8.3).
        self._interrupt()
        self._listener.on_start(length)
        self._listener.on_message(data[start : start + length])

    def on_first(self, data: bytes, t_ns: int) -> None:
        """Take a first frame: it shows RX_DL and is answered with flow control."""
        # A first frame uses all of TX_DL, at least 8 bytes: shorter, it is none (9.6.3).
        can_dl = len(data) + len(self._prefix)
        if can_dl < FRAME_BYTES:
            return
        length, start = (data[0] & 0xF) << 8 | data[1], 2
        if not length:
            length, start = int.from_bytes(data[2:6], "big"), 6
            if length <= MAX_LENGTH:
                return  # an escape that was not needed is ignored
        if length <= single_bytes(can_dl, len(self._prefix)):
            return  # FF_DL too small is ignored
        self._interrupt()
        if length > self._buffer_bytes:
            # Refused at once, since the sender waits for N_Bs; nothing is kept, so a message that fits is taken next.
            self._transmit(self._flow_frame(OVERFLOW), ignore_outcome)
            return
        self._generation += 1
        self._full_bytes = len(data)  # RX_DL, as this frame shows it
        self._length, self._parts, self._have, self._sequence = length, [data[start:]], len(data) - start, 1
        self._left_in_block = self._params.block_size
        self._listener.on_start(length)
        self._request_flow(t_ns)

    def on_consecutive(self, data: bytes, t_ns: int) -> None:
        """Take a consecutive frame; at the end of a block flow control is due."""
        if not self._length:
            return  # an unexpected consecutive frame is ignored
        size = len(data)
        if size != self._full_bytes and not self._length - self._have < size < self._full_bytes:
            return  # only the last one may be shorter than RX_DL
        # A gap in SN means that a frame was lost: what was put together without it would be a whole message of wrong
        # bytes (9.8.3, N_WRONG_SN).
        if data[0] & 0xF != self._sequence:
            self._break(IsoTpError.WRONG_SN)
            return
        self._parts.append(data[1:])
        self._have = have = self._have + size - 1
        self._sequence = (self._sequence + 1) & 0xF
        if have >= self._length:
            self._complete()
            return
        self._timeout_name = TIMEOUT_CR
        self._deadline.set(t_ns + self._n_cr_ns)
        if self._block_size:
            self._left_in_block -= 1
            if self._left_in_block == 0:
                self._left_in_block = self._params.block_size
                self._request_flow(t_ns)

    def takes(self, data: bytes) -> int:
        """See `RunTaker.takes`: the frames before the last one of message and block."""
        if not self._length or data[0] & 0xF != self._sequence or len(data) != self._full_bytes:
            return 0
        whole = (self._length - self._have - 1) // (len(data) - 1)
        return min(whole, self._left_in_block - 1) if self._params.block_size else whole

    def take(self, count: int, payload: bytes, t_ns: int) -> None:
        """See `RunTaker.take`."""
        self._parts.append(payload)
        self._have += len(payload)
        self._sequence = (self._sequence + count) & 0xF
        if self._params.block_size:
            self._left_in_block -= count
        self._timeout_name = TIMEOUT_CR
        self._deadline.set(t_ns + self._n_cr_ns)

    def fail(self) -> None:
        """The data link failed: a running reception ends with N_ERROR."""
        if self._length:
            self._break(IsoTpError.ERROR)

    def _complete(self) -> None:
        # Padding of the last frame is cut off: FF_DL alone says how long the message is.
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
        # Before the listener is told: it may ask for the next message from within.
        self._length, self._parts = 0, []
        self._generation += 1
        self._deadline.clear()

    def _timed_out(self) -> None:
        if self._length:
            name = self._timeout_name
            if name is IsoTpError.TIMEOUT_A:
                self._generation += 1  # what is taken back is told so at once: it is nobody's any more
                self._abort()
            self._break(name)

    def _request_flow(self, t_ns: int) -> None:
        """Flow control is due N_Br after `t_ns`."""
        self._waits = 0
        if self._params.n_br_ms:
            self._deadline.clear()
            self._clock.call_at_ns(t_ns + self._params.n_br_ms * NS_PER_MS, self._flow_due, self._generation)
        else:
            self._flow_due(self._generation)

    def _flow_due(self, generation: int) -> None:
        if generation != self._generation:
            return
        # While the application holds it the receiver says WAIT, at most N_WFTmax times: then it must give up too, or
        # both sides wait for each other.
        if not self.held:
            self._flow(CONTINUE)
        elif self._waits == self._params.wait_frames_max:
            self._break(IsoTpError.WAIT_OVERRUN)
        else:
            self._waits += 1
            self._flow(WAIT)
            interval_ns = self._params.wait_interval_ms * NS_PER_MS
            self._clock.call_at_ns(self._clock.now_ns() + interval_ns, self._flow_due, generation)

    def _flow(self, status: int) -> None:
        self._timeout_name = IsoTpError.TIMEOUT_A
        # N_Ar guards our own flow control: without an acknowledgement it never leaves, and the sender waits in vain for
        # N_Bs.
        self._deadline.set(self._clock.now_ns() + self._params.n_ar_ms * NS_PER_MS)
        self._transmit(self._flow_frame(status), partial(self._flow_ended, self._generation, self._sequence, status))

    def _flow_ended(self, generation: int, sequence: int, status: int, outcome: Outcome) -> None:
        """N_Cr runs from the end of a frame that lets the sender go on; while it waits nothing runs."""
        if generation != self._generation or sequence != self._sequence:
            return
        if outcome[0] is not SENT:  # the sender waits in vain: there is no second flow control for one block (9.6.5)
            self._break(IsoTpError.ERROR)
        elif status == CONTINUE:
            self._timeout_name = TIMEOUT_CR
            self._deadline.set(outcome[1] + self._n_cr_ns)
        else:
            self._deadline.clear()

    def _flow_frame(self, status: int) -> bytes:
        head = bytes((FLOW << 4 | status, self._params.block_size, self._params.st_min))
        return self._framing.filled(self._prefix + head)
