"""A controller's transmit slot: what is sent again and again waits for the bus once, not many times over."""

from __future__ import annotations

from functools import partial

from bench.core.clock import NS_PER_S
from bench.core.continuing import State
from bench.ports.can import CanPort
from bench.wire.can import CanFrame
from bench.wire.outcome import Outcome

GIVEN_UP_NS = 10 * NS_PER_S
"""How long a frame is waited for: where an adapter's echo was lost and nothing else is sent, no outcome comes."""


class TransmitSlot:
    """The one place of a cyclic message. While nobody acknowledges it, later ones are left out, not queued behind."""

    def __init__(self, port: CanPort) -> None:
        self._port = port
        self._waits_since_ns: int | None = None
        self._number = 0

    def state(self, now_ns: int) -> State:
        """Return how long a frame has waited; an end of the wait is reckoned from that."""
        return () if self._waits_since_ns is None else (now_ns - self._waits_since_ns,)

    def send(self, frame: CanFrame, now_ns: int) -> bool:
        """Send, unless the one before still waits; returns whether it was taken."""
        since_ns = self._waits_since_ns
        if since_ns is not None and now_ns - since_ns < GIVEN_UP_NS:
            return False
        self._waits_since_ns = now_ns
        self._number += 1
        self._port.send(frame, partial(self._ended, self._number))
        return True

    def _ended(self, number: int, _outcome: Outcome) -> None:
        """The frame was sent, or will not be: the place is free, unless a later frame has it by now."""
        if number == self._number:
            self._waits_since_ns = None
