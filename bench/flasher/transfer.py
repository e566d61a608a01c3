"""One download: 0x34, the blocks of 0x36, 0x37."""

from __future__ import annotations

from bench.flasher.context import FlashContext
from bench.flasher.errors import NegativeResponse, ProtocolViolation, TransportError
from bench.flasher.explanations import block_refused, download_refused
from bench.flasher.key_helpers import without_blocking
from bench.flasher.packing import packed
from bench.flasher.recipe import Memory
from bench.flasher.services import request_download, transfer_data, transfer_exit
from bench.wire.download_format import PLAIN, DownloadFormat

BLOCK_OVERHEAD_BYTES = 2
"""maxNumberOfBlockLength counts service id and block sequence counter."""


def block_payload_bytes(max_block_length: int, memory: Memory) -> int:
    """Return the payload of one block: the largest multiple of the program unit that fits, or all that fits.

    ProtocolViolation when the ECU's block holds no payload at all.
    """
    fits = min(max_block_length, memory.block_limit_bytes) - BLOCK_OVERHEAD_BYTES
    if fits < 1:
        raise ProtocolViolation(f"maxNumberOfBlockLength {max_block_length} leaves no room for data")
    return fits - fits % memory.program_unit_bytes or fits


async def download(ctx: FlashContext, address: int, data: bytes, form: DownloadFormat = PLAIN) -> None:
    """Send `data` to `address`, packed as `form` says. UdsError; what was sent of the block under way is then unknown.

    Progress counts the image's own bytes: of a packed stream each block stands for its share of them.
    """
    recipe, transfer = ctx.recipe, ctx.recipe.transfer
    stream = data if form == PLAIN else await without_blocking(ctx.clock, lambda: packed(data, address, form))
    try:
        call = request_download(address, len(data), form.data_format, transfer)
        max_block_length = await ctx.client.call(call)
    except NegativeResponse as refusal:
        raise refusal.explained(download_refused(recipe, address, len(data), form.data_format)) from None
    size = block_payload_bytes(max_block_length, recipe.memory)
    counter: int | None = None
    done = 0
    for offset in range(0, len(stream), size):
        block = stream[offset : offset + size]
        counter = transfer.counter_after(counter)
        await _send_block(ctx, counter, block)
        reached = len(data) * (offset + len(block)) // len(stream)
        ctx.acknowledged(len(block), reached - done)
        done = reached
    await ctx.client.call(transfer_exit())


async def _send_block(ctx: FlashContext, counter: int, block: bytes) -> None:
    """Send one block; without an answer the same counter again (the ECU writes it once), bounded."""
    retries = ctx.recipe.retries
    call = transfer_data(counter, block)
    for tries_left in range(retries.block, -1, -1):
        try:
            return await ctx.client.call(call)
        except TransportError as error:
            if not tries_left or not error.worth_repeating:
                raise
            ctx.tally.count("block_repeat", counter=counter, error=error.name)
        except NegativeResponse as refusal:
            if not tries_left or refusal.nrc not in retries.resend_block:
                raise refusal.explained(block_refused(ctx.recipe, counter, len(block), refusal.nrc)) from None
            ctx.tally.count("block_resend", counter=counter, nrc=f"0x{refusal.nrc:02X}")
    raise AssertionError("the last try raises or returns")
