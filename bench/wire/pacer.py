"""STmin kept by a port instead of the clock's timers: what lies between an ISO-TP endpoint and a paced port."""

from __future__ import annotations

from collections.abc import Callable

from bench.core.continuing import State
from bench.wire.can import CanFrame
from bench.wire.frame_run import FrameRun
from bench.wire.outcome import OutcomeCallback

SendAt = Callable[[CanFrame, int, OutcomeCallback | None], None]
"""Sends a frame not before an instant (`bench.ports.can.PacedCanPort.send_at`)."""


class Pacer:
    """Remembers the earliest instant of the next frame (`Pace`) and hands it on with that frame."""

    def __init__(self, send_at: SendAt) -> None:
        self._send_at, self._not_before_ns = send_at, 0

    def state(self, now_ns: int) -> State:
        """Return how long the next frame has to wait."""
        return (max(0, self._not_before_ns - now_ns),)

    def __call__(self, not_before_ns: int) -> None:
        """Note the earliest instant of the frame that is sent next."""
        self._not_before_ns = not_before_ns

    def send(self, frame: CanFrame, ended: OutcomeCallback | None = None, run: FrameRun | None = None) -> None:
        """Send a frame, not before the instant that was noted for it; frame by frame, whatever `run` offers."""
        del run
        not_before_ns, self._not_before_ns = self._not_before_ns, 0
        self._send_at(frame, not_before_ns, ended)
