"""Logical blocks of an image: each is erased, downloaded and checked before the next one is touched."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from bench.flasher.checks import check_status
from bench.flasher.notes import PassBegun
from bench.flasher.services import start_routine
from bench.flasher.software import PartKind
from bench.flasher.steps.erasing import EraseRange
from bench.flasher.steps.transfer import Download
from bench.flasher.task import At, Piece, Task, Turn, noted


@dataclass(frozen=True, slots=True)
class ProgramBlocks(Task):
    """31 01 FF00, 34, 36 ..., 37 and the block's check, for every logical block that the image reaches."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        places = at.plan.software.of_kind(PartKind.SOFTWARE)
        return at.over(*(_Block(place) for place in places), notes=(PassBegun(0, download=True),))


@dataclass(frozen=True, slots=True)
class _Block(Task):
    """One logical block."""

    place: int

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        part, piece = at.plan.software.parts[self.place], Piece(self.place)
        steps: list[Task] = [EraseRange(address, size_bytes) for address, size_bytes in part.erase]
        steps.append(Download(piece))
        if at.recipe.routines.check_block is not None:
            steps.append(_CheckBlock(piece))
        address, length = at.plan.address(piece), at.plan.size_bytes(piece)
        note = noted("logical_block", counted=False, block=part.name, address=f"0x{address:08X}", length=length)
        return at.over(*steps, notes=(note,))


@dataclass(frozen=True, slots=True)
class _CheckBlock(Task):
    """31 01 with range and CRC-32: a bad block is found before the next one is erased; the signature still decides."""

    piece: Piece

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        segment, routine_id = at.plan.segment(self.piece), at.recipe.routines.check_block
        assert routine_id is not None, "asked only where the recipe has the routine"
        place = at.recipe.transfer.range(segment.address, segment.size_bytes)
        return at.request(self, start_routine(routine_id, place + zlib.crc32(segment.data).to_bytes(4, "big")))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        assert at.recipe.routines.check_block is not None, "asked only where the recipe has the routine"
        check_status(at.recipe.routines.check_block, value, at.recipe.check)
        return at.over()
