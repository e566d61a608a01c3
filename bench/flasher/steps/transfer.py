"""One download: 0x34, the blocks of 0x36, 0x37."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.flasher.errors import FlasherError, NegativeResponse, ProtocolViolation, TransportError
from bench.flasher.explanations import block_refused, download_refused
from bench.flasher.notes import Acknowledged, PassBegun
from bench.flasher.recipe import Memory
from bench.flasher.services import request_download, transfer_data, transfer_exit
from bench.flasher.software import PartKind
from bench.flasher.steps.proofs import check_exit
from bench.flasher.task import At, Pack, Piece, Task, Turn, noted
from bench.flasher.tries import Transfer, Tries

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
    """Every segment of the software; the first one from the first byte that the ECU has not stored."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        stored_bytes, software = at.job.stored.image_bytes, at.plan.software
        parts = software.of_kind(PartKind.SOFTWARE)
        places = [Piece(n, k) for n in parts for k in range(len(software.parts[n].segments))]
        pieces = [replace(places[0], begin=stored_bytes), *places[1:]]
        # Where nothing is missing: a 0x34 over no bytes is refused.
        downloads = tuple(Download(piece) for piece in pieces if at.plan.size_bytes(piece))
        return at.over(*downloads, notes=(PassBegun(stored_bytes, download=bool(downloads)),))


@dataclass(frozen=True, slots=True)
class DownloadHeader(Task):
    """The header into its slot, unless it is there already; always plain."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        if at.job.stored.header:
            return at.over()
        return at.over(*(Download(Piece(n)) for n in at.plan.software.of_kind(PartKind.HEADER)))


@dataclass(frozen=True, slots=True)
class Download(Task):
    """A piece. What was sent of a block under way when it fails is unknown."""

    piece: Piece

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.ask(self, Pack(self.piece)) if at.plan.packs(self.piece) else self.answered(at, None)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`: it is packed."""
        del value
        # Only 0x37 tells the ECU that nothing more comes: a unit that the last block did not fill is programmed then.
        return at.over(_RequestDownload(self.piece), _TransferExit(self.piece))


@dataclass(frozen=True, slots=True)
class _RequestDownload(Task):
    """0x34: address, unpacked size, format."""

    piece: Piece

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        plan, piece = at.plan, self.piece
        size_bytes, data_format = plan.size_bytes(piece), plan.data_format(piece)
        return at.request(self, request_download(plan.address(piece), size_bytes, data_format, at.recipe.transfer))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        size_bytes = block_payload_bytes(value, at.recipe.memory)
        return at.over(_Blocks(self.piece, size_bytes, Transfer(tries=Tries(at.recipe.retries.block))))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        if not isinstance(error, NegativeResponse):
            return at.fail(error)
        plan, piece = at.plan, self.piece
        why = download_refused(at.recipe, plan.address(piece), plan.size_bytes(piece), plan.data_format(piece))
        return at.fail(error.explained(why))


@dataclass(frozen=True, slots=True)
class _Blocks(Task):
    """Every 0x36 of a download, bounded; one without an answer is sent again with the same counter.

    A server that has the block already takes a repeated counter for what it is and writes nothing a second time (ISO
    14229-1, 0x36): whether the request or the answer was lost need not be known.
    """

    piece: Piece
    block_bytes: int
    transfer: Transfer

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        block = self._block(at)
        return at.request(self, transfer_data(self._counter(at), block)) if block else at.over()

    def _block(self, at: At) -> bytes:
        begin = self.transfer.sent_bytes
        return at.plan.stream(self.piece)[begin : begin + self.block_bytes]

    def _counter(self, at: At) -> int:
        # From the last counter that was acknowledged, not from how many were sent: a block whose answer was lost keeps
        # its number.
        return at.recipe.transfer.counter_after(self.transfer.counter)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`. Of a packed stream each block stands for its share of the image's own bytes."""
        del value
        sent_bytes, before = len(self._block(at)), self.transfer.sent_bytes
        image_bytes, stream_bytes = at.plan.size_bytes(self.piece), len(at.plan.stream(self.piece))
        share = image_bytes * (before + sent_bytes) // stream_bytes - image_bytes * before // stream_bytes
        taken = self.transfer.taken(self._counter(at), sent_bytes, Tries(at.recipe.retries.block))
        following = _Blocks(self.piece, self.block_bytes, taken).begin(at)
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
    """0x37, and what its answer says of what was sent."""

    piece: Piece

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, transfer_exit())

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        check_exit(at.plan, self.piece, value)
        return at.over()
