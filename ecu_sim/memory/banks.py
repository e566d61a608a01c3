"""An ECU's persistent parts, seen as banks: mark, header slot, image; and the way from linked addresses to them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from bench.core.clock import NS_PER_MS
from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.records import FlashDump, MemoryRegion
from bench.core.world import World
from bench.wire.image_header import HEADER_BYTES, HeaderError, ImageHeader
from ecu_sim.memory.bootloader import BootloaderMemory
from ecu_sim.memory.crashes import CrashCounters
from ecu_sim.memory.dtcs import Dtc, DtcMemory, DtcStore
from ecu_sim.memory.files import FileArea
from ecu_sim.memory.flash import Flash, FlashFault, FlashSnapshot, padded
from ecu_sim.memory.nvm import Nvm, NvmBlock, NvmRecord, NvmSnapshot
from ecu_sim.memory.pages import Cell
from ecu_sim.memory.settings import SettingsBlock
from ecu_sim.memory.torn import TornReads
from ecu_sim.memory.user_area import UserArea
from ecu_sim.personality.geometry import (
    BOOT_SHADOW_REGION,
    RAM,
    STAGING,
    Bank,
    header_region,
    image_region,
    mark_region,
)
from ecu_sim.personality.personality import Personality

VALID_MARK = b"OTABENCH-VALID-1"
"""Programmed last, erased first: without it no boot manager looks at the image."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a range of linked addresses lies in flash."""

    region: str
    offset: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class MemorySnapshot:
    """All that outlives a power cut, at one instant; a value that many ECUs may be restored from."""

    flash: FlashSnapshot
    nvm: NvmSnapshot


