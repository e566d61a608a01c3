"""Erasing (31 01, routine of the recipe), by the granularity of the recipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.flasher.checks import check_status
from bench.flasher.recipe import Recipe
from bench.flasher.services import erase_option, start_routine
from bench.flasher.software import PartKind, Segment
from bench.flasher.task import At, Plan, Task, Turn


@dataclass(frozen=True, slots=True)
class EraseRange(Task):
    """One range of linked addresses; the answer comes when it is erased."""

    address: int
    length_bytes: int

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        option = erase_option(self.address, self.length_bytes, at.recipe.transfer)
        # The answer comes when the erase has ended (ISO 14229-1, 0x31, a routine without 31 03): seconds, spanned by
        # 0x78.
        return at.request(self, start_routine(_routine(at), option))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        check_status(_routine(at), value, at.recipe.check)
        return at.over()


def _routine(at: At) -> int:
    assert at.recipe.routines.erase is not None, "the recipe was checked: a step has its routine"
    return at.recipe.routines.erase


def erase_image(plan: Plan) -> tuple[Task, ...]:
    """Return what erases all that the software will fill."""
    places = plan.software.of_kind(PartKind.SOFTWARE)
    segments = [segment for place in places for segment in plan.software.parts[place].segments]
    return tuple(EraseRange(address, length_bytes) for address, length_bytes in ranges(plan.recipe, segments))


def ranges(recipe: Recipe, segments: Iterable[Segment]) -> Iterator[tuple[int, int]]:
    """Yield (address, length) of each call: each segment, the whole region, or the sectors that are touched, once."""
    rules, memory = recipe.erase, recipe.memory
    # Some bootloaders know only their whole region (FF00 with any other range: 0x31).
    if rules.granularity == "region":
        yield memory.region_base, memory.region_size
        return
    end = memory.region_base + memory.region_size
    done = memory.region_base
    for segment in sorted(segments, key=lambda each: each.address):
        if rules.sector_bytes is None:
            yield segment.address, segment.size_bytes
            continue
        # Flash is erased by whole sectors: a range that begins within one takes all of it along, and a second erase of
        # a sector that two segments share would take the first one's bytes.
        first = segment.address - (segment.address - memory.region_base) % rules.sector_bytes
        for sector in range(max(first, done), segment.end, rules.sector_bytes):
            yield sector, min(rules.sector_bytes, end - sector)
            done = sector + rules.sector_bytes
