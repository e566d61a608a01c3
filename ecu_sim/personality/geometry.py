"""Where an ECU's memory lies: banks, header slots, validity marks, sectors and program units, per region."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field, field_validator

from bench.config import FileModel
from bench.config.invalid_key import invalid_key
from bench.core.clock import NS_PER_MS, NS_PER_US
from bench.wire.bootloader_update import BOOT_BASE, BOOT_BYTES
from ecu_sim.personality.region import FlashRegion, SectorRun, equal_sectors

MAX_SECTOR_BYTES = 1_048_576
RAM = "ram"
"""Where code runs that no flash operation can disturb."""


class Bank(FileModel):
    """One place an image may stand; the address is the linked one, as it stands in a download."""

    name: str = Field(pattern=r"^[A-Z]$")
    linked_base: int = Field(ge=0, lt=2**32)
    size_bytes: int = Field(gt=0, le=0x400_0000)


class Sectors(FileModel):
    """A run of equal sectors; without `erase_ms` they take as long as the region's others."""

    count: int = Field(ge=1, le=65_536)
    size_bytes: int = Field(ge=256, le=MAX_SECTOR_BYTES)
    erase_ms: int | None = Field(default=None, gt=0, le=60_000)


class FlashArea(FileModel):
    """Regions that are made otherwise than `[flash]` says; what is left out is as there.

    `regions` are `mark:<bank>`, `header:<bank>`, `image:<bank>`, `boot` and `boot_shadow`.
    """

    regions: tuple[str, ...] = Field(min_length=1)
    unit_bytes: int | None = Field(default=None, ge=8, le=4096)
    program_us: int | None = Field(default=None, gt=0, le=1_000_000)
    erase_ms: int | None = Field(default=None, gt=0, le=60_000)
    sectors: tuple[Sectors, ...] = Field(default=(), description="from the region's begin, instead of equal ones")
    partition: str = Field(
        default="",
        pattern=r"^[a-z0-9_-]{0,32}$",
        description="regions of one partition cannot be read while one of them is programmed or erased",
    )
    endurance_cycles: int | None = Field(default=None, ge=1, le=10_000_000)


class FlashShape(FileModel):
    """Program units and equal sectors of a device, how long each takes, and how often a sector may be erased."""

    unit_bytes: int = Field(ge=8, le=4096)
    program_us: int = Field(gt=0, le=1_000_000)
    sector_bytes: int = Field(ge=256, le=MAX_SECTOR_BYTES)
    erase_ms: int = Field(gt=0, le=60_000)
    endurance_cycles: int | None = Field(
        default=None, ge=1, le=10_000_000, description="rated erases of a sector; later ones fail"
    )


class FlashTiming(FlashShape):
    """The internal flash: all regions alike, but for those that `areas` name."""

    while_receiving: bool = Field(
        default=False, description="0x36 is answered once the block is in RAM, and programmed while the next one comes"
    )
    code_runs_from: str = Field(
        default=RAM, description="partition that the bootloader runs from; nothing in it can be programmed or erased"
    )
    areas: tuple[FlashArea, ...] = ()

    @field_validator("areas")
    @classmethod
    def _regions_are_named_once(cls, areas: tuple[FlashArea, ...]) -> tuple[FlashArea, ...]:
        names = [name for area in areas for name in area.regions]
        if len(set(names)) != len(names):
            raise ValueError(f"each region at most once, found {', '.join(names)}")
        return areas

    def area(self, region: str) -> FlashArea | None:
        """Return what a region has of its own."""
        return next((area for area in self.areas if region in area.regions), None)


class StagingFlash(FlashShape):
    """External flash that downloads go to; checked there, then copied into the bank (routine 0x0202, or a boot)."""

    base_address: int = Field(default=0x9000_0000, ge=0, lt=2**32)
    read_bytes_per_ms: int = Field(default=4096, gt=0, le=2**32, description="how fast an image is read out of it")


INTERNAL, EXTERNAL = "internal", "external"
"""Devices; each does one operation at a time."""
STAGING = "staging"
"""Stands where a bank's name stands, for the regions of the external flash."""
BOOT_REGION = "boot"
"""The bootloader's own, protected region."""
BOOT_SHADOW_REGION = "boot_shadow"
"""Where a new bootloader is downloaded to, on ECUs whose bootloader can be updated."""


def image_region(bank: str) -> str:
    """Return the name of the region that holds a bank's image."""
    return f"image:{bank}"


def header_region(bank: str) -> str:
    """Return the name of the region that holds a bank's header slot."""
    return f"header:{bank}"


def mark_region(bank: str) -> str:
    """Return the name of the region that holds a bank's validity mark."""
    return f"mark:{bank}"


