"""A region of flash as the driver sees it: sectors of any sizes, one after the other."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import accumulate, chain, repeat
from math import gcd

MAX_PAGE_BYTES = 4096
"""What is copied, hashed and shared as one piece is no larger, and no sector's part of two."""


@dataclass(frozen=True, slots=True)
class SectorRun:
    """Equal sectors that follow each other."""

    count: int
    size_bytes: int
    erase_ns: int


def equal_sectors(size_bytes: int, sector_bytes: int, erase_ns: int) -> tuple[SectorRun, ...]:
    """Return the runs of a region whose sectors are all alike."""
    return (SectorRun(size_bytes // sector_bytes, sector_bytes, erase_ns),)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashRegion:
    """Sectors of one device. A protected region refuses every program and erase.

    Regions of one `partition` cannot be read while one of them is programmed or erased; an empty name means no limit.
    ValueError when the runs do not make up the region.
    """

    name: str
    base_address: int
    size_bytes: int
    unit_bytes: int
    program_ns: int
    runs: tuple[SectorRun, ...]
    protected: bool = False
    device: str = "internal"
    partition: str = ""
    endurance_cycles: int | None = None
    begins: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Offset of each sector, and the region's end."""
    page_bytes: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        sizes = chain.from_iterable(repeat(run.size_bytes, run.count) for run in self.runs)
        begins = (0, *accumulate(sizes))
        if begins[-1] != self.size_bytes:
            raise ValueError(f"{self.name}: the sectors make up {begins[-1]} bytes, the region has {self.size_bytes}")
        object.__setattr__(self, "begins", begins)
        common = gcd(*(run.size_bytes for run in self.runs))
        object.__setattr__(self, "page_bytes", _page_bytes(common, self.unit_bytes))

    @property
    def sector_count(self) -> int:
        """How many sectors there are."""
        return len(self.begins) - 1

    def sector_at(self, offset: int) -> int:
        """Return the index of the sector that holds a byte."""
        return bisect_right(self.begins, offset) - 1

    def sectors_of(self, offset: int, length: int) -> range:
        """Return the indexes of the sectors that a range touches."""
        return range(self.sector_at(offset), self.sector_at(offset + length - 1) + 1) if length else range(0)

    def erase_ns(self, sector: int) -> int:
        """Return how long the erase of a sector takes."""
        for run in self.runs:
            if sector < run.count:
                return run.erase_ns
            sector -= run.count
        raise IndexError(f"{self.name} has {self.sector_count} sectors")

    def units_of(self, offset: int, length: int) -> tuple[int, int]:
        """Return (first, count) of the program units that a range touches."""
        first = offset // self.unit_bytes
        return first, -(-(offset + length) // self.unit_bytes) - first


def _page_bytes(common: int, unit_bytes: int) -> int:
    """Return the largest divisor of `common` that is whole units and no larger than a page may be."""
    units = common // unit_bytes
    fits = (parts for parts in range(1, units + 1) if units % parts == 0 and common // parts <= MAX_PAGE_BYTES)
    return common // next(fits, max(units, 1))
