"""What two memory images hold differently, address by address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from bench.images.memory import AddressRange, MemoryImage

STEP_BYTES = 4096
"""Equal stretches are passed over in steps of this size."""


class Kind(StrEnum):
    """How a range differs."""

    CHANGED = "changed"
    ONLY_A = "only_a"
    ONLY_B = "only_b"


@dataclass(frozen=True, slots=True)
class Difference:
    """Consecutive addresses that differ in one way; `a` and `b` are the first bytes, None where there is none."""

    range: AddressRange
    kind: Kind
    a: int | None
    b: int | None


def differences(a: MemoryImage, b: MemoryImage) -> tuple[Difference, ...]:
    """Return every range that differs, ascending; none when both hold the same bytes at the same addresses."""
    edges = sorted({edge for image in (a, b) for r in image.ranges for edge in (r.start, r.end)})
    in_a, in_b = _Cursor(a), _Cursor(b)
    found: list[Difference] = []
    for start, end in pairwise(edges):
        found += _between(in_a.take(start, end), in_b.take(start, end), AddressRange(start, end))
    return tuple(_joined(found))


class _Cursor:
    """Hands out an image's bytes, ascending."""

    def __init__(self, image: MemoryImage) -> None:
        self._segments, self._n = image.segments, 0

    def take(self, start: int, end: int) -> bytes | None:
        """Return the bytes from `start` to `end`, which no segment's edge divides; None where there are none."""
        while self._n < len(self._segments) and self._segments[self._n].range.end <= start:
            self._n += 1
        if self._n == len(self._segments) or self._segments[self._n].address > start:
            return None
        segment = self._segments[self._n]
        return segment.data[start - segment.address : end - segment.address]


def _between(a: bytes | None, b: bytes | None, where: AddressRange) -> Iterator[Difference]:
    if a is not None and b is not None:
        yield from (
            Difference(AddressRange(where.start + start, where.start + end), Kind.CHANGED, a[start], b[start])
            for start, end in _changed(a, b)
        )
    elif a is not None:
        yield Difference(where, Kind.ONLY_A, a[0], None)
    elif b is not None:
        yield Difference(where, Kind.ONLY_B, None, b[0])


def _changed(a: bytes, b: bytes) -> Iterator[tuple[int, int]]:
    """Yield start and end of every run of unequal bytes."""
    start: int | None = None
    for base in range(0, len(a), STEP_BYTES):
        left, right = a[base : base + STEP_BYTES], b[base : base + STEP_BYTES]
        if left == right:
            if start is not None:
                yield start, base
            start = None
            continue
        for n, (one, other) in enumerate(zip(left, right, strict=True), base):
            if one != other:
                start = n if start is None else start
            elif start is not None:
                yield start, n
                start = None
    if start is not None:
        yield start, len(a)


def _joined(found: list[Difference]) -> Iterator[Difference]:
    """Join neighbours of one kind that an edge of a segment divided."""
    last: Difference | None = None
    for each in found:
        if last is not None and last.kind is each.kind and last.range.end == each.range.start:
            last = Difference(AddressRange(last.range.start, each.range.end), last.kind, last.a, last.b)
            continue
        if last is not None:
            yield last
        last = each
    if last is not None:
        yield last
