"""A controller's transmit slot: what is sent again and again waits for the bus once, not many times over."""

from __future__ import annotations

from bench.ports import CanPort
from bench.wire.can import CanFrame


class TransmitSlot:
    """The one place of a cyclic message. While nobody acknowledges it, later ones are left out, not queued behind."""

    def __init__(self, port: CanPort) -> None:
        self._port = port
        self._waits = False
        port.on_bus_off(self._emptied)

    def send(self, frame: CanFrame) -> bool:
        """Send, unless the one before still waits; returns whether it was taken."""
        if self._waits:
            return False
        self._waits = True
        self._port.send(frame, self._sent)
        return True

    def _sent(self, _t_ns: int) -> None:
        self._waits = False

    def _emptied(self) -> None:
        """The controller has left the bus: what waited is lost."""
        self._waits = False
