"""The library can-isotp as a `DiagLink`: its state machine, our port; on the real clock only.

can-isotp decides what is sent; frames go out through the port, so that they are journalled and shared like all
others, without a thread of its own. It counts STmin from start to start of its frames, which on a wire is too
short: its own pacing is switched off, and the gap that the receiver's flow control asks for is kept here, end to
start. Its timers N_Bs and N_Cr are its own (N_As is ours) and look at the machine's clock.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import partial
from typing import Any

import isotp

from bench.core.clock import NS_PER_MS, Clock, Timer
from bench.core.records import BRS, FD, REMOTE
from bench.link.answers import Answers
from bench.ports.can import CanPort, PacedCanPort
from bench.ports.diagnostics import LinkError
from bench.wire.can import CanFrame
from bench.wire.isotp_address import AddressingMode, IsoTpAddress
from bench.wire.isotp_params import (
    CONSECUTIVE,
    CONTINUE,
    FLOW,
    FRAME_BYTES,
    Deadline,
    IsoTpError,
    IsoTpParams,
    st_min_to_ns,
)
from bench.wire.outcome import SENT, Outcome

WINDOW = 16
"""Frames handed to the port ahead when the receiver asks for no gap."""
WAKE_MARGIN_NS = 5 * NS_PER_MS
"""Its time-outs are looked at this long after they are due."""
SENDING: dict[type[Exception], IsoTpError] = {
    isotp.FlowControlTimeoutError: IsoTpError.TIMEOUT_BS,
    isotp.OverflowError: IsoTpError.BUFFER_OVERFLOW,
    isotp.MaximumWaitFrameReachedError: IsoTpError.WAIT_OVERRUN,
    isotp.UnsupportedWaitFrameError: IsoTpError.WAIT_OVERRUN,
}
RECEIVING: dict[type[Exception], IsoTpError] = {
    isotp.ConsecutiveFrameTimeoutError: IsoTpError.TIMEOUT_CR,
    isotp.WrongSequenceNumberError: IsoTpError.WRONG_SN,
    isotp.FrameTooLongError: IsoTpError.BUFFER_OVERFLOW,
    isotp.ReceptionInterruptedWithSingleFrameError: IsoTpError.UNEXPECTED_PDU,
    isotp.ReceptionInterruptedWithFirstFrameError: IsoTpError.UNEXPECTED_PDU,
}


class CanIsoTpLink:
    """Tester side of one address pair, done by can-isotp."""

    def __init__(
        self, clock: Clock, port: CanPort, address: IsoTpAddress, params: IsoTpParams, frame_flags: int | None = None
    ) -> None:
        """Begin to listen; `frame_flags` is FD and BRS of what is sent, by default both when `tx_dl` is over 8."""
        if frame_flags is None:
            frame_flags = FD | BRS if params.tx_dl > FRAME_BYTES else 0
        self._clock, self._port, self._address = clock, port, address
        self._flags = address.flags | frame_flags
        self._head = len(address.prefix)
        self._max_length, self._n_as_ns = params.max_length, params.n_as_ms * NS_PER_MS
        self._wake_ns = max(params.n_bs_ms, params.n_cr_ms) * NS_PER_MS + WAKE_MARGIN_NS
        self._answers = Answers(clock, address, params.n_cr_ms)
        self._inbox: deque[isotp.CanMessage] = deque()
        self._out: deque[bytes] = deque()
        self._outstanding = 0
        self._message = 0
        """Counts messages and what ended them: an outcome of a frame of an earlier one is nobody's."""
        self._gap_ns = 0
        self._last_sent_ns = 0
        self._done: asyncio.Future[str | None] | None = None
        self._n_as = Deadline(clock, self._not_sent)
        self._wake: Timer | None = None
        self._layer = isotp.TransportLayerLogic(
            rxfn=lambda _timeout: self._inbox.popleft() if self._inbox else None,
            txfn=self._take,
            address=library_address(address),
            error_handler=self._failed,
            params=library_params(params, frame_flags),
        )
        port.subscribe(self._on_frame, (address.rx_identifier,))
        port.on_bus_off(self._bus_off)

    # DiagLink ---------------------------------------------------------------------------------------

    async def send(self, payload: bytes) -> None:
        """Send one message; returns when its last frame is on the bus. Raises LinkError."""
        if self._done is not None:
            raise ValueError("a message is already being sent on this link")
        if not 0 < len(payload) <= self._max_length:
            raise ValueError(f"{len(payload)} bytes; this link carries 1 to {self._max_length}")
        self._done = asyncio.get_running_loop().create_future()
        try:
            self._layer.send(payload)
            self._process()
            error = await self._done
        except asyncio.CancelledError:
            self._give_up()
            raise
        finally:
            self._done = None
            self._n_as.clear()
        if error is not None:
            raise LinkError(error, "while sending")

    async def receive(self, start_within_ns: int) -> bytes:
        """Return the next message; AnswerTimeout when none began in time, LinkError when one broke off."""
        return await self._answers.receive(start_within_ns)

    def discard(self) -> int:
        """Drop what has arrived so far; returns how many messages."""
        return self._answers.discard()

    # Frames -----------------------------------------------------------------------------------------

    def _on_frame(self, frame: CanFrame, t_ns: int) -> None:
        if not self._address.accepts(frame) or frame.flags & REMOTE:
            return
        self._answers.saw_frame(frame.data)
        body = frame.data[0 if self._address.rx_extension is None else 1 :]
        if len(body) >= 3 and body[0] == FLOW << 4 | CONTINUE:
            # STmin is kept here, on the instants of frames on the bus: the library measures from its own calls, which
            # come late by the host.
            self._gap_ns = st_min_to_ns(body[2])
            self._last_sent_ns = t_ns - self._gap_ns  # the first frame of a block need not wait
        self._inbox.append(
            isotp.CanMessage(
                arbitration_id=frame.can_id,
                data=frame.data,
                dlc=len(frame.data),
                extended_id=self._address.id_29_bit,
                is_fd=bool(frame.flags & FD),
            )
        )
        self._process()

    def _process(self) -> None:
        """Let the library work, send what it wants sent, take what it received."""
        self._layer.process(0.0)
        while (payload := self._layer.recv()) is not None:
            self._answers.message(bytes(payload))
        self._pump()
        if self._wake is not None:
            self._wake.cancel()
            self._wake = None
        if self._layer.transmitting() or self._layer.is_rx_active():
            self._wake = self._clock.call_at_ns(self._clock.now_ns() + self._wake_ns, self._process)

    def _take(self, message: isotp.CanMessage) -> None:
        """Take a frame that the library wants sent; flow control does not wait behind a message of ours."""
        data = bytes(message.data)
        # Behind our own consecutive frames it would come later than N_Bs of the other side.
        if data[self._head] >> 4 == FLOW:
            self._port.send(CanFrame(self._address.tx_id, data, self._flags))
        else:
            self._out.append(data)

    def _pump(self) -> None:
        # With STmin each frame waits for the end of the one before; without, a few in the queue keep the bus busy.
        window = 1 if self._gap_ns else WINDOW
        while self._out and self._outstanding < window:
            self._put(self._out.popleft())
        if not self._out and not self._outstanding and not self._layer.transmitting():
            self._finish(None)

    def _put(self, data: bytes) -> None:
        now_ns = self._clock.now_ns()
        frame = CanFrame(self._address.tx_id, data, self._flags)
        due_ns = self._last_sent_ns + self._gap_ns if data[self._head] >> 4 == CONSECUTIVE else now_ns
        self._outstanding += 1
        self._n_as.set(max(due_ns, now_ns) + self._n_as_ns)
        if due_ns <= now_ns:
            self._port.send(frame, partial(self._ended, self._message))
        elif isinstance(self._port, PacedCanPort):
            self._port.send_at(frame, due_ns, partial(self._ended, self._message))
        else:
            self._clock.call_at_ns(due_ns, self._due, frame, self._message)

    def _due(self, frame: CanFrame, message: int) -> None:
        if message == self._message:
            self._port.send(frame, partial(self._ended, message))

    def _ended(self, message: int, outcome: Outcome) -> None:
        if message != self._message:
            return  # given up meanwhile
        if outcome.fate is not SENT:
            self._give_up()
            self._finish(IsoTpError.ERROR)
            return
        self._outstanding -= 1
        self._last_sent_ns = outcome.t_ns
        if self._outstanding:
            self._n_as.set(self._clock.now_ns() + self._n_as_ns)
        else:
            self._n_as.clear()
        self._pump()

    # Failures ---------------------------------------------------------------------------------------

    def _failed(self, error: Exception) -> None:
        """Translate what the library complains of; what the standard lets a receiver ignore is ignored."""
        if type(error) in SENDING:
            self._give_up()
            self._finish(SENDING[type(error)])
        elif type(error) in RECEIVING:
            self._answers.broke_off(RECEIVING[type(error)])

    def _not_sent(self) -> None:
        self._give_up()
        self._finish(IsoTpError.TIMEOUT_A)

    def _bus_off(self) -> None:
        """The data link failed: both directions end with N_ERROR."""
        if self._done is not None:
            self._give_up()
            self._finish(IsoTpError.ERROR)
        if self._layer.is_rx_active():
            self._layer.stop_receiving()
            self._answers.broke_off(IsoTpError.ERROR)

    def _give_up(self) -> None:
        # Library, queue and controller: a frame that stays in any of them goes out in the middle of the next message.
        self._message += 1
        self._layer.stop_sending()
        self._out.clear()
        self._outstanding = 0
        self._port.cancel(self._address.tx_id, self._address.flags, self._address.prefix)

    def _finish(self, error: str | None) -> None:
        if self._done is not None and not self._done.done():
            self._done.set_result(error)