@dataclass(frozen=True, slots=True)
class Layout:
    """What the regions of an ECU are worked out from. `invalid_key` when sectors do not make up a region."""

    banks: tuple[Bank, ...]
    flash: FlashTiming
    header_address: int
    mark_address: int
    staging: StagingFlash | None = None
    boot_shadow_address: int | None = None

    def regions(self) -> Iterator[FlashRegion]:
        """Yield per bank mark, header slot and image; then the bootloader's region, then the external ones."""
        for bank in self.banks:
            yield self._slot(mark_region(bank.name), self.mark_address)
            yield self._slot(header_region(bank.name), self.header_address)
            yield self._internal(image_region(bank.name), bank.linked_base, bank.size_bytes)
        boot_bytes = max(BOOT_BYTES, self.flash.sector_bytes)
        yield self._internal(BOOT_REGION, BOOT_BASE, boot_bytes, protected=True)
        if self.boot_shadow_address is not None:
            yield self._internal(BOOT_SHADOW_REGION, self.boot_shadow_address, boot_bytes)
        if self.staging is not None:
            yield from self._external(self.staging)

    def _slot(self, name: str, base_address: int) -> FlashRegion:
        area = self.flash.area(name)
        sizes = [run.count * run.size_bytes for run in area.sectors] if area is not None else []
        return self._internal(name, base_address, sum(sizes) or self.flash.sector_bytes)

    def _internal(self, name: str, base_address: int, size_bytes: int, *, protected: bool = False) -> FlashRegion:
        flash = self.flash
        area = flash.area(name) or FlashArea(regions=(name,))
        sectors_bytes = sum(run.count * run.size_bytes for run in area.sectors)
        if area.sectors and sectors_bytes != size_bytes:
            raise invalid_key(
                f"{name}: the sectors make up {sectors_bytes} bytes, the region has {size_bytes}",
                key=self.key_of(name), found=f"{sectors_bytes} bytes in all", allowed=f"{size_bytes} bytes in all",
            )  # fmt: skip
        erase_ns = (area.erase_ms or flash.erase_ms) * NS_PER_MS
        runs = tuple(
            SectorRun(run.count, run.size_bytes, erase_ns if run.erase_ms is None else run.erase_ms * NS_PER_MS)
            for run in area.sectors
        )
        return FlashRegion(
            name=name, base_address=base_address, size_bytes=size_bytes,
            unit_bytes=area.unit_bytes or flash.unit_bytes,
            program_ns=(area.program_us or flash.program_us) * NS_PER_US,
            runs=runs or equal_sectors(size_bytes, flash.sector_bytes, erase_ns), protected=protected,
            partition=area.partition, endurance_cycles=area.endurance_cycles or flash.endurance_cycles,
        )  # fmt: skip

    def _external(self, staging: StagingFlash) -> Iterator[FlashRegion]:
        at = staging.base_address
        image_bytes = -(-self.banks[0].size_bytes // staging.sector_bytes) * staging.sector_bytes
        sizes = {mark_region(STAGING): staging.sector_bytes, header_region(STAGING): staging.sector_bytes}
        for name, size_bytes in (sizes | {image_region(STAGING): image_bytes}).items():
            yield FlashRegion(
                name=name, base_address=at, size_bytes=size_bytes, unit_bytes=staging.unit_bytes,
                program_ns=staging.program_us * NS_PER_US, device=EXTERNAL, partition=EXTERNAL,
                runs=equal_sectors(size_bytes, staging.sector_bytes, staging.erase_ms * NS_PER_MS),
                endurance_cycles=staging.endurance_cycles,
            )  # fmt: skip
            at += size_bytes

    def key_of(self, region: str) -> str:
        """Return the key that makes a region's sectors what they are."""
        for number, area in enumerate(self.flash.areas):
            if region in area.regions and (area.sectors or area.unit_bytes is not None):
                return f"flash.areas.{number}.{'sectors' if area.sectors else 'unit_bytes'}"
        return "staging.sector_bytes" if region.endswith(f":{STAGING}") else "flash.sector_bytes"

    def check(self, least_slot_bytes: int) -> None:
        """Raise `invalid_key` when a region's sectors do not fit, or an area names what there is not."""
        regions = {region.name: region for region in self.regions()}
        self._refuse_unknown_regions(", ".join(regions))
        for region in regions.values():
            odd = next((run.size_bytes for run in region.runs if run.size_bytes % region.unit_bytes), None)
            if odd is not None:
                raise invalid_key(
                    f"{region.name}: every sector must be a multiple of its unit_bytes",
                    key=self.key_of(region.name), found=f"a sector of {odd} bytes, units of {region.unit_bytes}",
                    allowed=f"sectors that are multiples of {region.unit_bytes} bytes",
                )  # fmt: skip
            if region.size_bytes < least_slot_bytes:
                raise invalid_key(
                    f"{region.name}: its sectors must hold {least_slot_bytes} bytes",
                    key=self.key_of(region.name), found=f"{region.size_bytes} bytes in all",
                    allowed=f"at least {least_slot_bytes} bytes in all",
                )  # fmt: skip
        partitions = {region.partition for region in regions.values() if region.partition}
        if self.flash.code_runs_from not in {RAM, *partitions}:
            names = ", ".join(sorted({RAM, *partitions}))
            sentence = f"flash.code_runs_from must be one of: {names}"
            raise invalid_key(sentence, key="flash.code_runs_from", allowed=names)

    def _refuse_unknown_regions(self, known: str) -> None:
        for number, area in enumerate(self.flash.areas):
            for name in area.regions:
                if name not in known.split(", "):
                    raise invalid_key(
                        f"flash.areas.regions names {name!r}; there are {known}",
                        key=f"flash.areas.{number}.regions", found=f'"{name}"', allowed=known,
                    )  # fmt: skip
