"""One memory image: sorted segments that neither touch nor overlap; merge, crop, fill."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from bench.core.errors import InputError

ERASED = 0xFF
"""What a byte of flash reads after an erase, and what gaps are filled with."""
ADDRESS_SPACE_BYTES = 1 << 32


@dataclass(frozen=True, slots=True, order=True)
class AddressRange:
    """Addresses from `start` up to, not including, `end`."""

    start: int
    end: int

    @property
    def size_bytes(self) -> int:
        """Return how many bytes lie in it."""
        return self.end - self.start

    def __str__(self) -> str:
        return f"0x{self.start:08X}..0x{self.end:08X} ({self.size_bytes} bytes)"


@dataclass(frozen=True, slots=True, order=True)
class Segment:
    """Bytes at an address."""

    address: int
    data: bytes

    @property
    def range(self) -> AddressRange:
        """Return the addresses it occupies."""
        return AddressRange(self.address, self.address + len(self.data))

    def part(self, start: int, end: int) -> Segment:
        """Return what lies from address `start` up to, not including, `end`; both inside the segment."""
        return Segment(start, self.data[start - self.address : end - self.address])


class Overlap(ValueError):
    """Two segments claim the same addresses."""

    def __init__(self, first: Segment, second: Segment) -> None:
        common = AddressRange(second.address, min(first.range.end, second.range.end))
        super().__init__(f"{common} is given twice")
        self.range, self.first, self.second = common, first, second


@dataclass(frozen=True, slots=True)
class MemoryImage:
    """What a firmware file says memory shall hold. Build it with `of`."""

    segments: tuple[Segment, ...] = ()

    @classmethod
    def of(cls, parts: Iterable[Segment]) -> MemoryImage:
        """Sort, join what touches, drop what is empty; `Overlap` when two parts claim one address."""
        joined: list[Segment] = []
        pieces: list[bytes] = []
        ordered = sorted((part for part in parts if part.data), key=lambda part: part.address)
        previous: Segment | None = None
        for part in ordered:
            if previous is not None and part.address < previous.range.end:
                raise Overlap(previous, part)
            if previous is not None and part.address > previous.range.end:
                joined.append(_join(previous, pieces))
                pieces = []
            pieces.append(part.data)
            previous = part
        if previous is not None:
            joined.append(_join(previous, pieces))
        return cls(tuple(joined))

    @property
    def size_bytes(self) -> int:
        """Return how many bytes are given (gaps not counted)."""
        return sum(len(segment.data) for segment in self.segments)

    @property
    def ranges(self) -> tuple[AddressRange, ...]:
        """Return the addresses of all segments, ascending."""
        return tuple(segment.range for segment in self.segments)

    def merge(self, other: MemoryImage) -> MemoryImage:
        """Return both images as one; `Overlap` when they claim the same addresses."""
        return MemoryImage.of((*self.segments, *other.segments))

    def overlaps(self, other: MemoryImage) -> tuple[AddressRange, ...]:
        """Return the addresses that both claim, ascending."""
        common: list[AddressRange] = []
        mine, theirs = list(self.ranges), list(other.ranges)
        m = n = 0
        while m < len(mine) and n < len(theirs):
            start, end = max(mine[m].start, theirs[n].start), min(mine[m].end, theirs[n].end)
            if start < end:
                common.append(AddressRange(start, end))
            if mine[m].end <= theirs[n].end:
                m += 1
            else:
                n += 1
        return tuple(common)

    def overlay(self, later: MemoryImage) -> MemoryImage:
        """Return both images as one; where both claim an address, `later` wins."""
        kept: list[Segment] = []
        covers = later.ranges
        n = 0
        for segment in self.segments:
            start, end = segment.range.start, segment.range.end
            while n < len(covers) and covers[n].end <= start:
                n += 1
            k = n
            while k < len(covers) and covers[k].start < end:
                if covers[k].start > start:
                    kept.append(segment.part(start, covers[k].start))
                start = min(end, covers[k].end)
                k += 1
            if start < end:
                kept.append(segment.part(start, end))
        return MemoryImage.of((*kept, *later.segments))

    def aligned(self, unit_bytes: int, value: int = ERASED) -> MemoryImage:
        """Return the image with each segment's start and end filled up to multiples of `unit_bytes`.

        `unit_bytes` is the smallest piece that the ECU's flash programs, a power of two; ValueError when it is none.
        """
        if unit_bytes < 1 or unit_bytes & (unit_bytes - 1):
            raise ValueError(f"a program unit is a power of two, not {unit_bytes}")
        pieces: list[Segment] = []
        done = 0
        starts = [segment.address for segment in self.segments[1:]] + [ADDRESS_SPACE_BYTES]
        for segment, following in zip(self.segments, starts, strict=False):
            start = max(done, segment.address // unit_bytes * unit_bytes)
            done = min(following, -(-segment.range.end // unit_bytes) * unit_bytes)
            pieces.append(Segment(start, bytes((value,)) * (segment.address - start)))
            pieces.append(segment)
            pieces.append(Segment(segment.range.end, bytes((value,)) * (done - segment.range.end)))
        return MemoryImage.of(pieces)

    def within(self, region: AddressRange) -> MemoryImage:
        """Return what lies inside `region`; found by bisection, so that many calls stay cheap."""
        first = bisect_right(self.segments, region.start, key=lambda segment: segment.range.end)
        inside: list[Segment] = []
        for n in range(first, len(self.segments)):
            segment = self.segments[n]
            start, end = max(segment.address, region.start), min(segment.range.end, region.end)
            if start >= end:
                break
            inside.append(segment.part(start, end))
        return MemoryImage(tuple(inside))

    def crop(self, region: AddressRange) -> tuple[MemoryImage, tuple[AddressRange, ...]]:
        """Return what lies inside `region` and the ranges that were left out, ascending."""
        inside: list[Segment] = []
        outside: list[AddressRange] = []
        for segment in self.segments:
            whole = segment.range
            start, end = max(whole.start, region.start), min(whole.end, region.end)
            if start >= end:
                outside.append(whole)
                continue
            inside.append(segment.part(start, end))
            outside += [AddressRange(a, b) for a, b in ((whole.start, start), (end, whole.end)) if a < b]
        return MemoryImage(tuple(inside)), tuple(outside)

    def fill(self, start: int | None = None, end: int | None = None, value: int = ERASED) -> Segment:
        """Return one segment from `start` to `end` (the image's own by default), gaps filled with `value`.

        ValueError when the image is empty and no range is given, or reaches beyond the range.
        """
        if not self.segments and (start is None or end is None):
            raise ValueError("an empty image has no address")
        first = self.segments[0].address if start is None else start
        last = self.segments[-1].range.end if end is None else end
        filled = bytearray(bytes((value,)) * max(0, last - first))
        for segment in self.segments:
            if segment.address < first or segment.range.end > last:
                raise ValueError(f"{segment.range} is not inside {AddressRange(first, last)}")
            filled[segment.address - first : segment.range.end - first] = segment.data
        return Segment(first, bytes(filled))


def _join(last: Segment, pieces: list[bytes]) -> Segment:
    data = b"".join(pieces)
    return Segment(last.range.end - len(data), data)


@dataclass(frozen=True, slots=True)
class FittedImage:
    """An image made contiguous for one ECU: what is downloaded to the region's first address on."""

    load_address: int
    data: bytes
    left_out: tuple[AddressRange, ...]


def fit_to_region(image: MemoryImage, region: AddressRange, *, crop: bool, file: str | None = None) -> FittedImage:
    """Make `image` contiguous from the region's first address on, gaps filled with 0xFF.

    `InputError` when segments lie outside the region (unless `crop`: then they are left out and listed), or when
    nothing of the image lies inside.
    """
    inside, outside = image.crop(region)
    if not inside.segments:
        raise InputError(
            "nothing of this image lies in the ECU's region",
            file=file,
            found=_listed(image.ranges),
            allowed=str(region),
        )
    if outside and not crop:
        raise InputError(
            "the image has segments outside the ECU's region",
            file=file,
            found=_listed(outside),
            allowed=str(region),
            hint="leave them out with --crop, or choose the image made for this ECU",
        )
    return FittedImage(region.start, inside.fill(start=region.start).data, outside)


def _listed(ranges: tuple[AddressRange, ...], at_most: int = 8) -> str:
    shown = ", ".join(str(r) for r in ranges[:at_most])
    return f"{shown} and {len(ranges) - at_most} more" if len(ranges) > at_most else shown or "no data"
