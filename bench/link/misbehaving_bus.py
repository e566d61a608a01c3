"""A CAN bus on which one ECU's ISO-TP misbehaves: what lies between a simulated ECU and its bus."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from bench.core.node import Incarnation
from bench.core.records import EXTENDED
from bench.ports.can import CanBus, CanPort, FrameCallback, PacedCanPort
from bench.wire.can import CanFrame
from bench.wire.frame_run import FrameRun, RunTaker
from bench.wire.isotp_address import IsoTpAddress
from bench.wire.isotp_misbehave import Misbehaver, Misbehaviour
from bench.wire.outcome import OutcomeCallback, ignore_outcome

Note = Callable[[str], None]


class MisbehavingBus:
    """A `CanBus` for one ECU; each of its lives misbehaves as was chosen, messages are counted over all of them."""

    def __init__(
        self, bus: CanBus, address: IsoTpAddress, chosen: Sequence[Misbehaviour], note: Note = lambda _name: None
    ) -> None:
        """`address` is the tester's view of the connection; `note` is told the name of each injector that strikes."""
        self._bus, self._address, self._chosen, self._note = bus, address, chosen, note

    @property
    def fd(self) -> bool:
        """Whether the bus carries CAN FD frames."""
        return self._bus.fd

    def attach(self, life: Incarnation) -> CanPort:
        """See `CanBus.attach`."""
        port = self._bus.attach(life)
        kind = _PacedPort if isinstance(port, PacedCanPort) else _Port
        return kind(life, port, self._address, self._chosen, self._note)


class _Port:
    """One life's port; frame by frame, whatever runs are offered."""

    def __init__(
        self, life: Incarnation, port: CanPort, address: IsoTpAddress, chosen: Sequence[Misbehaviour], note: Note
    ) -> None:
        self._port, self._address = port, address
        prefix_bytes = 0 if address.rx_extension is None else 1
        self._misbehaver = Misbehaver(life, chosen, self._put, prefix_bytes, note)
        self._flags = 0

    def send(self, frame: CanFrame, ended: OutcomeCallback | None = None, run: FrameRun | None = None) -> None:
        """See `CanPort.send`."""
        del run
        if not self._address.accepts(frame):
            self._port.send(frame, ended)
            return
        self._flags = frame.flags
        self._misbehaver.transmit(frame.data, ended or ignore_outcome)

    def _put(self, data: bytes, ended: OutcomeCallback) -> None:
        self._port.send(CanFrame(self._address.rx_id, data, self._flags), ended)

    def cancel(self, can_id: int, flags: int = 0, prefix: bytes = b"") -> None:
        """See `CanPort.cancel`."""
        self._port.cancel(can_id, flags, prefix)

    def subscribe(
        self, callback: FrameCallback, identifiers: Sequence[int] | None = None, taker: RunTaker | None = None
    ) -> None:
        """See `CanPort.subscribe`."""
        del taker
        mine = self._address.tx_identifier
        if identifiers is not None and mine not in identifiers:
            self._port.subscribe(callback, identifiers)
            return

        def heard(frame: CanFrame, t_ns: int) -> None:
            if self._is_request(frame):
                self._misbehaver.heard(frame.data)
            callback(frame, t_ns)

        self._port.subscribe(heard, identifiers)

    def _is_request(self, frame: CanFrame) -> bool:
        same_id = frame.can_id == self._address.tx_id and frame.flags & EXTENDED == self._address.flags
        return same_id and frame.data.startswith(self._address.prefix)

    def on_bus_off(self, callback: Callable[[], None]) -> None:
        """See `CanPort.on_bus_off`."""
        self._port.on_bus_off(callback)


class _PacedPort(_Port):
    """The same on a port that keeps short gaps."""

    _not_before_ns = 0

    def send_at(self, frame: CanFrame, not_before_ns: int, ended: OutcomeCallback | None = None) -> None:
        """See `PacedCanPort.send_at`."""
        self._not_before_ns = not_before_ns
        try:
            self.send(frame, ended)
        finally:
            self._not_before_ns = 0

    def _put(self, data: bytes, ended: OutcomeCallback) -> None:
        frame = CanFrame(self._address.rx_id, data, self._flags)
        cast("PacedCanPort", self._port).send_at(frame, self._not_before_ns, ended)
