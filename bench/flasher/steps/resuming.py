"""Going on with an interrupted download: what the ECU has stored, what of it is ours, what alone must be erased.

An ECU whose recipe names `routines.report_progress` says of a range how many bytes it has stored from the begin, their
SHA-256, and how many bytes behind them must be erased before anything can be programmed there (a torn unit, the
remains of another image). The flasher compares the hash with its own image, so nobody needs to remember which image
was under way. Every other ECU is erased as a whole.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass, replace
from typing import Any

from bench.flasher.checks import check_status
from bench.flasher.errors import FlasherError, NegativeResponse, ProtocolViolation
from bench.flasher.notes import PassBegun
from bench.flasher.services import Call, start_routine
from bench.flasher.software import PartKind, Segment
from bench.flasher.steps.erasing import EraseRange, erase_image
from bench.flasher.task import At, Piece, Task, Turn, noted
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
class StoredRange:
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


@dataclass(frozen=True, slots=True)
class Erase(Task):
    """31 01 FF00 over the image's linked range, or only over what an interrupted download left unusable.

    After it, every byte of image and header that is not stored is erased, and so is the validity mark unless nothing
    is missing.
    """

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        begun = (PassBegun(0, download=False),)
        if at.recipe.routines.report_progress is None or not at.job.trusts_stored:
            return at.over(*erase_image(at.plan), notes=begun)
        return at.over(_ImageStored(), notes=begun)


@dataclass(frozen=True, slots=True)
class _ImageStored(Task):
    """Ask what is stored of this very image; what is none of it is erased."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        image = _image(at)
        return at.request(self, _ask(at, image.address, image.size_bytes))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        address, data = _image(at).address, _image(at).data
        image = _read(at, value, address, len(data))
        if not _worth_keeping(image, data):
            return at.over(*erase_image(at.plan))
        if not image.dirty_bytes:
            return at.over(_HeaderStored(image))
        note = noted("partial_erase", stored=image.stored_bytes, dirty=image.dirty_bytes)
        kept = _GoOn(Stored(image.stored_bytes, header=False))
        return at.over(EraseRange(address + image.stored_bytes, image.dirty_bytes), kept, notes=(note,))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        if isinstance(error, NegativeResponse) and error.nrc in CANNOT_SAY:
            note = noted("cannot_say_progress", counted=False, nrc=f"0x{error.nrc:02X}")
            return at.over(*erase_image(at.plan), notes=(note,))
        return at.fail(error)


def _worth_keeping(image: StoredRange, data: bytes) -> bool:
    """Return whether a download may go on behind what is stored."""
    # Bytes of another image: a download that went on behind them would be a mixture that only the last check finds.
    if not image.is_of(data) or image.dirty_bytes == len(data):
        return False
    # A mark over something else than this image: the other one is bootable and must not become a mixture of both.
    return image.mark != MARK_SET or image.whole(data)


@dataclass(frozen=True, slots=True)
class _HeaderStored(Task):
    """Look at the header slot, and erase it (with the mark) unless it is blank or has this job's header."""

    image: StoredRange

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        header = _header(at)
        return at.request(self, _ask(at, header.address, header.size_bytes))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        slot, header, image = _header(at).address, _header(at).data, self.image
        progress = _read(at, value, slot, len(header))
        header_is_ours = progress.whole(header)
        missing = not header_is_ours or not image.whole(_image(at).data)
        blank = progress.stored_bytes == progress.dirty_bytes == 0
        # A mark that is torn may read as set at the next boot: nothing under it may stay.
        if image.mark == MARK_TORN or (image.mark == MARK_SET and missing) or not (blank or header_is_ours):
            return at.over(EraseRange(slot, len(header)), _GoOn(Stored(image.stored_bytes, header=False)))
        return at.over(_GoOn(Stored(image.stored_bytes, header_is_ours)))


@dataclass(frozen=True, slots=True)
class _GoOn(Task):
    """Note what need not be sent again."""

    stored: Stored

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        job = replace(at.job, stored=self.stored)
        if self.stored == NOTHING_STORED:
            return at.over(job=job)
        note = noted("resumed_transfer", image_bytes=self.stored.image_bytes, header=self.stored.header)
        return at.over(job=job, notes=(note,))


def _image(at: At) -> Segment:
    """Return the image: an ECU that says how much of it is stored has one, without a gap."""
    return at.plan.segment(Piece(at.plan.software.of_kind(PartKind.SOFTWARE)[0]))


def _header(at: At) -> Segment:
    return at.plan.segment(Piece(at.plan.software.of_kind(PartKind.HEADER)[0]))


def _ask(at: At, address: int, length_bytes: int) -> Call[bytes]:
    """Return the request that asks how much of a range is stored."""
    routine_id = at.recipe.routines.report_progress
    assert routine_id is not None, "asked only where the recipe has the routine"
    return start_routine(routine_id, at.recipe.transfer.range(address, length_bytes))


def _read(at: At, record: bytes, address: int, length_bytes: int) -> StoredRange:
    """Return what the answer says; ProtocolViolation when the record is none or contradicts itself."""
    routine_id, option = at.recipe.routines.report_progress, at.recipe.transfer.range(address, length_bytes)
    assert routine_id is not None, "asked only where the recipe has the routine"
    check_status(routine_id, record, at.recipe.check)
    echo, rest = record[1 : 1 + len(option)], record[1 + len(option) :]
    # The record is the maker's own (ISO 14229-1 leaves it open): without the echo, another range's answer would pass.
    if echo != option or len(rest) != _RECORD.size:
        raise ProtocolViolation(f"routine 0x{routine_id:04X}: no progress of {option.hex(' ')}: {record[:16].hex(' ')}")
    progress = StoredRange(*_RECORD.unpack(rest))
    if progress.stored_bytes + progress.dirty_bytes > length_bytes or progress.mark > MARK_TORN:
        raise ProtocolViolation(f"routine 0x{routine_id:04X}: impossible progress {rest.hex(' ')}")
    return progress
