"""How late the bench itself was in real time: what the host did not do in time no part can answer for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Stall(NamedTuple):
    """From `t_ns` on this machine did nothing of what was due, for at least `length_ns`."""

    t_ns: int
    length_ns: int


@dataclass(frozen=True, slots=True)
class Lateness:
    """What the run measured of its own host."""

    longest_stall_ns: int
    largest_lag_ns: int
    """By how much the latest of all timers came after its time."""
    stalls: tuple[Stall, ...] = ()
    """In order of time."""
