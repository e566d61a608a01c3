"""The time axis of a timeline: linear, but stretches without any event are shortened and drawn as breaks."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import pairwise

from bench.core.clock import NS_PER_S
from bench.evidence.view import AXIS_WIDTH, BINS, Anchor, Axis, Density, Gap

MIN_GAP_NS = 2 * NS_PER_S
GAP_WIDTH = 24.0
ALL_GAPS_WIDTH = 300.0
MAX_GAPS = 30


def make_axis(times_ns: Iterable[int], ended_t_ns: int) -> Axis:
    """Return an axis from 0 to the run's end; a silence longer than all that happened is shortened."""
    ended = max(1, ended_t_ns)
    times = sorted({0, ended, *(t for t in times_ns if 0 <= t <= ended)})
    silences = [(after - before, before, after) for before, after in pairwise(times)]
    busy_ns = sum(length for length, _, _ in silences if length < MIN_GAP_NS)
    long = [silence for silence in silences if silence[0] >= max(MIN_GAP_NS, busy_ns)]
    chosen = sorted(sorted(long, reverse=True)[:MAX_GAPS], key=lambda silence: silence[1])
    gaps = tuple(Gap(start_t_ns=start, end_t_ns=end) for _, start, end in chosen)
    return Axis(anchors=_anchors(ended, gaps), gaps=gaps)


def _anchors(ended_ns: int, gaps: Sequence[Gap]) -> tuple[Anchor, ...]:
    gap_width = min(GAP_WIDTH, ALL_GAPS_WIDTH / len(gaps)) if gaps else 0.0
    shown_ns = ended_ns - sum(gap.end_t_ns - gap.start_t_ns for gap in gaps)
    if shown_ns <= 0:
        return (Anchor(t_ns=0, x=0.0), Anchor(t_ns=ended_ns, x=AXIS_WIDTH))
    per_ns = (AXIS_WIDTH - gap_width * len(gaps)) / shown_ns
    x, t_ns = 0.0, 0
    anchors = [Anchor(t_ns=0, x=0.0)]
    for gap in gaps:
        x += (gap.start_t_ns - t_ns) * per_ns
        anchors.append(Anchor(t_ns=gap.start_t_ns, x=round(x, 3)))
        x, t_ns = x + gap_width, gap.end_t_ns
        anchors.append(Anchor(t_ns=t_ns, x=round(x, 3)))
    anchors.append(Anchor(t_ns=ended_ns, x=AXIS_WIDTH))
    return tuple(anchors)


class Ruler:
    """Turns instants into positions."""

    def __init__(self, axis: Axis) -> None:
        self._anchors = axis.anchors
        self._times = [anchor.t_ns for anchor in axis.anchors]

    def x(self, t_ns: int) -> float:
        """Return the position of an instant, 0 to 1000; instants outside the run stand at its ends."""
        number = bisect_right(self._times, t_ns)
        if number == 0:
            return 0.0
        if number >= len(self._anchors):
            return self._anchors[-1].x
        left, right = self._anchors[number - 1], self._anchors[number]
        if right.t_ns == left.t_ns:
            return left.x
        return left.x + (t_ns - left.t_ns) / (right.t_ns - left.t_ns) * (right.x - left.x)

    def density(self, kind: str, label: str, times_ns: Iterable[int]) -> Density:
        """Return how many of `times_ns` fall into each column."""
        counts = [0] * BINS
        total = 0
        for t_ns in times_ns:
            counts[min(BINS - 1, int(self.x(t_ns) * BINS / AXIS_WIDTH))] += 1
            total += 1
        return Density(kind=kind, label=label, counts=tuple(counts), total=total)
