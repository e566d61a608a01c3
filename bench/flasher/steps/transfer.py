"""One download: 0x34, the blocks of 0x36, 0x37."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.flasher.errors import FlasherError, NegativeResponse, ProtocolViolation, TransportError
from bench.flasher.explanations import block_refused, download_refused
from bench.flasher.notes import Acknowledged, PassBegun
from bench.flasher.recipe import Memory
from bench.flasher.services import request_download, transfer_data, transfer_exit
from bench.flasher.task import At, Pack, Piece, Task, Turn, noted
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


@dataclass(frozen=True, slots=True)
class DownloadImage(Task):
    """The image at its linked address, from the first byte that the ECU has not stored."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        stored_bytes = at.job.stored.image_bytes
        # Nothing is missing: a 0x34 over no bytes is refused.
        if stored_bytes == len(at.plan.job.image):
            return at.over(notes=(PassBegun(stored_bytes, download=False),))
        rest = Piece("image", at.plan.header.load_address + stored_bytes, stored_bytes)
        return at.over(Download(rest, at.recipe.download), notes=(PassBegun(stored_bytes, download=True),))


@dataclass(frozen=True, slots=True)
class DownloadHeader(Task):
    """The header into its slot, unless it is there already; always plain."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        if at.job.stored.header:
            return at.over()
        return at.over(Download(Piece("header", at.recipe.memory.header_address), PLAIN))


@dataclass(frozen=True, slots=True)
class Download(Task):
    """A piece, packed as `form` says. What was sent of a block under way when it fails is unknown."""

    piece: Piece
    form: DownloadFormat

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        if self.form == PLAIN:
            return self.answered(at, None)
        return at.ask(self, Pack(self.piece, self.form))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`: it is packed."""
        del value
        # Only 0x37 tells the ECU that nothing more comes: a unit that the last block did not fill is programmed then.
        return at.over(_RequestDownload(self.piece, self.form), _TransferExit())


@dataclass(frozen=True, slots=True)
class _RequestDownload(Task):
    """0x34: address, unpacked size, format."""

    piece: Piece
    form: DownloadFormat

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        size_bytes = len(at.plan.data(self.piece))
        call = request_download(self.piece.address, size_bytes, self.form.data_format, at.recipe.transfer)
        return at.request(self, call)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        size_bytes = block_payload_bytes(value, at.recipe.memory)
        return at.over(_Blocks(self.piece, self.form, size_bytes, Transfer(tries=Tries(at.recipe.retries.block))))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        if not isinstance(error, NegativeResponse):
            return at.fail(error)
        size_bytes = len(at.plan.data(self.piece))
        why = download_refused(at.recipe, self.piece.address, size_bytes, self.form.data_format)
        return at.fail(error.explained(why))


@dataclass(frozen=True, slots=True)
class _Blocks(Task):
    """Every 0x36 of a download, bounded; one without an answer is sent again with the same counter.

    A server that has the block already takes a repeated counter for what it is and writes nothing a second time (ISO
    14229-1, 0x36): whether the request or the answer was lost need not be known.
    """

    piece: Piece
    form: DownloadFormat
    block_bytes: int
    transfer: Transfer

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        block = self._block(at)
        return at.request(self, transfer_data(self._counter(at), block)) if block else at.over()

    def _block(self, at: At) -> bytes:
        begin = self.transfer.sent_bytes
        return at.plan.stream(self.piece, self.form)[begin : begin + self.block_bytes]

    def _counter(self, at: At) -> int:
        # From the last counter that was acknowledged, not from how many were sent: a block whose answer was lost keeps
        # its number.
        return at.recipe.transfer.counter_after(self.transfer.counter)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`. Of a packed stream each block stands for its share of the image's own bytes."""
        del value
        sent_bytes, before = len(self._block(at)), self.transfer.sent_bytes
        image_bytes, stream_bytes = len(at.plan.data(self.piece)), len(at.plan.stream(self.piece, self.form))
        share = image_bytes * (before + sent_bytes) // stream_bytes - image_bytes * before // stream_bytes
        taken = self.transfer.taken(self._counter(at), sent_bytes, Tries(at.recipe.retries.block))
        following = _Blocks(self.piece, self.form, self.block_bytes, taken).begin(at)
        return replace(following, notes=(Acknowledged(sent_bytes, share),))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        counter = self._counter(at)
        if isinstance(error, TransportError):
            note = noted("block_repeat", counter=counter, error=error.name)
            return self._again(at, error, note=note, worth=error.worth_repeating)
        if not isinstance(error, NegativeResponse):
            return at.fail(error)
        explained = error.explained(block_refused(at.recipe, counter, len(self._block(at)), error.nrc))
        note = noted("block_resend", counter=counter, nrc=f"0x{error.nrc:02X}")
        return self._again(at, explained, note=note, worth=error.nrc in at.recipe.retries.resend_block)

    def _again(self, at: At, error: FlasherError, *, note: Any, worth: bool) -> Turn:
        """Return the turn in which the same block is sent once more; Tries.after raises `error` when that is over."""
        again = replace(self, transfer=self.transfer.again(error, worth=worth))
        return replace(again.begin(at), notes=(note,))


@dataclass(frozen=True, slots=True)
class _TransferExit(Task):
    """0x37."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, transfer_exit())
