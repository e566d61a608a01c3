"""An ECU's persistent parts, seen as banks: mark, header slot, image; and the way from linked addresses to them."""

from __future__ import annotations

from dataclasses import dataclass

from bench.core.node import Incarnation
from bench.core.records import FlashDump, MemoryRegion
from bench.core.world import World
from bench.wire.image_header import HEADER_BYTES, HeaderError, ImageHeader
from ecu_sim.memory.dtcs import DtcStore
from ecu_sim.memory.files import FileArea
from ecu_sim.memory.flash import Flash, padded
from ecu_sim.memory.nvm import Nvm, NvmRecord
from ecu_sim.memory.settings import SettingsBlock
from ecu_sim.personality.geometry import header_region, image_region, mark_region
from ecu_sim.personality.personality import Personality

VALID_MARK = b"OTABENCH-VALID-1"
"""Programmed last, erased first: without it no boot manager looks at the image."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a range of linked addresses lies in flash."""

    region: str
    offset: int
    size_bytes: int


class EcuMemory:
    """Flash and NVM of one ECU with the personality that says what lies where."""

    def __init__(self, world: World, ecu: str, personality: Personality) -> None:
        self.personality = personality
        self.flash = Flash(world, ecu, personality.regions())
        factory = NvmRecord(active_bank=personality.banks[0].name)
        self.nvm = Nvm(world, ecu, factory, personality.nvm.record_us)
        rules = personality.diagnostics
        self.dtc_block = DtcStore(self.nvm.device)
        self.settings = SettingsBlock(self.nvm.device, rules)
        self.files = FileArea(self.nvm.device, rules.file_area_bytes) if rules.file_area_bytes else None
        self._ecu = ecu

    # Banks ------------------------------------------------------------------------------------------

    @property
    def target_bank(self) -> str:
        """The bank that a download goes to: the only one, or the one that is not active."""
        names = [bank.name for bank in self.personality.banks]
        active = self.nvm.record.active_bank
        return next((name for name in names if name != active), names[0])

    def mark(self, bank: str) -> bytes:
        """Return the bytes where the validity mark stands."""
        return self.flash.read(mark_region(bank), 0, len(VALID_MARK))

    def header(self, bank: str) -> bytes:
        """Return the 256 bytes of the header slot."""
        return self.flash.read(header_region(bank), 0, HEADER_BYTES)

    def image_sha256(self, bank: str, header: ImageHeader) -> str:
        """Return the SHA-256 of what stands in the bank over the header's range; empty when no such range exists."""
        place = self.image_place(bank, header.load_address, header.length)
        return "" if place is None else self.flash.digest(place.region, place.offset, place.size_bytes)

    def decoded_header(self, bank: str) -> ImageHeader | None:
        """Return the header that stands in the slot, or None."""
        try:
            return ImageHeader.decode(self.header(bank))
        except HeaderError:
            return None

    # Linked addresses -------------------------------------------------------------------------------

    def image_place(self, bank: str, address: int, size_bytes: int) -> Place | None:
        """Return where linked addresses lie in `bank`, or None when they leave it or are none."""
        known = self.personality.bank(bank)
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
        """Return where a download may go: the header slot as a whole, or unit-aligned into the image."""
        if address == self.personality.header_address:
            return Place(header_region(bank), 0, HEADER_BYTES) if size_bytes == HEADER_BYTES else None
        place = self.image_place(bank, address, size_bytes)
        return None if place is None or place.offset % self.personality.flash.unit_bytes else place

    # Changes ----------------------------------------------------------------------------------------

    async def erase_bank(self, life: Incarnation, bank: str, place: Place) -> None:
        """Erase validity mark, header slot, then the image sectors that `place` touches, in this order."""
        await self.erase_header(life, bank)
        sector_bytes = self.personality.flash.sector_bytes
        first = place.offset // sector_bytes
        end = -(-(place.offset + place.size_bytes) // sector_bytes)
        await self.flash.erase(life, place.region, first, end - first)

    async def erase_header(self, life: Incarnation, bank: str) -> None:
        """Erase validity mark and header slot, in this order."""
        await self.flash.erase(life, mark_region(bank), 0, 1)
        await self.flash.erase(life, header_region(bank), 0, 1)

    async def program_mark(self, life: Incarnation, bank: str) -> None:
        """Program the validity mark."""
        await self.flash.program(life, mark_region(bank), 0, padded(VALID_MARK, self.personality.flash.unit_bytes))

    def install(self, bank: str, header: bytes, image: bytes) -> None:
        """Put a marked image into `bank` and make it the confirmed one, as a factory does."""
        decoded = ImageHeader.decode(header)
        place = self.image_place(bank, decoded.load_address, len(image))
        if place is None:
            raise ValueError(f"{self._ecu}: the image does not fit bank {bank}")
        self.flash.preload(place.region, place.offset, image)
        self.flash.preload(header_region(bank), 0, header)
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
                regions.append(MemoryRegion(name, base, flash.read(name, 0, size_bytes), torn))
        record = self.nvm.record
        return FlashDump(
            ecu=self._ecu,
            regions=tuple(regions),
            erases=flash.erases,
            programs=flash.programs,
            driver_faults=tuple(flash.driver_faults),
            release_floor=record.release_floor,
            trial_bank=record.trial_bank,
        )
