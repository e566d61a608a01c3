"""Going on with an interrupted download: what the ECU has stored, what of it is ours, what alone must be erased.

An ECU whose recipe names `routines.report_progress` says of a range how many bytes it has stored from the begin, their
SHA-256, and how many bytes behind them must be erased before anything can be programmed there (a torn unit, the
remains of another image). The flasher compares the hash with its own image, so nobody needs to remember which image
was under way. Every other ECU is erased as a whole.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass

from bench.flasher.context import FlashContext
from bench.flasher.erasing import erase_image, erase_range
from bench.flasher.errors import NegativeResponse, ProtocolViolation
from bench.flasher.identity import check_status
from bench.flasher.services import start_routine
from bench.flasher.values import NOTHING_STORED, Stored
from bench.wire.uds import Nrc

_RECORD = struct.Struct(">BII32s")
MARK_ERASED, MARK_SET, MARK_TORN = 0, 1, 2
CANNOT_SAY = (
    Nrc.SERVICE_NOT_SUPPORTED,
    Nrc.SUB_FUNCTION_NOT_SUPPORTED,
    Nrc.REQUEST_OUT_OF_RANGE,
    Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION,
    Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION,
)
"""NRCs of an ECU that does not know the routine: it is erased as a whole."""


@dataclass(frozen=True, slots=True)
class _Progress:
    """What the ECU says of one range."""

    mark: int
    stored_bytes: int
    dirty_bytes: int
    sha256: bytes

    def is_of(self, data: bytes) -> bool:
        """Return whether the stored bytes are the first ones of `data`."""
        return hashlib.sha256(data[: self.stored_bytes]).digest() == self.sha256

    def whole(self, data: bytes) -> bool:
        """Return whether all of `data` stands there."""
        return self.stored_bytes == len(data) and not self.dirty_bytes and self.is_of(data)


async def find_stored(ctx: FlashContext) -> Stored:
    """Make the ECU ready for the downloads that are missing; return what it holds already. UdsError, CheckFailed.

    After it, every byte of image and header that is not stored is erased, and so is the validity mark unless nothing
    is missing.
    """
    image = await _image_progress(ctx)
    if image is None:
        await erase_image(ctx)
        return NOTHING_STORED
    address = ctx.header.load_address
    if image.dirty_bytes:
        ctx.tally.count("partial_erase", stored=image.stored_bytes, dirty=image.dirty_bytes)
        await erase_range(ctx, address + image.stored_bytes, image.dirty_bytes)
        stored = Stored(image.stored_bytes, header=False)
    else:
        stored = await _with_header(ctx, image)
    if stored != NOTHING_STORED:
        ctx.tally.count("resumed_transfer", image_bytes=stored.image_bytes, header=stored.header)
    return stored


async def _image_progress(ctx: FlashContext) -> _Progress | None:
    """Return what is stored of this very image, or None when all must be erased."""
    if ctx.recipe.routines.report_progress is None or not ctx.state.trusts_stored:
        return None
    try:
        image = await _ask(ctx, ctx.header.load_address, len(ctx.job.image))
    except NegativeResponse as refusal:
        if refusal.nrc not in CANNOT_SAY:
            raise
        ctx.tally.note("cannot_say_progress", nrc=f"0x{refusal.nrc:02X}")
        return None
    # Bytes of another image: a download that went on behind them would be a mixture that only the last check finds.
    if not image.is_of(ctx.job.image) or image.dirty_bytes == len(ctx.job.image):
        return None
    # A mark over something else than this image: the other one is bootable and must not become a mixture of both.
    if image.mark == MARK_SET and not image.whole(ctx.job.image):
        return None
    return image


async def _with_header(ctx: FlashContext, image: _Progress) -> Stored:
    """Look at the header slot, and erase it (with the mark) unless it is blank or has this job's header."""
    slot, header = ctx.recipe.memory.header_address, ctx.job.header
    progress = await _ask(ctx, slot, len(header))
    header_is_ours = progress.whole(header)
    missing = not header_is_ours or not image.whole(ctx.job.image)
    blank = progress.stored_bytes == progress.dirty_bytes == 0
    # A mark that is torn may read as set at the next boot: nothing under it may stay.
    if image.mark == MARK_TORN or (image.mark == MARK_SET and missing) or not (blank or header_is_ours):
        await erase_range(ctx, slot, len(header))
        header_is_ours = False
    return Stored(image.stored_bytes, header_is_ours)


async def _ask(ctx: FlashContext, address: int, length_bytes: int) -> _Progress:
    """Ask how much of a range is stored; ProtocolViolation when the record is none or contradicts itself."""
    routine_id = ctx.recipe.routines.report_progress
    assert routine_id is not None, "asked only where the recipe has the routine"
    option = ctx.recipe.transfer.range(address, length_bytes)
    record = await ctx.client.call(start_routine(routine_id, option))
    check_status(routine_id, record, ctx.recipe.check)
    echo, rest = record[1 : 1 + len(option)], record[1 + len(option) :]
    # The record is the maker's own (ISO 14229-1 leaves it open): without the echo, another range's answer would pass.
    if echo != option or len(rest) != _RECORD.size:
        raise ProtocolViolation(f"routine 0x{routine_id:04X}: no progress of {option.hex(' ')}: {record[:16].hex(' ')}")
    progress = _Progress(*_RECORD.unpack(rest))
    if progress.stored_bytes + progress.dirty_bytes > length_bytes or progress.mark > MARK_TORN:
        raise ProtocolViolation(f"routine 0x{routine_id:04X}: impossible progress {rest.hex(' ')}")
    return progress
