"""What flash has of an interrupted download, worked out from the cells alone: nothing else survives a power cut.

A unit counts as stored when it was programmed to its end. Whatever stands behind the first unit that was not (a torn
one, the rest of an older image, the remains of a broken erase) has to be erased, in whole sectors, so the stored part
ends at a sector's begin then.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

from ecu_sim.memory.banks import EcuMemory, Place
from ecu_sim.memory.pages import Cell

_RECORD = struct.Struct(">BII32s")


class MarkState(IntEnum):
    """What stands where the validity mark belongs."""

    ERASED = 0
    SET = 1
    TORN = 2


@dataclass(frozen=True, slots=True)
class DownloadProgress:
    """`stored_bytes` from the range's begin are programmed and hash to `sha256`; then `dirty_bytes` need an erase."""

    mark: MarkState
    stored_bytes: int
    dirty_bytes: int
    sha256: bytes

    def encode(self) -> bytes:
        """Return mark 1, stored 4, dirty 4, SHA-256 32, big-endian."""
        return _RECORD.pack(self.mark, self.stored_bytes, self.dirty_bytes, self.sha256)


def download_progress(memory: EcuMemory, place: Place) -> DownloadProgress:
    """Return how far the download of `place` (which begins at a unit) has come."""
    stored, dirty = _extent(memory, place)
    digest = memory.flash.digest(place.region, place.offset, stored)
    return DownloadProgress(_mark(memory), stored, dirty, bytes.fromhex(digest))


def _extent(memory: EcuMemory, place: Place) -> tuple[int, int]:
    """Return (stored, dirty) in bytes."""
    cells = memory.flash.cells(place.region, place.offset, place.size_bytes)
    region = memory.flash.region(place.region)
    unit_bytes = region.unit_bytes
    stored_units = next((n for n, cell in enumerate(cells) if cell != Cell.PROGRAMMED), len(cells))
    stored = min(stored_units * unit_bytes, place.size_bytes)
    rest = cells[stored_units:].rstrip(bytes((Cell.ERASED,)))
    if not rest:
        return stored, 0
    sectors = region.sectors_of(place.offset + stored, (stored_units + len(rest)) * unit_bytes - stored)
    begin = max(0, region.begins[sectors.start] - place.offset)
    end = min(region.begins[sectors.stop] - place.offset, place.size_bytes)
    return begin, end - begin


def _mark(memory: EcuMemory) -> MarkState:
    cells = memory.mark_cells(memory.target_bank)
    if cells == {Cell.ERASED}:
        return MarkState.ERASED
    return MarkState.SET if cells == {Cell.PROGRAMMED} else MarkState.TORN
