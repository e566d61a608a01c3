"""An adapter's time stamps in the run's time: earlier than the reader's own look at the clock, never too early."""

from __future__ import annotations

from bench.core.clock import NS_PER_S, NS_PER_US

HOST_STAMPS = ("socketcan", "udp_multicast", "virtual")
"""Interfaces whose stamps are this machine's; those of others come from a quartz of their own."""
WINDOW_NS = NS_PER_S
"""How long the smallest delay is remembered, at least; twice that at most."""
DRIFT_NS = 200 * NS_PER_US
"""By how much two quartzes part within two windows (100 ppm): stamps of an adapter are taken that much later."""
SET_ANEW_NS = NS_PER_S
"""A delay that grew by more means that one of the clocks was set."""


class Stamps:
    """Learns what lies between an adapter's clock and ours from the frame that was the least late.

    That frame too was late by something, so a stamp is never dated before the frame's end; and never after the instant
    at which the reader had it. An adapter without stamps (0) leaves that instant.
    """

    def __init__(self, interface: str) -> None:
        self._slack_ns = 0 if interface in HOST_STAMPS else DRIFT_NS
        self._begun_ns: int | None = None
        self._least_ns = self._least_before_ns = 0
        self.used = 0
        """How many frames were dated by a stamp."""

    def dated(self, stamp_s: float, arrived_ns: int) -> int:
        """Return when a frame ended that has this stamp and was read at `arrived_ns`."""
        if stamp_s <= 0:
            return arrived_ns
        self.used += 1
        delay_ns = arrived_ns - round(stamp_s * NS_PER_S)
        self._learn(delay_ns, arrived_ns)
        least_ns = min(self._least_ns, self._least_before_ns)
        return min(arrived_ns, arrived_ns - (delay_ns - least_ns) + self._slack_ns)

    def _learn(self, delay_ns: int, arrived_ns: int) -> None:
        begun_ns = self._begun_ns
        too_old = begun_ns is None or arrived_ns - begun_ns >= 2 * WINDOW_NS
        if too_old or delay_ns - min(self._least_ns, self._least_before_ns) > SET_ANEW_NS:
            self._begun_ns, self._least_ns, self._least_before_ns = arrived_ns, delay_ns, delay_ns
        elif begun_ns is not None and arrived_ns - begun_ns >= WINDOW_NS:
            self._begun_ns, self._least_before_ns, self._least_ns = arrived_ns, self._least_ns, delay_ns
        else:
            self._least_ns = min(self._least_ns, delay_ns)