class EcuMemory:
    """Flash and NVM of one ECU with the personality that says what lies where."""

    def __init__(self, world: World, ecu: str, personality: Personality) -> None:
        self.personality = personality
        code = personality.flash.code_runs_from
        self.flash = Flash(world, ecu, personality.regions(), code_partition="" if code == RAM else code)
        factory = NvmRecord(active_bank=personality.banks[0].name)
        self.nvm = Nvm(world, ecu, factory, personality.nvm.record_us)
        diagnostics = personality.diagnostics
        self.dtc_block = DtcStore(self.nvm.device)
        self.settings = SettingsBlock(self.nvm.device, diagnostics)
        area_bytes = diagnostics.file_area_bytes
        self.files = FileArea(self.nvm.device, area_bytes) if area_bytes else None
        user = personality.user_data
        self.user_area = None if user is None else UserArea(self.flash, self.nvm.device, user, ecu)
        self.crash_block = NvmBlock(self.nvm.device, CrashCounters().encode())
        rules = personality.bootloader_update
        self.bootloader = None if rules is None else BootloaderMemory(self.flash, self.nvm.device, rules)
        """None where the bootloader is built in and never changes."""
        self._ecu = ecu
        self._dtcs: DtcMemory | None = None

    # Lives ------------------------------------------------------------------------------------------

    def tear_as(self, reads: TornReads) -> None:
        """Say how what the next power cut tears will read; the boot after it goes back to `mixed`."""
        self.flash.torn_reads = self.nvm.device.torn_reads = reads

    def begin_boot(self) -> None:
        """Begin a life: what the last one was doing has left its traces, and nobody is told of errors yet."""
        self._dtcs = None
        self.flash.lock()
        if self.bootloader is not None:
            self.bootloader.running = None
        self.flash.begin_boot()
        self.nvm.device.begin_boot()

    def report_to(self, dtcs: DtcMemory) -> None:
        """Have cells that cannot be read set a DTC in this life."""
        self._dtcs = dtcs
        if self.nvm.device.unreadable:
            dtcs.report(Dtc.MEMORY_FAULT, failed=True)

    def readable(self, region: str, offset: int, length: int) -> bytes | None:
        """Return bytes, or None where the driver cannot read them: that sets a DTC."""
        try:
            return self.flash.read(region, offset, length)
        except FlashFault:
            self.report_fault()
            return None

    def report_fault(self) -> None:
        """Set the DTC of a memory that fails."""
        if self._dtcs is not None:
            self._dtcs.report(Dtc.MEMORY_FAULT, failed=True)

    # State ------------------------------------------------------------------------------------------

    def snapshot(self) -> MemorySnapshot:
        """Return all that outlives a power cut. ValueError while something is programmed, erased or written."""
        return MemorySnapshot(self.flash.snapshot(), self.nvm.device.snapshot())

    def restore(self, snapshot: MemorySnapshot) -> None:
        """Go back to a snapshot of an ECU of the same personality; whoever runs now must be cut before."""
        self.flash.restore(snapshot.flash)
        self.nvm.device.restore(snapshot.nvm)

    def state_sha256(self) -> str:
        """Return the hash of the persistent state: equal ones go on equally. What is torn counts as a symbol.

        ValueError while something is programmed, erased or written.
        """
        parts = self.flash.state_value().to_bytes(32, "big") + self.nvm.device.state_value()
        return hashlib.sha256(parts).hexdigest()

    def continuing(self, now_ns: int) -> State:
        """Return the persistent state with what is being changed in it, and where the bootloader of this life runs."""
        running = None if self.bootloader is None else self.bootloader.running
        return self.flash.continuing(now_ns), self.nvm.device.continuing(now_ns), running

    # Banks ------------------------------------------------------------------------------------------

    @property
    def target_bank(self) -> str:
        """The bank that a download goes to: external staging flash, the only one, or the one that is not active."""
        return self.next_bank if self.personality.staging is None else STAGING

    @property
    def next_bank(self) -> str:
        """The bank that a downloaded image will run from."""
        names = [bank.name for bank in self.personality.banks]
        active = self.nvm.record.active_bank
        return next((name for name in names if name != active), names[0])

    def bank(self, name: str) -> Bank:
        """Return a bank; the staging flash stands for the bank that its image will be copied to."""
        return self.personality.banks[0] if name == STAGING else self.personality.bank(name)

    def unit_bytes(self, region: str) -> int:
        """Return the size of a region's program unit."""
        return self.flash.region(region).unit_bytes

    def mark(self, bank: str) -> bytes:
        """Return the bytes where the validity mark stands; none when they cannot be read."""
        return self.readable(mark_region(bank), 0, len(VALID_MARK)) or b""

    def mark_cells(self, bank: str) -> frozenset[int]:
        """Return the states that the units of the validity mark are in, as a driver with ECC can tell."""
        return frozenset(self.flash.cells(mark_region(bank), 0, len(VALID_MARK)))

    def mark_stands(self, bank: str) -> bool:
        """Return whether the validity mark was programmed to its end."""
        return self.mark_cells(bank) == {Cell.PROGRAMMED} and self.mark(bank) == VALID_MARK

    def firm(self, region: str, offset: int, length: int) -> bool:
        """Return whether none of the units that a range touches is torn, whatever they read as."""
        return Cell.TORN not in self.flash.cells(region, offset, length)

    def image_firm(self, bank: str, header: ImageHeader) -> bool:
        """Return whether neither the header slot of a bank nor what the header names has a torn unit."""
        place = self.image_place(bank, header.load_address, header.length)
        whole = self.firm(header_region(bank), 0, HEADER_BYTES)
        return whole and (place is None or self.firm(place.region, place.offset, place.size_bytes))

    def header(self, bank: str) -> bytes:
        """Return the 256 bytes of the header slot; none when they cannot be read."""
        return self.readable(header_region(bank), 0, HEADER_BYTES) or b""

    def image_sha256(self, bank: str, header: ImageHeader) -> str:
        """Return the SHA-256 of what stands in the bank over the header's range; empty when no such range exists, or
        when it cannot be read."""
        place = self.image_place(bank, header.load_address, header.length)
        if place is None:
            return ""
        try:
            return self.flash.digest(place.region, place.offset, place.size_bytes)
        except FlashFault:
            self.report_fault()
            return ""

    def decoded_header(self, bank: str) -> ImageHeader | None:
        """Return the header that stands in the slot, or None."""
        try:
            return ImageHeader.decode(self.header(bank))
        except HeaderError:
            return None

    # Linked addresses -------------------------------------------------------------------------------

    def image_place(self, bank: str, address: int, size_bytes: int) -> Place | None:
        """Return where linked addresses lie in `bank`, or None when they leave it or are none."""
        known = self.bank(bank)
        offset = address - known.linked_base
        if size_bytes <= 0 or offset < 0 or offset + size_bytes > known.size_bytes:
            return None
        return Place(image_region(bank), offset, size_bytes)

    def header_place(self, bank: str, address: int, size_bytes: int) -> Place | None:
        """Return where addresses lie in the header slot of `bank`, or None when they leave its header."""
        offset = address - self.personality.header_address
        if size_bytes <= 0 or offset < 0 or offset + size_bytes > HEADER_BYTES:
            return None
        return Place(header_region(bank), offset, size_bytes)

    def download_place(self, bank: str, address: int, size_bytes: int) -> Place | None:
        """Return where a download may go: the header slot as a whole, or unit-aligned into the image or the shadow."""
        shadow = self.shadow_place(address, size_bytes)
        if shadow is not None:
            return None if shadow.offset % self.unit_bytes(shadow.region) else shadow
        if address == self.personality.header_address:
            return Place(header_region(bank), 0, HEADER_BYTES) if size_bytes == HEADER_BYTES else None
        place = self.image_place(bank, address, size_bytes)
        return None if place is None or place.offset % self.unit_bytes(place.region) else place

    def shadow_place(self, address: int, size_bytes: int) -> Place | None:
        """Return where linked addresses lie in the bootloader's shadow, or None."""
        offset = None if self.bootloader is None else self.bootloader.shadow_offset(address, size_bytes)
        return None if offset is None else Place(BOOT_SHADOW_REGION, offset, size_bytes)

    def verify_ns(self, bank: str, length: int) -> int:
        """Return how long the boot manager takes to verify an image of `length` bytes where it stands."""
        staging = self.personality.staging
        if bank != STAGING or staging is None:
            return self.personality.verify_ns(length)
        return max(-(-length // staging.read_bytes_per_ms) * NS_PER_MS, self.personality.verify_ns(length))

    # Crashes ----------------------------------------------------------------------------------------

    @property
    def crashes(self) -> CrashCounters:
        """The counters as NVM holds them."""
        return CrashCounters.decode(self.crash_block.content)

    def crashes_in_row(self, bank: str) -> int:
        """Return how often the bank's image crashed in a row; nothing is executed from staging flash."""
        return 0 if bank == STAGING else self.crashes.in_row[self._number(bank)]

    async def count_crash(self, life: Incarnation, bank: str | None) -> None:
        """Count a reset by watchdog or crash of the image in `bank`, or of the bootloader."""
        number = None if bank is None else self._number(bank)
        await self.crash_block.store(life, self.crashes.after_crash(number).encode())

    async def forgive_crashes(self, life: Incarnation, bank: str) -> None:
        """Begin a bank's row anew; nothing is written when there is none, nor for staging flash."""
        if bank != STAGING:
            await self.crash_block.keep(life, self.crashes.forgiven(self._number(bank)).encode())

    def _number(self, bank: str) -> int:
        return [known.name for known in self.personality.banks].index(bank)

    # Changes ----------------------------------------------------------------------------------------

    async def erase_bank(self, life: Incarnation, bank: str, place: Place) -> None:
        """Erase validity mark, header slot, then the image sectors that `place` touches, in this order."""
        await self.erase_header(life, bank)
        sectors = self.flash.region(place.region).sectors_of(place.offset, place.size_bytes)
        await self.flash.erase(life, place.region, sectors.start, len(sectors))

    async def erase_header(self, life: Incarnation, bank: str) -> None:
        """Erase validity mark and header slot, in this order."""
        await self.erase_mark(life, bank)
        await self.flash.erase(life, header_region(bank), 0, 1)

    async def erase_mark(self, life: Incarnation, bank: str) -> None:
        """Erase the validity mark alone; what crashed in that bank counts no more."""
        await self.forgive_crashes(life, bank)
        await self.flash.erase(life, mark_region(bank), 0, 1)

    async def program_mark(self, life: Incarnation, bank: str) -> None:
        """Program the validity mark."""
        region = mark_region(bank)
        await self.flash.program(life, region, 0, padded(VALID_MARK, self.unit_bytes(region)))

    def install(self, bank: str, header: bytes, image: bytes) -> None:
        """Put a marked image into `bank` and make it the confirmed one, as a factory does."""
        decoded = ImageHeader.decode(header)
        place = self.image_place(bank, decoded.load_address, len(image))
        if place is None:
            raise ValueError(f"{self._ecu}: the image does not fit bank {bank}")
        holders = (bank,) if self.personality.staging is None else (bank, STAGING)
        for holder in holders:  # external flash is left as the update leaves it that brought this image
            self.flash.preload(image_region(holder), place.offset, image)
            self.flash.preload(header_region(holder), 0, header)
        self.flash.preload(mark_region(bank), 0, VALID_MARK)
        self.nvm.preload(NvmRecord(active_bank=bank, release_floor=decoded.release_counter))

    def dump(self) -> FlashDump:
        """Return what a reader of the memory finds after a run: per bank mark, header slot and image."""
        flash, personality = self.flash, self.personality
        regions: list[MemoryRegion] = []
        for bank in personality.banks:
            sizes = (
                (mark_region(bank.name), len(VALID_MARK)),
                (header_region(bank.name), HEADER_BYTES),
                (image_region(bank.name), bank.size_bytes),
            )
            for name, size_bytes in sizes:
                torn = tuple((at, min(length, size_bytes - at)) for at, length in flash.torn(name) if at < size_bytes)
                base = flash.region(name).base_address
                regions.append(MemoryRegion(name, base, flash.raw(name, 0, size_bytes), torn))
        if self.bootloader is not None:
            regions += self.bootloader.dumped()
        record = self.nvm.record
        return FlashDump(
            ecu=self._ecu,
            regions=tuple(regions),
            erases=flash.erases,
            programs=flash.programs,
            driver_faults=tuple(flash.driver_faults),
            release_floor=record.release_floor,
            trial_bank=record.trial_bank,
            nvm=b"".join(b.content for b in self.nvm.device.blocks if not self.dtc_block.owns(b)),
            wear=flash.worn(),
        )
