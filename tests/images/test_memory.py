from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images.memory import AddressRange, MemoryImage, Overlap, Segment, fit_to_region

REGION = AddressRange(0x0, 0x100)
cells = st.dictionaries(st.integers(0, 200), st.integers(0, 255), min_size=1, max_size=60)


def from_cells(memory: dict[int, int]) -> MemoryImage:
    return MemoryImage.of(Segment(address, bytes((value,))) for address, value in memory.items())


def to_cells(image: MemoryImage) -> dict[int, int]:
    return {s.address + n: value for s in image.segments for n, value in enumerate(s.data)}


@given(cells)
def test_segments_of_any_order_are_sorted_joined_and_keep_every_byte(memory: dict[int, int]) -> None:
    image = from_cells(memory)
    assert to_cells(image) == memory
    ends = [(r.start, r.end) for r in image.ranges]
    assert all(end < start for (_, end), (start, _) in pairwise(ends))


@given(cells, st.integers(0, 200), st.integers(0, 200))
def test_crop_splits_an_image_into_what_is_inside_and_the_ranges_left_out(
    memory: dict[int, int], one: int, other: int
) -> None:
    region = AddressRange(min(one, other), max(one, other))
    inside, outside = from_cells(memory).crop(region)
    assert to_cells(inside) == {a: v for a, v in memory.items() if region.start <= a < region.end}
    assert from_cells(memory).within(region) == inside
    left_out = {a for r in outside for a in range(r.start, r.end)}
    assert left_out == {a for a in memory if not region.start <= a < region.end}


@given(cells)
def test_fill_gives_one_segment_with_ff_in_the_gaps(memory: dict[int, int]) -> None:
    segment = from_cells(memory).fill(start=0, end=256)
    assert segment == Segment(0, bytes(memory.get(a, 0xFF) for a in range(256)))


def test_merge_of_images_that_claim_one_address_is_refused_with_the_range() -> None:
    one = MemoryImage.of([Segment(0x10, b"abcd")])
    with pytest.raises(Overlap, match=r"0x00000012\.\.0x00000014 \(2 bytes\) is given twice"):
        one.merge(MemoryImage.of([Segment(0x12, b"xyz")]))


@given(cells, cells)
def test_overlay_takes_the_later_byte_and_overlaps_names_the_shared_addresses(
    one: dict[int, int], later: dict[int, int]
) -> None:
    a, b = from_cells(one), from_cells(later)
    assert to_cells(a.overlay(b)) == one | later
    shared = {address for each in a.overlaps(b) for address in range(each.start, each.end)}
    assert shared == one.keys() & later.keys()
    assert a.overlaps(b) == b.overlaps(a)


@given(cells, st.sampled_from([1, 2, 8, 16, 64]))
def test_aligned_image_fills_whole_units_and_no_other_address(memory: dict[int, int], unit: int) -> None:
    found = to_cells(from_cells(memory).aligned(unit, 0xEE))
    units = {address // unit for address in memory}
    assert found.keys() == {n * unit + k for n in units for k in range(unit)}
    assert {address: found[address] for address in memory} == memory
    assert {found[address] for address in found.keys() - memory.keys()} <= {0xEE}


@pytest.mark.parametrize("unit", [0, -8, 12])
def test_unit_that_is_no_power_of_two_is_refused(unit: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        MemoryImage().aligned(unit)


def test_image_at_the_very_end_of_the_address_space_is_aligned() -> None:
    image = MemoryImage.of([Segment(0xFFFF_FFF1, b"x")]).aligned(16)
    assert image.ranges == (AddressRange(0xFFFF_FFF0, 0x1_0000_0000),)


def test_merge_of_touching_images_gives_one_segment() -> None:
    merged = MemoryImage.of([Segment(4, b"efgh")]).merge(MemoryImage.of([Segment(0, b"abcd")]))
    assert merged.segments == (Segment(0, b"abcdefgh"),)
    assert merged.size_bytes == 8


def test_segment_outside_the_region_is_refused_and_named_with_the_hint_crop() -> None:
    image = MemoryImage.of([Segment(0x10, b"inside"), Segment(0x1000, b"far away")])
    with pytest.raises(InputError, match=r"0x00001000\.\.0x00001008 \(8 bytes\)") as refusal:
        fit_to_region(image, REGION, crop=False, file="a.hex")
    assert "--crop" in str(refusal.value)
    assert str(REGION) in str(refusal.value)


def test_crop_leaves_out_what_is_outside_lists_it_and_fills_from_the_regions_start() -> None:
    image = MemoryImage.of([Segment(0x4, b"in"), Segment(0xFE, b"edge"), Segment(0x1000, b"far")])
    fitted = fit_to_region(image, REGION, crop=True)
    assert fitted.data == b"\xff" * 4 + b"in" + b"\xff" * 0xF8 + b"ed"
    assert fitted.load_address == 0
    assert fitted.left_out == (AddressRange(0x100, 0x102), AddressRange(0x1000, 0x1003))


def test_image_wholly_outside_the_region_is_refused_even_with_crop() -> None:
    with pytest.raises(InputError, match="nothing of this image"):
        fit_to_region(MemoryImage.of([Segment(0x1000, b"far")]), REGION, crop=True)


def test_fill_of_an_empty_image_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        MemoryImage().fill()


def test_fill_into_too_small_a_range_is_refused() -> None:
    with pytest.raises(ValueError, match="not inside"):
        MemoryImage.of([Segment(0x10, b"abcd")]).fill(0x10, 0x12)
