"""Erasing (31 01, routine of the recipe), by the granularity of the recipe."""

from __future__ import annotations

from collections.abc import Iterator

from bench.flasher.context import FlashContext
from bench.flasher.identity import check_status
from bench.flasher.services import erase_option, start_routine


async def erase_image(ctx: FlashContext) -> None:
    """Erase what the image will fill, with as many calls as the recipe asks for. UdsError, CheckFailed."""
    for address, length_bytes in ranges(ctx):
        await erase_range(ctx, address, length_bytes)


async def erase_range(ctx: FlashContext, address: int, length_bytes: int) -> None:
    """Erase one range of linked addresses. UdsError, CheckFailed."""
    routine_id = ctx.recipe.routines.erase
    option = erase_option(address, length_bytes, ctx.recipe.transfer)
    # The answer comes when the erase has ended (ISO 14229-1, 0x31, a routine without 31 03): seconds, spanned by 0x78.
    record = await ctx.client.call(start_routine(routine_id, option))
    check_status(routine_id, record, ctx.recipe.check)


def ranges(ctx: FlashContext) -> Iterator[tuple[int, int]]:
    """Yield (address, length) of each call: the image, the whole region, or its sectors one by one."""
    rules, memory = ctx.recipe.erase, ctx.recipe.memory
    start, end = ctx.header.load_address, ctx.header.load_address + len(ctx.job.image)
    # Some bootloaders know only their whole region (FF00 with any other range: 0x31).
    if rules.granularity == "region":
        yield memory.region_base, memory.region_size
    elif rules.sector_bytes is None:
        yield start, end - start
    else:
        # Flash is erased by whole sectors: a range that begins within one takes all of it along.
        first = start - (start - memory.region_base) % rules.sector_bytes
        for sector in range(first, end, rules.sector_bytes):
            yield sector, min(rules.sector_bytes, memory.region_base + memory.region_size - sector)
