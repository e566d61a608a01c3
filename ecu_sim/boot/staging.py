"""External staging flash: an image is checked where it was downloaded to, then copied into the bank.

The mark of the staging flash says that its image is complete; it is erased last, so until the copy stands in the bank
with a mark of its own the image can be copied again. Nothing else is remembered: what a cut interrupted is seen from
the cells, sector by sector.
"""

from __future__ import annotations

from bench.core.clock import NS_PER_MS
from bench.core.node import Incarnation
from bench.wire.image_header import HEADER_BYTES, ImageHeader
from ecu_sim.boot import manager
from ecu_sim.boot.manager import Problem, Trust
from ecu_sim.memory.banks import EcuMemory, Place
from ecu_sim.memory.flash import FlashFault, padded
from ecu_sim.memory.pages import Cell
from ecu_sim.personality.geometry import STAGING, header_region, mark_region


def installed(memory: EcuMemory, trust: Trust) -> bool:
    """Return whether the bank holds what the staging flash holds, and may be booted."""
    bank = memory.next_bank
    same = memory.header(bank) == memory.header(STAGING)
    return same and memory.mark_stands(bank) and manager.bootable(memory, bank, trust) is None


async def resume(life: Incarnation, memory: EcuMemory, trust: Trust) -> None:
    """Go on with a copy that was interrupted, before anything is booted; nothing where none was."""
    if memory.personality.staging is None or not memory.mark_stands(STAGING):
        return
    await life.sleep_ns(manager.verify_ns(memory, STAGING))
    if manager.examine(memory, STAGING, trust) is None:
        try:
            await install(life, memory, trust)
        except FlashFault:
            memory.report_fault()


async def install(life: Incarnation, memory: EcuMemory, trust: Trust) -> Problem | None:
    """Copy an examined and marked image into the bank; returns what is wrong with the copy, or None.

    `FlashFault` when a driver refuses; the staged image stays then.
    """
    bank, header = memory.next_bank, memory.decoded_header(STAGING)
    if header is None:
        return Problem.NO_IMAGE
    if not installed(memory, trust):
        await _copy(life, memory, bank, header)
        await life.sleep_ns(manager.verify_ns(memory, bank))
        # The copy is verified where it will run: what went wrong on the way between the chips is in no hash of the
        # source.
        problem = manager.examine(memory, bank, trust)
        if problem is not None:
            return problem
        await memory.program_mark(life, bank)
    # Last: until the bank has its mark the staged image is the only one.
    await memory.erase_mark(life, STAGING)
    return None


async def _copy(life: Incarnation, memory: EcuMemory, bank: str, header: ImageHeader) -> None:
    """Make mark, header and image of the bank what is staged, but for the mark, which stays erased."""
    source = memory.image_place(STAGING, header.load_address, header.length)
    target = memory.image_place(bank, header.load_address, header.length)
    assert source is not None, "an image that was examined has a place"
    assert target is not None, "the external flash has the addresses of the bank"
    slots = (mark_region(bank), header_region(bank))
    if not all(memory.flash.is_erased(slot, 0, memory.flash.region(slot).size_bytes) for slot in slots):
        await memory.erase_header(life, bank)
    region = memory.flash.region(target.region)
    for sector in region.sectors_of(target.offset, target.size_bytes):
        begin = max(region.begins[sector], target.offset)
        end = min(region.begins[sector + 1], target.offset + target.size_bytes)
        taken = Place(source.region, source.offset + begin - target.offset, end - begin)
        await _copy_sector(life, memory, taken, Place(target.region, begin, end - begin), sector)
    raw = memory.flash.read(header_region(STAGING), 0, HEADER_BYTES)
    place = header_region(bank)
    await memory.flash.program(life, place, 0, padded(raw, memory.unit_bytes(place)))


async def _copy_sector(life: Incarnation, memory: EcuMemory, source: Place, target: Place, sector: int) -> None:
    """Copy the part of the image that lies in one sector, unless it stands there already."""
    flash, staging = memory.flash, memory.personality.staging
    assert staging is not None, "only an ECU with staging flash copies out of it"
    await life.sleep_ns(-(-source.size_bytes // staging.read_bytes_per_ms) * NS_PER_MS)
    wanted = flash.read(source.region, source.offset, source.size_bytes)
    region = flash.region(target.region)
    begin, end = region.begins[sector], region.begins[sector + 1]
    cells = flash.cells(target.region, target.offset, target.size_bytes)
    whole = not cells.strip(bytes((Cell.PROGRAMMED,)))
    # Already there from before a cut: a sector more erased is wear, and one more that a second cut could take.
    if whole and flash.read(target.region, target.offset, target.size_bytes) == wanted:
        return
    if not flash.is_erased(target.region, begin, end - begin):
        await flash.erase(life, target.region, sector, 1)
    await flash.program(life, target.region, target.offset, padded(wanted, region.unit_bytes))
