"""Parts of the memory that an ECU file places: no two of them may overlap."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from bench.config.invalid_key import invalid_key


class Span(NamedTuple):
    """Part of the memory; `key` places it in the file, and is empty where that is fixed."""

    key: str
    base: int
    size_bytes: int

    @property
    def end(self) -> int:
        """The last address."""
        return self.base + self.size_bytes - 1


def refuse_overlap(spans: Sequence[Span]) -> None:
    """Raise `invalid_key` when two spans overlap; of both, the one that stands first in `spans` is told to move."""
    for low, high in pairwise(sorted(spans, key=lambda span: (span.base, span.size_bytes))):
        if low.end < high.base:
            continue
        moving, staying = sorted((low, high), key=spans.index)
        raise invalid_key(
            f"memory at 0x{high.base:08X} overlaps the one that begins at 0x{low.base:08X}",
            key=moving.key,
            allowed=f"an address from which {moving.size_bytes} bytes lie outside "
            f"0x{staying.base:08X}-0x{staying.end:08X} ({staying.key or 'the bootloader'})",
        )
