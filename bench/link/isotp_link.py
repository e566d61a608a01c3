"""ISO-TP as a `DiagLink`: our own state machine on a CAN port, for whole messages in coroutines."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Protocol
from weakref import WeakKeyDictionary

from bench.core.clock import NS_PER_MS, Clock
from bench.core.continuing import State, left_ns
from bench.core.records import BRS, FD, REMOTE
from bench.link.received import Received, Reception
from bench.ports.can import CanPort, PacedCanPort
from bench.ports.diagnostics import AnswerTimeout, LinkError
from bench.wire.can import CanFrame, made_can_frame
from bench.wire.frame_run import FrameRun
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpError, IsoTpParams
from bench.wire.isotp_params import FRAME_BYTES
from bench.wire.isotp_send import Framing
from bench.wire.outcome import SENT, Outcome, OutcomeCallback
from bench.wire.pacer import Pacer

_OWNED: WeakKeyDictionary[CanPort, set[IsoTpAddress]] = WeakKeyDictionary()
"""The address pairs that links of a port use."""


class Transmitter(Protocol):
    """Carries a frame out; `run` offers what would follow."""

    def __call__(self, data: bytes, ended: OutcomeCallback, run: FrameRun | None = None, /) -> None:
        """Send."""


class IsoTpLink:
    """Tester side of one address pair. One owner; one `receive` at a time."""

    def __init__(
        self,
        clock: Clock,
        port: CanPort,
        address: IsoTpAddress,
        params: IsoTpParams,
        frame_flags: int | None = None,
        *,
        classic_fallback: bool = False,
    ) -> None:
        """Begin to listen. ValueError when another link of this port has the same address pair.

        `frame_flags` is FD and BRS of what is sent, by default both when `params.tx_dl` is over 8. The ECU may
        answer in frames of the other kind. With `classic_fallback` a request that finds no answer makes the next one
        go out in classic frames (then in FD ones again, in turns, until one is answered): a bootloader may know no
        CAN FD. An FD frame of the ECU ends that.
        """
        _own(port, address)
        self._clock = clock
        self._address = address
        self._arrived = Received(clock)
        self._started = False
        self._until_ns: int | None = None
        """Until when an answer must begin, while somebody waits for one."""
        pacer = Pacer(port.send_at) if isinstance(port, PacedCanPort) else None

        def endpoint(params: IsoTpParams, frame_flags: int | None) -> IsoTpEndpoint:
            transmit = transmitter(pacer or port, address, params, frame_flags)
            found = IsoTpEndpoint(clock, params, transmit, self, abort, address, transmit, pacer)
            port.on_bus_off(found.fail)
            return found

        def abort() -> None:
            port.cancel(address.tx_id, address.flags, address.prefix)

        self._abort = abort
        self._endpoint = self._preferred = self._other = endpoint(params, frame_flags)
        if classic_fallback:
            self._other = endpoint(replace(params, tx_dl=FRAME_BYTES, tx_dl_min=FRAME_BYTES), 0)
        taker = None if classic_fallback else self._endpoint  # which of the two takes a run may change meanwhile
        port.subscribe(self._on_frame, (address.rx_identifier,), taker)

    def state(self, now_ns: int) -> State:
        """Return both kinds of endpoint, which of them is used, what has arrived, and until when more is waited for."""
        endpoints = tuple(each.state(now_ns) for each in dict.fromkeys((self._endpoint, self._other)))
        fell_back = self._endpoint is not self._preferred
        until_ns = left_ns(self._until_ns, now_ns)
        return endpoints, fell_back, self._started, self._arrived.state(now_ns), until_ns

    def _on_frame(self, frame: CanFrame, t_ns: int) -> None:
        if frame.can_id == self._address.rx_id and self._address.accepts(frame) and not frame.flags & REMOTE:
            # The ECU speaks CAN FD again (its application is back): FD is what the vehicle file asks for.
            if self._endpoint is not self._preferred and frame.flags & FD:
                self._switch()
            self._endpoint.on_frame(frame.data, t_ns)

    def _switch(self) -> None:
        """Use the other kind of frames from the next message on, unless one is under way."""
        if not self._endpoint.sending and not self._endpoint.receiving:
            self._endpoint, self._other = self._other, self._endpoint

    # IsoTpListener ----------------------------------------------------------------------------------

    def on_start(self, length: int) -> None:
        """Note that an answer began: P2 is over."""
        del length
        self._started = True

    def on_message(self, payload: bytes) -> None:
        """Queue a complete message."""
        self._ended(payload)

    def on_error(self, name: str) -> None:
        """Queue the failure of a reception."""
        self._ended(LinkError(name, "while receiving"))

    def _ended(self, reception: Reception) -> None:
        self._started = False
        self._arrived.add(reception)

    # DiagLink ---------------------------------------------------------------------------------------

    async def send(self, payload: bytes) -> None:
        """Send one message; returns when its last frame is on the bus. Raises LinkError."""
        done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._endpoint.send(payload, lambda error: None if done.done() else done.set_result(error))
        try:
            error = await done
        except asyncio.CancelledError:  # given up by the caller: the rest must not go out, the link is free again
            self._endpoint.fail()
            self._abort()
            raise
        if error is not None:
            # No flow control: the ECU may not have understood the first frame at all, as a controller without CAN FD
            # does not.
            if error == IsoTpError.TIMEOUT_BS:
                self._switch()
            raise LinkError(error, "while sending")

    async def receive(self, start_within_ns: int) -> bytes:
        """Return the next message; AnswerTimeout when none began in time, LinkError when one broke off."""
        self._until_ns = self._clock.now_ns() + start_within_ns
        try:
            while not self._arrived:
                if self._started:  # the answer is under way: N_Cr guards it, P2 no longer does
                    await self._arrived.wait(None)
                    continue
                await self._arrived.wait(self._until_ns)
                if not self._started and not self._arrived:
                    self._switch()
                    raise AnswerTimeout(f"no answer began within {start_within_ns / NS_PER_MS:g} ms")
            return self._arrived.take()
        finally:
            self._until_ns = None

    def discard(self) -> int:
        """Drop what has arrived so far; returns how many messages."""
        return self._arrived.discard()


class IsoTpFunctionalLink:
    """Functional addressing on one bus: single frames, no answer is collected."""

    def __init__(
        self, port: CanPort, address: IsoTpAddress, params: IsoTpParams, frame_flags: int | None = None
    ) -> None:
        """Build a sender to `address.tx_id`; `frame_flags` as in `IsoTpLink`."""
        self._port, self._address, self._n_as_ms = port, address, params.n_as_ms
        self._framing = Framing(address.prefix, params)
        self._transmit = transmitter(port, address, params, frame_flags)
        self._sending: asyncio.Future[Outcome] | None = None

    def state(self, now_ns: int) -> State:
        """Return whether a message is on its way; the port has it."""
        del now_ns
        return (self._sending is not None and not self._sending.done(),)

    async def send(self, payload: bytes) -> None:
        """Send one single frame; returns when it is on the bus. LinkError when it is not, within N_As at the latest.

        ValueError when it does not fit one frame (15765-2 allows no more functionally).
        """
        limit = self._framing.single_bytes
        if not 0 < len(payload) <= limit:
            raise ValueError(f"{len(payload)} bytes; functional messages carry 1 to {limit}")
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._sending = done
        data = self._framing.filled(self._framing.single(payload))
        self._transmit(data, lambda outcome: None if done.done() else done.set_result(outcome))
        try:
            # N_As holds for functional requests too (ISO 15765-2, 9.8.2): where nobody acknowledges nothing else ends.
            async with asyncio.timeout(self._n_as_ms / 1000):
                outcome = await done
        except TimeoutError:
            self._take_back()
            raise LinkError(IsoTpError.TIMEOUT_A, "nobody acknowledged the functional request") from None
        except asyncio.CancelledError:  # given up by the caller: it must not go out late
            self._take_back()
            raise
        if outcome.fate is not SENT:
            raise LinkError(IsoTpError.ERROR, f"the functional request was {outcome.fate}: {outcome.why}")

    def _take_back(self) -> None:
        self._port.cancel(self._address.tx_id, self._address.flags, self._address.prefix)


def transmitter(
    port: CanPort | Pacer, address: IsoTpAddress, params: IsoTpParams, frame_flags: int | None = None
) -> Transmitter:
    """Return what carries the frames of one side out: with its identifier, as classic or FD frames."""
    if frame_flags is None:
        frame_flags = FD | BRS if params.tx_dl > FRAME_BYTES else 0
    can_id, flags = address.tx_id, address.flags | frame_flags

    def transmit(data: bytes, ended: OutcomeCallback, run: FrameRun | None = None) -> None:
        port.send(made_can_frame(CanFrame, (can_id, data, flags)), ended, run)

    return transmit


def _own(port: CanPort, address: IsoTpAddress) -> None:
    owned = _OWNED.setdefault(port, set())
    for other in owned:
        if _same_pair(address, other):
            pair = f"0x{address.tx_id:X} and 0x{address.rx_id:X}"
            raise ValueError(f"another link of this port has the identifiers {pair} already")
    owned.add(address)


def _same_pair(one: IsoTpAddress, other: IsoTpAddress) -> bool:
    """Return whether two links would hear each other's answers: same identifiers, not told apart by address bytes."""
    if one.id_29_bit is not other.id_29_bit or one.rx_id != other.rx_id:
        return False
    return None in (one.rx_extension, other.rx_extension) or one.rx_extension == other.rx_extension
