"""Logical blocks: each part of the image is erased, downloaded and checked before the next one is touched."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.flasher.checks import check_status
from bench.flasher.notes import PassBegun
from bench.flasher.recipe import LogicalBlock
from bench.flasher.services import start_routine
from bench.flasher.steps.erasing import EraseRange
from bench.flasher.steps.transfer import Download
from bench.flasher.task import At, Piece, Plan, Task, Turn, noted


@dataclass(frozen=True, slots=True)
class ProgramBlocks(Task):
    """31 01 FF00, 34, 36 ..., 37 and the block's check, for every logical block that the image reaches."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        each = (_Block(block, piece) for block, piece in pieces(at.plan))
        return at.over(*each, notes=(PassBegun(0, download=True),))


@dataclass(frozen=True, slots=True)
class _Block(Task):
    """One logical block."""

    block: LogicalBlock
    piece: Piece

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        block, piece = self.block, self.piece
        # The whole block, not only what the image fills: older bytes would be hashed with the new ones.
        steps: tuple[Task, ...] = EraseRange(block.base, block.size_bytes), Download(piece, at.recipe.download)
        if at.recipe.routines.check_block is not None:
            steps += (_CheckBlock(piece),)
        length = len(at.plan.data(piece))
        note = noted("logical_block", counted=False, block=block.name, address=f"0x{piece.address:08X}", length=length)
        return at.over(*steps, notes=(note,))


def pieces(plan: Plan) -> Iterator[tuple[LogicalBlock, Piece]]:
    """Yield each logical block with what the image has of it, in the recipe's order."""
    base, end = plan.header.load_address, plan.header.load_address + len(plan.job.image)
    for block in plan.recipe.memory.blocks:
        # A logical block that the image does not reach keeps its content: it may hold data of the ECU (calibration).
        start, stop = max(block.base, base), min(block.base + block.size_bytes, end)
        if start < stop:
            yield block, Piece("image", start, start - base, stop - base)


@dataclass(frozen=True, slots=True)
class _CheckBlock(Task):
    """31 01 with range and CRC-32: a bad block is found before the next one is erased; the signature still decides."""

    piece: Piece

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        data, routine_id = at.plan.data(self.piece), at.recipe.routines.check_block
        assert routine_id is not None, "asked only where the recipe has the routine"
        option = at.recipe.transfer.range(self.piece.address, len(data)) + zlib.crc32(data).to_bytes(4, "big")
        return at.request(self, start_routine(routine_id, option))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        assert at.recipe.routines.check_block is not None, "asked only where the recipe has the routine"
        check_status(at.recipe.routines.check_block, value, at.recipe.check)
        return at.over()
