"""Logical blocks: each part of the image is erased, downloaded and checked before the next one is touched."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

from bench.flasher.context import FlashContext
from bench.flasher.erasing import erase_range
from bench.flasher.identity import check_status
from bench.flasher.recipe import LogicalBlock
from bench.flasher.services import start_routine
from bench.flasher.transfer import download


async def program_blocks(ctx: FlashContext) -> None:
    """31 01 FF00, 34, 36 ..., 37 and the block's check, for every logical block that the image reaches."""
    ctx.pass_bytes = 0
    ctx.downloads += 1
    for block, address, data in parts(ctx):
        ctx.tally.note("logical_block", block=block.name, address=f"0x{address:08X}", length=len(data))
        # The whole block, not only what the image fills: older bytes would be hashed with the new ones.
        await erase_range(ctx, block.base, block.size_bytes)
        await download(ctx, address, data, ctx.recipe.download)
        await _check(ctx, address, data)


def parts(ctx: FlashContext) -> Iterator[tuple[LogicalBlock, int, bytes]]:
    """Yield (block, address, bytes of the image in it), in the recipe's order."""
    base, image = ctx.header.load_address, ctx.job.image
    for block in ctx.recipe.memory.blocks:
        # A logical block that the image does not reach keeps its content: it may hold data of the ECU (calibration).
        start, end = max(block.base, base), min(block.base + block.size_bytes, base + len(image))
        if start < end:
            yield block, start, image[start - base : end - base]


async def _check(ctx: FlashContext, address: int, data: bytes) -> None:
    routine_id = ctx.recipe.routines.check_block
    if routine_id is None:
        return
    # A CRC finds a bad block before the next one is erased; the signature over all of them still decides.
    option = ctx.recipe.transfer.range(address, len(data)) + zlib.crc32(data).to_bytes(4, "big")
    check_status(routine_id, await ctx.client.call(start_routine(routine_id, option)), ctx.recipe.check)
