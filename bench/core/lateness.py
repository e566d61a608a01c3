"""How late the host was: in real time a machine that stands still for a while looks like an ECU that is slow.

Deadlines of ISO 14229-2 and ISO 15765-2 are tens of milliseconds; a busy machine, a collection of garbage or a
suspended process takes longer than that. What is measured here lets the judge tell the one from the other.
"""

from __future__ import annotations

from bench.core.records import Lateness, Stall

LOOK_EVERY_NS = 10_000_000
"""How often the loop is asked whether it is alive."""
STALL_NS = 10_000_000
"""A look that comes so much later than it was due is a stall; ordinary timers come one or two milliseconds late."""


class HostWatch:
    """Collects by how much callbacks came later than they were due."""

    def __init__(self) -> None:
        self._largest_lag_ns = 0
        self._stalls: list[Stall] = []

    def came(self, due_ns: int, now_ns: int) -> None:
        """Note that what was due at one instant came at another."""
        self._largest_lag_ns = max(self._largest_lag_ns, now_ns - due_ns)

    def looked(self, due_ns: int, now_ns: int) -> None:
        """Note a look at the loop that was due at one instant and came at another."""
        self.came(due_ns, now_ns)
        if now_ns - due_ns >= STALL_NS:
            self._stalls.append(Stall(due_ns, now_ns - due_ns))

    def seen(self) -> Lateness:
        """Return what was measured so far."""
        longest_ns = max((stall.length_ns for stall in self._stalls), default=0)
        return Lateness(longest_ns, self._largest_lag_ns, tuple(self._stalls))
