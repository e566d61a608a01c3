"""What flash holds of an interrupted download, worked out from the cells alone: nothing else survives a power cut.

A unit counts as held when it was programmed to its end. Whatever stands behind the first unit that was not (a torn
one, the rest of an older image, the remains of a broken erase) has to be erased, in whole sectors, so the held part
ends at a sector's begin then.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from ecu_sim.memory.banks import VALID_MARK, EcuMemory, Place
from ecu_sim.memory.flash import Cell
from ecu_sim.personality.geometry import mark_region

_RECORD = struct.Struct(">BII32s")


class MarkState(IntEnum):
    """What stands where the validity mark belongs."""

    ERASED = 0
    SET = 1
    TORN = 2


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """`held_bytes` from the range's begin are programmed and hash to `sha256`; then `dirty_bytes` need an erase."""

    mark: MarkState
    held_bytes: int
    dirty_bytes: int
    sha256: bytes

    def encode(self) -> bytes:
        """Return mark 1, held 4, dirty 4, SHA-256 32, big-endian."""
        return _RECORD.pack(self.mark, self.held_bytes, self.dirty_bytes, self.sha256)


def download_progress(memory: EcuMemory, place: Place) -> DownloadProgress:
    """Return how far the download of `place` (which begins at a unit) has come."""
    held, dirty = _extent(memory, place)
    digest = memory.flash.digest(place.region, place.offset, held)
    return DownloadProgress(_mark(memory), held, dirty, bytes.fromhex(digest))


def _extent(memory: EcuMemory, place: Place) -> tuple[int, int]:
    """Return (held, dirty) in bytes."""
    cells = memory.flash.cells(place.region, place.offset, place.size_bytes)
    unit_bytes, sector_bytes = memory.personality.flash.unit_bytes, memory.personality.flash.sector_bytes
    held_units = next((n for n, cell in enumerate(cells) if cell != Cell.PROGRAMMED), len(cells))
    held = min(held_units * unit_bytes, place.size_bytes)
    rest = cells[held_units:].rstrip(bytes((Cell.ERASED,)))
    if not rest:
        return held, 0
    begin = max(0, (place.offset + held) // sector_bytes * sector_bytes - place.offset)
    last_offset = place.offset + (held_units + len(rest)) * unit_bytes
    end = min(-(-last_offset // sector_bytes) * sector_bytes - place.offset, place.size_bytes)
    return begin, end - begin


def _mark(memory: EcuMemory) -> MarkState:
    cells = set(memory.flash.cells(mark_region(memory.target_bank), 0, len(VALID_MARK)))
    if cells == {Cell.ERASED}:
        return MarkState.ERASED
    return MarkState.SET if cells == {Cell.PROGRAMMED} else MarkState.TORN