def library_address(address: IsoTpAddress) -> isotp.Address:
    """Return an address pair in the library's words."""
    mode, wide = isotp.AddressingMode, address.id_29_bit
    ids: dict[str, Any] = {"txid": address.tx_id, "rxid": address.rx_id}
    if address.mode is AddressingMode.EXTENDED:
        name = mode.Extended_29bits if wide else mode.Extended_11bits
        return isotp.Address(name, **ids, source_address=address.rx_extension, target_address=address.tx_extension)
    if address.mode is AddressingMode.MIXED and not wide:
        return isotp.Address(mode.Mixed_11bits, **ids, address_extension=address.tx_extension)
    if address.mode is AddressingMode.MIXED:
        source, target = address.tx_id & 0xFF, address.tx_id >> 8 & 0xFF
        return isotp.Address(
            mode.Mixed_29bits, source_address=source, target_address=target, address_extension=address.tx_extension
        )
    return isotp.Address(mode.Normal_29bits if wide else mode.Normal_11bits, **ids)


def library_params(params: IsoTpParams, frame_flags: int) -> dict[str, Any]:
    """Return parameters in the library's words; its own pacing is off (see above)."""
    return {
        "blocksize": params.block_size,
        "stmin": params.st_min,
        "tx_padding": params.padding,
        "tx_data_length": params.tx_dl,
        "can_fd": bool(frame_flags & FD),
        "bitrate_switch": bool(frame_flags & BRS),
        "max_frame_size": params.max_length,
        "rx_flowcontrol_timeout": params.n_bs_ms,
        "rx_consecutive_frame_timeout": params.n_cr_ms,
        "wftmax": params.wait_frames_max,
        "override_receiver_stmin": 0,
        "blocking_send": False,
    }
