"""A voltage over time, linear between points; when it crosses a level is computed, never polled."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

NOMINAL_MV = 13_500
"""A supply at rest: the car's generator runs."""


@dataclass(frozen=True, slots=True)
class Waveform:
    """`points` are (ns, mV) in order of time; two at one instant are a step, and the later one holds there.

    Before the first and after the last point the voltage stays as that point says.
    """

    points: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        if not self.points:
            raise ValueError("a waveform needs a point")
        if any(later[0] < earlier[0] for earlier, later in pairwise(self.points)):
            raise ValueError("the points of a waveform are not in order of time")

    @property
    def end_ns(self) -> int:
        """When the last point is reached."""
        return self.points[-1][0]

    def at(self, t_ns: int) -> int:
        """Return the voltage in millivolts, rounded down."""
        for (t0, mv0), (t1, mv1) in pairwise(self.points):
            if t0 <= t_ns < t1:
                return mv0 + (mv1 - mv0) * (t_ns - t0) // (t1 - t0)
        return self.points[0 if t_ns < self.points[0][0] else -1][1]

    def next_crossing(self, level_mv: int, after_ns: int) -> int | None:
        """Return the first nanosecond after `after_ns` at which below turns into not below `level_mv`, or back."""
        below = self.at(after_ns) < level_mv
        for t_ns in self._turns(level_mv):
            if t_ns > after_ns and (self.at(t_ns) < level_mv) != below:
                return t_ns
        return None

    def _turns(self, level_mv: int) -> Iterator[int]:
        """Yield every instant at which the level may be crossed: the points, and where a slope passes it."""
        for (t0, mv0), (t1, mv1) in pairwise(self.points):
            yield t0
            if t1 > t0 and (mv0 < level_mv) != (mv1 < level_mv):
                yield _instant(t0, mv0, t1, mv1, level_mv)
        yield self.end_ns

    def scaled(self, time_scale: float, depth_scale: float, nominal_mv: int = NOMINAL_MV) -> Waveform:
        """Return the same shape, stretched in time, its distance from `nominal_mv` multiplied; never below 0 mV."""
        return Waveform(
            tuple(
                (round(t_ns * time_scale), max(0, nominal_mv + round((mv - nominal_mv) * depth_scale)))
                for t_ns, mv in self.points
            )
        )


def _instant(t0: int, mv0: int, t1: int, mv1: int, level_mv: int) -> int:
    """Return the first nanosecond of a slope on the other side of the level, which its ends lie around."""
    if mv1 < mv0:
        return t0 + (mv0 - level_mv) * (t1 - t0) // (mv0 - mv1) + 1
    return t0 - (-(level_mv - mv0) * (t1 - t0) // (mv1 - mv0))


STEADY = Waveform(((0, NOMINAL_MV),))
"""Nothing happens."""
