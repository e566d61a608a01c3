"""An ECU's diagnostic connection: frames to requests, responses to frames (ISO 15765-2)."""

from __future__ import annotations

from collections.abc import Callable

from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.records import EXTENDED, FD, REMOTE, CanAddress
from bench.ports.can import CanPort, PacedCanPort
from bench.wire.can import CanFrame, identifier_of
from bench.wire.frame_run import FrameRun
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint
from bench.wire.isotp_habits import IsoTpHabits
from bench.wire.isotp_params import FRAME_BYTES
from bench.wire.outcome import OutcomeCallback
from bench.wire.pacer import Pacer
from ecu_sim.uds.server import FIRST_TESTER, Send, UdsServer


class DiagConnection:
    """The connection of one life of an ECU to one tester; the first one's hears functional requests too."""

    def __init__(
        self,
        life: Incarnation,
        port: CanPort,
        address: IsoTpAddress,
        functional: CanAddress | None,
        habits: IsoTpHabits,
        *,
        hears_fd: bool,
        tester: int = FIRST_TESTER,
    ) -> None:
        self._port, self._address, self._functional, self._tester = port, address, functional, tester
        self._ignored_flags = REMOTE if hears_fd else REMOTE | FD
        self._flags = address.flags | habits.frame_flags
        pacer = Pacer(port.send_at) if isinstance(port, PacedCanPort) else None
        self._send_frame = (pacer or port).send
        self._endpoint = IsoTpEndpoint(
            life, habits.params(), self._transmit, self, self._take_back, address, self._transmit, pacer
        )
        self.send: Send = self._endpoint.send
        self.server: UdsServer | None = None
        self._on_request: Callable[[], None] = lambda: None

    def state(self, now_ns: int) -> State:
        """Return what is on its way to and fro."""
        return self._endpoint.state(now_ns)

    def on_request(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever a request has come."""
        self._on_request = callback

    def open(self, server: UdsServer) -> None:
        """Begin to listen."""
        self.server = server
        address, functional = self._address, self._functional
        self._port.on_bus_off(self._endpoint.fail)
        taker = None if self._ignored_flags & FD else self._endpoint
        self._port.subscribe(self._heard, (address.rx_identifier,), taker)
        if functional is None:
            return
        to_all = identifier_of(functional.can_id, EXTENDED if functional.id_29_bit else 0)
        if to_all != address.rx_identifier:  # else the address byte tells them apart
            self._port.subscribe(self._heard, (to_all,))

    def _transmit(self, data: bytes, ended: OutcomeCallback, run: FrameRun | None = None) -> None:
        self._send_frame(CanFrame(self._address.tx_id, data, self._flags), ended, run)

    def _take_back(self) -> None:
        """A frame was not sent within N_As or N_Ar: it must not meet whoever joins the bus later."""
        self._port.cancel(self._address.tx_id, self._address.flags, self._address.prefix)

    def _heard(self, frame: CanFrame, t_ns: int) -> None:
        can_id, data, flags = frame
        if flags & self._ignored_flags:
            return
        if self._address.accepts(frame):
            self._endpoint.on_frame(data, t_ns)
        elif self._functional is not None and can_id == self._functional.can_id and self.server is not None:
            pdu = functional_request(frame, self._functional)
            if pdu is not None:
                self._on_request()
                self.server.received(pdu, functional=True)

    def on_start(self, length: int) -> None:
        """See `IsoTpListener`."""
        del length
        if self.server is not None:
            self.server.reception_began()

    def on_message(self, payload: bytes) -> None:
        """See `IsoTpListener`."""
        if self.server is not None:
            self._on_request()
            self.server.reception_completed(payload, tester=self._tester)

    def on_error(self, name: str) -> None:
        """See `IsoTpListener`."""
        del name
        if self.server is not None:
            self.server.reception_broke_off()


def functional_request(frame: CanFrame, address: CanAddress) -> bytes | None:
    """Return the payload of an ISO-TP single frame to `address`, or None: functional requests are nothing else."""
    prefix = b"" if address.extension is None else bytes((address.extension,))
    other_format = bool(frame.flags & EXTENDED) is not address.id_29_bit
    if other_format or not frame.data.startswith(prefix):
        return None
    start = len(prefix)
    # Functional requests are single frames (ISO 15765-2:2016, 9.6, from memory): with several receivers nobody could
    # send flow control for all.
    if len(frame.data) > FRAME_BYTES and frame.data[start] == 0:
        start += 1  # over 8 data bytes the length has a byte of its own
    elif len(frame.data) > FRAME_BYTES:
        return None
    length, data = frame.data[start : start + 1], frame.data[start + 1 :]
    return data[: length[0]] if length and 0 < length[0] <= len(data) else None
