"""Merging, aligning and checking images for a user: what the refusals name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images import shaping
from bench.images.memory import AddressRange, MemoryImage, Segment
from bench.images.shaping import aligned, check_within, merged

A = MemoryImage.of([Segment(0x100, b"abcd"), Segment(0x200, b"efgh")])
B = MemoryImage.of([Segment(0x202, b"XYZ"), Segment(0x300, b"!")])


def test_merge_of_files_that_overlap_is_refused_with_both_ranges() -> None:
    with pytest.raises(InputError, match="two files claim the same addresses") as refusal:
        merged([("boot.hex", MemoryImage()), ("a.hex", A), ("b.hex", B)], later_wins=False)
    told = str(refusal.value)
    assert "a.hex has 0x00000200..0x00000204 (4 bytes), b.hex has 0x00000202..0x00000205 (3 bytes)" in told
    assert "both have 0x00000202..0x00000204 (2 bytes)" in told
    assert "--later-wins" in told


def test_merge_where_the_later_wins_takes_its_bytes() -> None:
    image = merged([("a.hex", A), ("b.hex", B)], later_wins=True)
    assert image.segments == (Segment(0x100, b"abcd"), Segment(0x200, b"efXYZ"), Segment(0x300, b"!"))


def test_merge_and_align_over_the_size_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shaping, "MAX_IMAGE_BYTES", 9)
    with pytest.raises(InputError, match="too large"):
        merged([("a.hex", A), ("b.hex", B)], later_wins=True)
    with pytest.raises(InputError, match="too large"):
        aligned(A, 16, 0xFF, file="a.hex")


def test_data_outside_the_named_ranges_are_refused_with_both_sides() -> None:
    named = [("boot", AddressRange(0x100, 0x104)), ("app", AddressRange(0x1F0, 0x203))]
    with pytest.raises(InputError, match="outside the allowed ranges") as refusal:
        check_within(A, named, file="a.hex")
    assert "0x00000203..0x00000204 (1 bytes)" in str(refusal.value)
    assert "boot 0x00000100..0x00000104 (4 bytes), app " in str(refusal.value)


def test_image_within_the_named_ranges_together_is_let_through() -> None:
    check_within(A, [], file="a.hex")
    halves = [("low", AddressRange(0x100, 0x202)), ("high", AddressRange(0x202, 0x300))]
    check_within(A, halves, file="a.hex")


@given(st.sets(st.integers(0, 30), min_size=1), st.lists(st.tuples(st.integers(0, 30), st.integers(1, 9)), min_size=1))
def test_check_names_exactly_the_images_that_lie_inside(memory: set[int], ranges: list[tuple[int, int]]) -> None:
    image = MemoryImage.of(Segment(address, b"x") for address in memory)
    inside = {address for start, size in ranges for address in range(start, start + size)}
    try:
        check_within(image, [("r", AddressRange(start, start + size)) for start, size in ranges], file="f")
        good = True
    except InputError:
        good = False
    assert good == (memory <= inside)
