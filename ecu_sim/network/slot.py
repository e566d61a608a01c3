"""A controller's transmit slot: what is sent again and again waits for the bus once, not many times over."""

from __future__ import annotations

from bench.core.clock import NS_PER_S
from bench.core.continuing import State
from bench.ports.can import CanPort
from bench.wire.can import CanFrame

GIVEN_UP_NS = 10 * NS_PER_S
"""How long a frame is waited for: an interface may have refused it, and nobody is told of that."""


class TransmitSlot:
    """The one place of a cyclic message. While nobody acknowledges it, later ones are left out, not queued behind."""

    def __init__(self, port: CanPort) -> None:
        self._port = port
        self._waits_since_ns: int | None = None
        port.on_bus_off(self._emptied)

    def state(self, now_ns: int) -> State:
        """Return how long a frame has waited; an end of the wait is reckoned from that."""
        return () if self._waits_since_ns is None else (now_ns - self._waits_since_ns,)

    def send(self, frame: CanFrame, now_ns: int) -> bool:
        """Send, unless the one before still waits; returns whether it was taken."""
        since_ns = self._waits_since_ns
        if since_ns is not None and now_ns - since_ns < GIVEN_UP_NS:
            return False
        self._waits_since_ns = now_ns
        self._port.send(frame, self._sent)
        return True

    def _sent(self, _t_ns: int) -> None:
        self._waits_since_ns = None

    def _emptied(self) -> None:
        """The controller has left the bus: what waited is lost."""
        self._waits_since_ns = None
