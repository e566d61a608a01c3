"""Which ranges are erased for segments: whole sectors, each once, whatever the order of the segments."""

from __future__ import annotations

from bench.flasher.recipe_parts import Erase
from bench.flasher.software import Segment
from bench.flasher.steps.erasing import ranges
from tests.recipes import recipe_named

SECTORS = recipe_named("single_bank").model_copy(update={"erase": Erase(granularity="sectors", sector_bytes=0x1000)})


def test_sectors_of_segments_that_are_not_in_ascending_order_are_all_erased() -> None:
    segments = [Segment.of(0x9000, bytes(16)), Segment.of(0x2000, bytes(0x1001))]
    assert list(ranges(SECTORS, segments)) == [(0x2000, 0x1000), (0x3000, 0x1000), (0x9000, 0x1000)]


def test_sector_that_two_segments_share_is_erased_once() -> None:
    segments = [Segment.of(0x2000, bytes(16)), Segment.of(0x2800, bytes(16))]
    assert list(ranges(SECTORS, segments)) == [(0x2000, 0x1000)]
