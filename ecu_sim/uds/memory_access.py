"""ReadMemoryByAddress and WriteMemoryByAddress (0x23, 0x3D): one bank by its linked addresses, header slot included.

The bootloader's own region, the validity marks and the other bank are out of range.
"""

from __future__ import annotations

from bench.core.node import Incarnation
from bench.wire.uds import MAX_PDU_BYTES, MemoryRange, Nrc, Sid, positive
from bench.wire.uds_memory import ReadMemoryByAddress, WriteMemoryByAddress
from ecu_sim.memory.banks import EcuMemory, Place
from ecu_sim.memory.flash import FlashFault
from ecu_sim.memory.pages import Cell
from ecu_sim.personality.geometry import mark_region
from ecu_sim.supply import Supply
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.transfer import Transfer
from ecu_sim.uds.voltage import refuse_by_voltage


def readable_place(memory: EcuMemory, bank: str, wanted: MemoryRange) -> Place:
    """Return where a range lies that may be read; refused with 0x31 when it leaves bank and header slot."""
    if wanted.address_and_length_format != memory.personality.transfer.address_and_length_format:
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    place = memory.header_place(bank, wanted.address, wanted.size_bytes)
    place = place or memory.image_place(bank, wanted.address, wanted.size_bytes)
    if place is None:
        raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
    return place


def read_flash(memory: EcuMemory, place: Place) -> bytes:
    """Return what stands there; a torn unit is not given out: 0x22, and the memory fault's DTC is set."""
    stored = memory.readable(place.region, place.offset, place.size_bytes)
    if stored is None or Cell.TORN in memory.flash.cells(place.region, place.offset, place.size_bytes):
        memory.report_fault()
        raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
    return stored


class MemoryAccess:
    """Serves 0x23 of one bank. With `programming` (in the bootloader) it is the bank that a download goes to, and 0x3D
    is served too, as far as download and voltage allow."""

    def __init__(
        self, life: Incarnation, memory: EcuMemory, bank: str, programming: tuple[Transfer, Supply] | None = None
    ) -> None:
        self._life, self._memory, self._fixed_bank, self._programming = life, memory, bank, programming

    @property
    def _bank(self) -> str:
        return self._fixed_bank if self._programming is None else self._memory.target_bank

    async def read(self, request: ReadMemoryByAddress) -> Answer:
        """Answer with the bytes of one range, as far as one answer holds them."""
        place = readable_place(self._memory, self._bank, request.memory)
        if self._programming is not None:
            await self._programming[0].written()
        if place.size_bytes + 1 > MAX_PDU_BYTES:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        return Answer(positive(Sid.READ_MEMORY_BY_ADDRESS, read_flash(self._memory, place)))

    async def write(self, request: WriteMemoryByAddress) -> Answer:
        """Program whole, erased units of a bank whose validity mark is erased, as a download does."""
        wanted, memory = request.memory, self._memory
        place = readable_place(memory, self._bank, wanted)
        unit_bytes = memory.unit_bytes(place.region)
        if place.offset % unit_bytes or place.size_bytes % unit_bytes:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        await self._check_conditions(place)
        try:
            await memory.flash.program(self._life, place.region, place.offset, request.data)
        except FlashFault:
            memory.report_fault()
            raise Refused(Nrc.GENERAL_PROGRAMMING_FAILURE) from None
        return Answer(positive(Sid.WRITE_MEMORY_BY_ADDRESS, wanted.encode()))

    async def _check_conditions(self, place: Place) -> None:
        """Refuse with 0x22 beside a download and over cells in use, with 0x92 or 0x93 by the voltage."""
        if self._programming is not None:
            transfer, supply = self._programming
            await transfer.written()
            transfer.check_idle()
            refuse_by_voltage(supply)
        flash, mark = self._memory.flash, mark_region(self._bank)
        blank = flash.is_erased(mark, 0, self._memory.unit_bytes(mark))
        if not blank or not flash.is_erased(place.region, place.offset, place.size_bytes):
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
