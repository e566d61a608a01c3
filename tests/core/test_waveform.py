"""A voltage over time: linear pieces, steps, and the exact instant of a crossing."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.waveform import Waveform

corners = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 10)), min_size=1, max_size=6)


def made(steps: list[tuple[int, int]]) -> Waveform:
    """A waveform whose points are so far apart."""
    times = accumulate(gap for gap, _ in steps)
    return Waveform(tuple(zip(times, (mv for _, mv in steps), strict=True)))


def test_voltage_between_points_is_linear_and_a_step_has_its_later_value() -> None:
    wave = Waveform(((0, 1000), (10, 2000), (10, 500), (20, 500)))
    assert [wave.at(t) for t in (-5, 0, 5, 9, 10, 15, 99)] == [1000, 1000, 1500, 1900, 500, 500, 500]
    assert wave.end_ns == 20


@given(corners, st.integers(0, 11), st.integers(-3, 80))
def test_next_crossing_is_the_first_nanosecond_on_the_other_side(
    steps: list[tuple[int, int]], level_mv: int, after_ns: int
) -> None:
    wave = made(steps)
    below = wave.at(after_ns) < level_mv
    wanted = next((t for t in range(after_ns + 1, 100) if (wave.at(t) < level_mv) != below), None)
    assert wave.next_crossing(level_mv, after_ns) == wanted


def test_scaled_waveform_is_stretched_and_deepened_around_the_voltage_at_rest() -> None:
    wave = Waveform(((0, 13_500), (1000, 3_500))).scaled(2.0, 0.5)
    assert wave.points == ((0, 13_500), (2000, 8_500))
    assert Waveform(((0, 3_500),)).scaled(1.0, 3.0).points == ((0, 0),)


@pytest.mark.parametrize(("points", "why"), [((), "needs a point"), (((5, 1), (4, 1)), "order of time")])
def test_waveform_without_points_or_out_of_order_is_refused(points: tuple[tuple[int, int], ...], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        Waveform(points)
