"""ReadMemoryByAddress and WriteMemoryByAddress (0x23, 0x3D): one bank by its linked addresses, header slot included.

The bootloader's own region, the validity marks and the other bank are out of range.
"""

from __future__ import annotations

from bench.core.node import Incarnation
from bench.wire.uds import MAX_PDU_BYTES, MemoryRange, Nrc, Sid, positive
from bench.wire.uds_memory import ReadMemoryByAddress, WriteMemoryByAddress
from ecu_sim.memory.banks import EcuMemory, Place
from ecu_sim.memory.dtcs import Dtc, DtcMemory
from ecu_sim.memory.flash import Cell, FlashFault
from ecu_sim.personality.geometry import mark_region
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.transfer import Transfer


def readable_place(memory: EcuMemory, bank: str, wanted: MemoryRange) -> Place:
    """Return where a range lies that may be read; refused with 0x31 when it leaves bank and header slot."""
    if wanted.address_and_length_format != memory.personality.transfer.address_and_length_format:
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    place = memory.header_place(bank, wanted.address, wanted.size_bytes)
    place = place or memory.image_place(bank, wanted.address, wanted.size_bytes)
    if place is None:
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    return place


def read_flash(memory: EcuMemory, place: Place, dtcs: DtcMemory) -> bytes:
    """Return what stands there; a unit that ECC cannot mend is refused with 0x22 and sets the memory fault's DTC."""
    if Cell.TORN in memory.flash.cells(place.region, place.offset, place.size_bytes):
        dtcs.report(Dtc.MEMORY_FAULT, failed=True)
        raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
    return memory.flash.read(place.region, place.offset, place.size_bytes)


class MemoryAccess:
    """Serves 0x23, and 0x3D where there is a `transfer` whose programming it has to wait for (the bootloader)."""

    def __init__(
        self, life: Incarnation, memory: EcuMemory, bank: str, dtcs: DtcMemory, transfer: Transfer | None = None
    ) -> None:
        self._life, self._memory, self._fixed_bank = life, memory, bank
        self._dtcs, self._transfer = dtcs, transfer

    @property
    def _bank(self) -> str:
        """The bank that runs, or in the bootloader the one that a download goes to now."""
        return self._fixed_bank if self._transfer is None else self._memory.target_bank

    async def read(self, request: ReadMemoryByAddress) -> Answer:
        """Answer with the bytes of one range, as far as one answer holds them."""
        place = readable_place(self._memory, self._bank, request.memory)
        if self._transfer is not None:
            await self._transfer.written()
        if place.size_bytes + 1 > MAX_PDU_BYTES:
            raise Refused(Nrc.RESPONSE_TOO_LONG)
        return Answer(positive(Sid.READ_MEMORY_BY_ADDRESS, read_flash(self._memory, place, self._dtcs)))

    async def write(self, request: WriteMemoryByAddress) -> Answer:
        """Program whole, erased units of a bank whose validity mark is erased, as a download does."""
        wanted, memory = request.memory, self._memory
        place = readable_place(memory, self._bank, wanted)
        unit_bytes = memory.personality.flash.unit_bytes
        if place.offset % unit_bytes or place.size_bytes % unit_bytes:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        if self._transfer is not None:
            await self._transfer.written()
            self._transfer.check_idle()
        if not memory.flash.is_erased(mark_region(self._bank), 0, unit_bytes):
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        if not memory.flash.is_erased(place.region, place.offset, place.size_bytes):
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        try:
            await memory.flash.program(self._life, place.region, place.offset, request.data)
        except FlashFault:
            self._dtcs.report(Dtc.MEMORY_FAULT, failed=True)
            raise Refused(Nrc.GENERAL_PROGRAMMING_FAILURE) from None
        return Answer(positive(Sid.WRITE_MEMORY_BY_ADDRESS, wanted.encode()))
