"""Durations of a whole message at once are those of its frames one by one, with arrays and without."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.records import BRS, EXTENDED, FD
from bench.wire import can_bulk
from bench.wire.can import CanFrame
from bench.wire.can_bulk import FEW_FRAMES, run_times_ns
from bench.wire.can_fd import frame_time_ns

LENGTHS = {0: 8, EXTENDED: 8, FD: 64, FD | BRS: 64, FD | BRS | EXTENDED: 20}


@settings(max_examples=80, deadline=None)
@given(data=st.data(), flags=st.sampled_from(tuple(LENGTHS)), count=st.integers(1, 60), front=st.integers(1, 2))
def test_run_takes_what_its_frames_take(data: st.DataObject, flags: int, count: int, front: int) -> None:
    can_id = data.draw(st.integers(0, 0x1FFFFFFF if flags & EXTENDED else 0x7FF))
    heads = tuple(bytes((0x55,) * (front - 1) + (0x20 | n,)) for n in range(16))
    part = LENGTHS[flags] - front
    payload = data.draw(st.binary(min_size=count * part, max_size=count * part))
    frames = [CanFrame(can_id, heads[i % 16] + payload[i * part : (i + 1) * part], flags) for i in range(count)]
    expected = [frame_time_ns(frame, 500_000, 2_000_000) for frame in frames]
    assert list(run_times_ns(can_id, flags, heads, payload, count, 500_000, 2_000_000)) == expected


@pytest.mark.parametrize("flags", LENGTHS)
def test_run_without_numpy_takes_the_same(flags: int, monkeypatch: pytest.MonkeyPatch) -> None:
    heads, count = tuple(bytes((0x20 | n,)) for n in range(16)), 4 * FEW_FRAMES
    payload = bytes(i * 37 & 0xFF for i in range(count * (LENGTHS[flags] - 1)))
    arguments = (0x123, flags, heads, payload, count, 500_000, 2_000_000)
    with_arrays = run_times_ns.__wrapped__(*arguments)
    monkeypatch.setattr(can_bulk, "NUMPY", None)
    assert run_times_ns.__wrapped__(*arguments) == with_arrays
