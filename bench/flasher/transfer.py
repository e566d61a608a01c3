"""One download: 0x34, the blocks of 0x36, 0x37."""

from __future__ import annotations

from bench.flasher.context import FlashContext
from bench.flasher.errors import NegativeResponse, ProtocolViolation, TransportError
from bench.flasher.explanations import block_refused, download_refused
from bench.flasher.key_helpers import without_blocking
from bench.flasher.packing import packed
from bench.flasher.recipe import Memory
from bench.flasher.services import request_download, transfer_data, transfer_exit
from bench.flasher.tries import Transfer, Tries
from bench.wire.download_format import PLAIN, DownloadFormat

BLOCK_OVERHEAD_BYTES = 2
"""maxNumberOfBlockLength counts service id and block sequence counter."""


def block_payload_bytes(max_block_length: int, memory: Memory) -> int:
    """Return the payload of one block: the largest multiple of the program unit that fits, or all that fits.

    ProtocolViolation when the ECU's block holds no payload at all.
    """
    # A block that ends within a program unit makes the bootloader keep its rest until the next one comes, and a power
    # cut then loses bytes that were acknowledged.
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
    ctx.transfer = Transfer(tries=Tries(recipe.retries.block))
    while ctx.transfer.sent_bytes < len(stream):
        begin = ctx.transfer.sent_bytes
        await _send_block(ctx, stream[begin : begin + size], (len(data), len(stream)))
    # Only 0x37 tells the ECU that nothing more comes: a unit that the last block did not fill is programmed then.
    await ctx.client.call(transfer_exit())


async def _send_block(ctx: FlashContext, block: bytes, ratio: tuple[int, int]) -> None:
    """Send one block, bounded; without an answer with the same counter again.

    A server that has the block already takes a repeated counter for what it is and writes nothing a second time (ISO
    14229-1, 0x36): whether the request or the answer was lost need not be known. `ratio` is bytes of the image for
    bytes of the stream, to count progress.
    """
    # From the last counter that was acknowledged, not from how many were sent: a block whose answer was lost keeps its
    # number.
    counter = ctx.recipe.transfer.counter_after(ctx.transfer.counter)
    try:
        await ctx.client.call(transfer_data(counter, block))
    except TransportError as error:
        ctx.transfer = ctx.transfer.again(error, worth=error.worth_repeating)
        ctx.tally.count("block_repeat", counter=counter, error=error.name)
    except NegativeResponse as refusal:
        explained = refusal.explained(block_refused(ctx.recipe, counter, len(block), refusal.nrc))
        ctx.transfer = ctx.transfer.again(explained, worth=refusal.nrc in ctx.recipe.retries.resend_block)
        ctx.tally.count("block_resend", counter=counter, nrc=f"0x{refusal.nrc:02X}")
    else:
        image_bytes, stream_bytes = ratio
        before = image_bytes * ctx.transfer.sent_bytes // stream_bytes
        ctx.transfer = ctx.transfer.taken(counter, len(block), Tries(ctx.recipe.retries.block))
        ctx.acknowledged(len(block), image_bytes * ctx.transfer.sent_bytes // stream_bytes - before)
