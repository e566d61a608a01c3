"""STmin kept by the port instead of the loop's timers: what lies between an ISO-TP endpoint and a paced port."""

from __future__ import annotations

from bench.ports import PacedCanPort, SentCallback
from bench.wire.can import CanFrame


class Pacer:
    """Remembers the earliest instant of the next frame (`Pace`) and hands it on with that frame."""

    def __init__(self, port: PacedCanPort) -> None:
        self._port, self._not_before_ns = port, 0

    def __call__(self, not_before_ns: int) -> None:
        """Note the earliest instant of the frame that is sent next."""
        self._not_before_ns = not_before_ns

    def send(self, frame: CanFrame, sent: SentCallback | None = None) -> None:
        """Send a frame through the port, not before the instant that was noted for it."""
        not_before_ns, self._not_before_ns = self._not_before_ns, 0
        self._port.send_at(frame, not_before_ns, sent)
