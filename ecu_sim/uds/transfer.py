"""RequestDownload, TransferData, RequestTransferExit (0x34, 0x36, 0x37): the bootloader's way into flash.

Clauses in comments are those of ISO 14229-1:2020, from memory.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.wire.download_format import PLAIN, DownloadFormat
from bench.wire.uds import (
    Nrc,
    RequestDownload,
    RequestTransferExit,
    Sid,
    TransferData,
    download_response,
    positive,
)
from ecu_sim.memory.banks import EcuMemory, Place
from ecu_sim.memory.flash import FlashFault, padded
from ecu_sim.personality.geometry import BOOT_SHADOW_REGION, mark_region
from ecu_sim.supply import Supply
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.unpacking import Unpacker, UnpackError
from ecu_sim.uds.voltage import refuse_by_voltage


class _Download:
    """A download under way: what came, unpacked, and what of it is still too short for a program unit."""

    def __init__(self, place: Place, form: DownloadFormat) -> None:
        self.place = place
        self.packed = form != PLAIN
        self.unpacker = Unpacker(form)
        self.received = 0
        """Bytes of the image so far, unpacked."""
        self.written = 0
        self.buffer = b""
        self.last_counter: int | None = None

    def state(self, now_ns: int) -> State:
        """Return how far it has come."""
        place = self.place.region, self.place.offset, self.place.size_bytes
        counts = self.received, self.written, self.last_counter
        return place, counts, self.buffer, self.packed, self.unpacker.state(now_ns)

    @property
    def complete(self) -> bool:
        return self.received == self.place.size_bytes


class Transfer:
    """The downloads of one life; at most one at a time."""

    def __init__(self, life: Incarnation, memory: EcuMemory, supply: Supply) -> None:
        self._life, self._memory, self._supply = life, memory, supply
        self._max_block_length = memory.personality.uds.max_block_length
        self._download: _Download | None = None
        self._writing: asyncio.Task[None] | None = None
        self._failed = False

    def state(self, now_ns: int) -> State:
        """Return the download, and whether a block is being programmed or failed to be."""
        download = None if self._download is None else self._download.state(now_ns)
        return download, self._writing is not None, self.writing, self._failed

    def abort(self) -> None:
        """Forget the download (session change, erase, programming fault); what is being programmed goes on."""
        self._download = None

    async def written(self) -> None:
        """Wait until all that was answered is programmed too; refused with 0x72 when that went wrong."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing
        if self._failed:
            self._failed = False
            self.abort()
            raise Refused(Nrc.GENERAL_PROGRAMMING_FAILURE)

    @property
    def writing(self) -> bool:
        """Whether a block is being programmed beside the requests."""
        return self._writing is not None and not self._writing.done()

    async def idle(self) -> None:
        """Wait until nothing is being programmed; what went wrong is told later."""
        if self._writing is not None:
            await asyncio.wait({self._writing})

    # 0x34 -------------------------------------------------------------------------------------------

    async def request_download(self, request: RequestDownload) -> Answer:
        """Begin a download into erased memory."""
        form = self._format(request)
        place = self._place(request)
        await self.written()
        self.check_idle()
        self._check_erased(place)
        refuse_by_voltage(self._supply)
        self._download = _Download(place, form)
        return Answer(download_response(self._max_block_length))

    def _format(self, request: RequestDownload) -> DownloadFormat:
        """Return how the data will be packed: the header is always plain, the image as the personality says."""
        personality, memory = self._memory.personality, request.memory
        # The header is read by the boot manager before anything could unpack it.
        form = PLAIN if memory.address == personality.header_address else personality.download
        expected = personality.transfer.address_and_length_format
        if request.data_format != form.data_format or memory.address_and_length_format != expected:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return form

    def _place(self, request: RequestDownload) -> Place:
        memory = request.memory
        place = self._memory.download_place(self._memory.target_bank, memory.address, memory.size_bytes)
        if place is None:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return place

    @property
    def open(self) -> bool:
        """See `TransferParty`."""
        return self._download is not None

    def check_idle(self) -> None:
        """A download that already brought data is not replaced by another one: 0x22."""
        if self._download is not None and self._download.received:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)

    def _check_erased(self, place: Place) -> None:
        """Nothing is programmed over old cells, nor while the bank still counts as valid."""
        flash, bank = self._memory.flash, self._memory.target_bank
        mark = mark_region(bank)
        # The mark is erased first and programmed last: a power cut in between must never leave a mark over half an
        # image.
        mark_erased = place.region == BOOT_SHADOW_REGION or flash.is_erased(mark, 0, self._memory.unit_bytes(mark))
        if not mark_erased or not flash.is_erased(place.region, place.offset, place.size_bytes):
            raise Refused(Nrc.UPLOAD_DOWNLOAD_NOT_ACCEPTED)

    # 0x36 -------------------------------------------------------------------------------------------

    async def transfer_data(self, request: TransferData) -> Answer:
        """Take one block; a repeated counter is answered and not written twice."""
        download = self._active()
        if not request.data:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        # A repeated blockSequenceCounter means that the answer was lost (15.4): the block stands in
        # flash, and cells that are not erased cannot be programmed twice.
        if request.counter != download.last_counter:
            self._check_counter(download, request.counter)
            self._check_amount(download, len(request.data))
            refuse_by_voltage(self._supply)
            await self._take(download, download.unpacker.feed(request.data))
            download.last_counter = request.counter
        return Answer(positive(Sid.TRANSFER_DATA, bytes((request.counter,))))

    def _active(self) -> _Download:
        if self._download is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        return self._download

    def _check_counter(self, download: _Download, counter: int) -> None:
        # All bytes are there: another block is out of sequence (0x24), not too long (0x71).
        if download.complete and not download.packed:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        if counter != self._memory.personality.transfer.counter_after(download.last_counter):
            raise Refused(Nrc.WRONG_BLOCK_SEQUENCE_COUNTER)

    def _check_amount(self, download: _Download, length: int) -> None:
        # maxNumberOfBlockLength is the length of the request as a whole: service id and counter count too (15.2).
        if length + 2 > self._max_block_length:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        if not download.packed and download.received + length > download.place.size_bytes:
            raise Refused(Nrc.TRANSFER_DATA_SUSPENDED)

    async def _take(self, download: _Download, pieces: Iterator[bytes]) -> None:
        """Program the whole units that have come, keep the rest; a stream that is wrong or too long ends it all."""
        unit_bytes = self._memory.unit_bytes(download.place.region)
        try:
            for piece in pieces:
                if download.received + len(piece) > download.place.size_bytes:
                    self.abort()
                    raise Refused(Nrc.TRANSFER_DATA_SUSPENDED)
                pending = download.buffer + piece
                # Flash takes whole units: a unit programmed in two goes would be programmed twice, which breaks its
                # check bits.
                split = len(pending) - len(pending) % unit_bytes
                await self._program(download, pending[:split])
                download.buffer = pending[split:]
                download.received += len(piece)
        except UnpackError:
            self.abort()
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE) from None

    async def _program(self, download: _Download, data: bytes) -> None:
        """Program whole units, at once or while the next block comes; one operation at a time."""
        await self.written()
        if not data:
            return
        offset = download.place.offset + download.written
        download.written += len(data)
        write = self._write(download.place.region, offset, data)
        if self._memory.personality.flash.while_receiving:
            self._writing = self._life.spawn(write, "programming")
        else:
            await write
            await self.written()

    async def _write(self, region: str, offset: int, data: bytes) -> None:
        try:
            await self._memory.flash.program(self._life, region, offset, data)
        except FlashFault:
            # The answer to this block is out already; the next request that needs the flash gets 0x72.
            self._failed = True
            self._memory.report_fault()

    # 0x37 -------------------------------------------------------------------------------------------

    async def request_transfer_exit(self, request: RequestTransferExit) -> Answer:
        """Program the last, unaligned bytes (filled up with 0xFF) and end the download."""
        download = self._active()
        # What the unpacker still holds counts: a stream that ends early is as incomplete as a block that is missing.
        if download.packed:
            await self._take(download, download.unpacker.finish())
        if not download.complete:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        await self._program(download, padded(download.buffer, self._memory.unit_bytes(download.place.region)))
        await self.written()
        self.abort()
        return Answer(positive(request.SID))
