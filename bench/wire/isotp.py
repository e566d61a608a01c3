"""ISO-TP (ISO 15765-2) over CAN and CAN FD, all addressing modes: a state machine without I/O, time injected.

Both directions of one address pair run at once. The owner feeds received frames in (`on_frame`) and carries
frames out (`transmit`); events go to the listener. Errors carry the standard's names.
"""

from __future__ import annotations

from collections.abc import Callable

from bench.core.clock import Clock
from bench.core.continuing import State
from bench.wire.isotp_address import AddressingMode, IsoTpAddress
from bench.wire.isotp_params import (
    CONSECUTIVE,
    FIRST,
    FLOW,
    LONGEST,
    MAX_LENGTH,
    SINGLE,
    Deadline,
    Done,
    IsoTpError,
    IsoTpListener,
    IsoTpParams,
    Pace,
    Transmit,
    TransmitRun,
    st_min_to_ns,
)
from bench.wire.isotp_receive import Receiver
from bench.wire.isotp_send import Sender

__all__ = [
    "LONGEST",
    "MAX_LENGTH",
    "AddressingMode",
    "Deadline",
    "Done",
    "IsoTpAddress",
    "IsoTpEndpoint",
    "IsoTpError",
    "IsoTpListener",
    "IsoTpParams",
    "Pace",
    "Transmit",
    "st_min_to_ns",
]
FOR_SOMEBODY_ELSE = 1 << 62
"""Any number of frames can pass a receiver that they are not meant for."""


class IsoTpEndpoint:
    """One address pair: feed it frames, it sends messages and tells the listener of received ones."""

    def __init__(
        self,
        clock: Clock,
        params: IsoTpParams,
        transmit: Transmit,
        listener: IsoTpListener,
        abort: Callable[[], None] = lambda: None,
        address: IsoTpAddress | None = None,
        transmit_run: TransmitRun | None = None,
        pace: Pace | None = None,
    ) -> None:
        """Build an idle endpoint; `abort` is called when a frame was not sent in time and must not be sent late.

        Without `address` the frames carry no address extension (normal addressing). `transmit_run` is used for
        consecutive frames, where the bus may carry more than one at once. Without `pace` the clock's timers keep
        STmin; with it, the port does (gaps under a millisecond on a real clock).
        """
        prefix = b"" if address is None else address.prefix
        self._extension = None if address is None else address.rx_extension
        self._sender = Sender(clock, params, transmit, abort, prefix, transmit_run, pace)
        self._receiver = Receiver(clock, params, transmit, listener, abort, prefix)

    @property
    def sending(self) -> bool:
        """Whether a message is on its way out."""
        return self._sender.busy

    @property
    def receiving(self) -> bool:
        """Whether a segmented message is on its way in."""
        return self._receiver.receiving

    def state(self, now_ns: int) -> State:
        """Return what both halves depend on, instants as what is left of them."""
        return self._sender.state(now_ns), self._receiver.state(now_ns)

    def send(self, payload: bytes, done: Done) -> None:
        """Send 1 to `max_length` bytes; `done(None)` when the last frame is on the bus, else `done(<N_ error>)`.

        ValueError when a message is already under way or the length is out of range.
        """
        self._sender.start(payload, done)

    def on_frame(self, data: bytes, t_ns: int) -> None:
        """Take the data of a received frame whose end was at `t_ns`; what is no ISO-TP frame is ignored."""
        if self._extension is not None:
            if not data or data[0] != self._extension:
                return  # for somebody else behind the same identifier
            data = data[1:]
        if not data:
            return
        kind = data[0] >> 4
        # By frequency: of a download nearly every frame is one of these.
        if kind == CONSECUTIVE:
            self._receiver.on_consecutive(data, t_ns)
        elif kind == FLOW:
            self._sender.on_flow(data, t_ns)
        elif kind == FIRST:
            self._receiver.on_first(data, t_ns)
        elif kind == SINGLE:
            self._receiver.on_single(data)

    def takes(self, data: bytes) -> int:
        """Return how many frames like this one are mere content of the message being received (`RunTaker`)."""
        if self._extension is not None:
            if data[0] != self._extension:
                return FOR_SOMEBODY_ELSE
            data = data[1:]
        return self._receiver.takes(data) if data[0] >> 4 == CONSECUTIVE else 0

    def take(self, data: bytes, count: int, payload: bytes, t_ns: int) -> None:
        """Take that many consecutive frames at once (`RunTaker`)."""
        if self._extension is None or data[0] == self._extension:
            self._receiver.take(count, payload, t_ns)

    def hold(self, *, held: bool) -> None:
        """Say whether this side is not ready: until it is, flow control says WAIT, at most N_WFTmax times."""
        self._receiver.held = held

    def fail(self) -> None:
        """Give up what runs in both directions with N_ERROR: the data link failed (bus-off)."""
        self._sender.fail()
        self._receiver.fail()
