"""What the boot manager, which is never changed, does for a bootloader that is: verify it, and copy the shadow.

A copy is asked for by the bootloader (routine 0x0209) and finished by as many boots as it takes: the NVM knows the
sectors that are done, the cells themselves how far the next one has come. Until the last unit is there the shadow
is whole, so that a bootloader always is.
"""

from __future__ import annotations

from dataclasses import replace

from bench.core.node import Incarnation
from bench.wire.bootloader_update import BOOT_SOFTWARE_ID, LINKED_AT
from bench.wire.image_header import HEADER_BYTES, ImageHeader
from ecu_sim.boot import manager
from ecu_sim.boot.manager import Problem, Trust
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.memory.bootloader import BootloaderMemory
from ecu_sim.memory.flash import Flash, FlashFault, padded
from ecu_sim.memory.pages import Cell
from ecu_sim.personality.geometry import BOOT_REGION, BOOT_SHADOW_REGION


def examine(bootloader: BootloaderMemory, region: str, trust: Trust) -> Problem | None:
    """Return what is wrong with the bootloader in a region, or None. The factory's own needs no signature."""
    header = bootloader.header(region)
    if header is None:
        return Problem.NO_IMAGE
    if header.load_address != LINKED_AT or header.software_id != BOOT_SOFTWARE_ID:
        return Problem.NO_BOOTLOADER
    if not bootloader.is_factory(region):
        if not manager.signature_ok(bootloader.raw_header(region), trust.image_public_key):
            return Problem.SIGNATURE
        if not manager.hardware_ok(header, trust.hardware_id):
            return Problem.HARDWARE
        if not manager.release_ok(header, bootloader.state.release_floor):
            return Problem.RELEASE
    if not manager.hash_ok(header, bootloader.code_sha256(region)):
        return Problem.HASH
    return None


def programmed_problem(memory: EcuMemory, bootloader: BootloaderMemory, trust: Trust) -> Problem | None:
    """Return what is wrong with the bootloader in the shadow, or None: torn cells that read well today count too.

    Else a copy that began in one boot could find another shadow in the next, with the active region erased.
    """
    problem, header = examine(bootloader, BOOT_SHADOW_REGION, trust), bootloader.header(BOOT_SHADOW_REGION)
    if problem is None and header is not None and not memory.firm(BOOT_SHADOW_REGION, 0, HEADER_BYTES + header.length):
        return Problem.TORN
    return problem


def find(memory: EcuMemory, trust: Trust) -> bool:
    """Find the bootloader that this life runs; False when there is none. A built-in one is always there."""
    bootloader = memory.bootloader
    if bootloader is None:
        return True
    bootloader.running = place_to_run(bootloader, trust)
    return bootloader.running is not None


def place_to_run(bootloader: BootloaderMemory, trust: Trust) -> str | None:
    """Return the region whose bootloader may run: the active one, else the shadow, which the chip maps in its place."""
    whole = (region for region in (BOOT_REGION, BOOT_SHADOW_REGION) if examine(bootloader, region, trust) is None)
    return next(whole, None)


async def finish_copy(life: Incarnation, memory: EcuMemory, trust: Trust) -> None:
    """Bring a copy that was asked for to its end; a cut at any instant leaves the rest to the next boot.

    A driver fault leaves it unfinished: the bootloader then runs from the shadow.
    """
    bootloader = memory.bootloader
    if bootloader is None or not bootloader.state.copying:
        return
    header = bootloader.header(BOOT_SHADOW_REGION)
    # The shadow does not hold: with an active region that does, the copy is called off; else there is nothing better
    # than to wait.
    if header is None or examine(bootloader, BOOT_SHADOW_REGION, trust) is not None:
        if examine(bootloader, BOOT_REGION, trust) is None:
            await bootloader.store(life, replace(bootloader.state, copying=False, sectors_done=0))
        return
    await life.sleep_ns(memory.personality.verify_ns(header.length))
    try:
        await _copy(life, memory.flash, bootloader, header)
    except FlashFault:
        memory.flash.lock()
        memory.report_fault()
        return
    if examine(bootloader, BOOT_REGION, trust) is None:
        await bootloader.store(life, replace(bootloader.state, copying=False, sectors_done=0,
                                             release_floor=header.release_counter))  # fmt: skip


async def _copy(life: Incarnation, flash: Flash, bootloader: BootloaderMemory, header: ImageHeader) -> None:
    region = flash.region(BOOT_REGION)
    wanted = padded(flash.read(BOOT_SHADOW_REGION, 0, HEADER_BYTES + header.length), region.unit_bytes)
    # Open to the boot manager alone, which no download reaches: a fault of the bootloader cannot erase it.
    flash.unlock(life, BOOT_REGION)
    for sector in region.sectors_of(0, len(wanted))[bootloader.state.sectors_done :]:
        begin, end = region.begins[sector], min(region.begins[sector + 1], len(wanted))
        stored = _stored_bytes(flash, begin, region.begins[sector + 1], wanted[begin:end])
        if stored is None:
            await flash.erase(life, BOOT_REGION, sector, 1)
            stored = 0
        if begin + stored < end:
            await flash.program(life, BOOT_REGION, begin + stored, wanted[begin + stored : end])
        # After each sector: a cut costs one sector, and no sector is erased twice for it.
        await bootloader.store(life, replace(bootloader.state, sectors_done=sector + 1))
    flash.lock()


def _stored_bytes(flash: Flash, begin: int, sector_end: int, wanted: bytes) -> int | None:
    """Return how much of a sector already holds what is wanted, nothing but erased cells behind it; else None."""
    unit_bytes = flash.region(BOOT_REGION).unit_bytes
    cells = flash.cells(BOOT_REGION, begin, sector_end - begin)
    done = len(cells) - len(cells.lstrip(bytes((Cell.PROGRAMMED,))))
    stored = done * unit_bytes
    if any(cell != Cell.ERASED for cell in cells[done:]) or stored > len(wanted):
        return None
    return stored if flash.read(BOOT_REGION, begin, stored) == wanted[:stored] else None
