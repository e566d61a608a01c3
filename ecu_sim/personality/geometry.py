"""Where an ECU's memory lies: banks, header slots, validity marks, sectors and program units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import Field

from bench.config import FileModel
from bench.core.clock import NS_PER_MS, NS_PER_US


class Bank(FileModel):
    """One place an image may stand; the address is the linked one, as it stands in a download."""

    name: str = Field(pattern=r"^[A-Z]$")
    linked_base: int = Field(ge=0, lt=2**32)
    size_bytes: int = Field(gt=0, le=0x400_0000)


class FlashTiming(FileModel):
    """Program units and erase sectors of the flash, and how long each takes."""

    unit_bytes: int = Field(ge=8, le=4096)
    program_us: int = Field(gt=0, le=1_000_000)
    sector_bytes: int = Field(ge=256, le=1_048_576)
    erase_ms: int = Field(gt=0, le=60_000)
    while_receiving: bool = Field(
        default=False, description="0x36 is answered once the block is in RAM, and programmed while the next one comes"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashRegion:
    """A run of equal sectors. A protected region refuses every program and erase."""

    name: str
    base_address: int
    size_bytes: int
    unit_bytes: int
    sector_bytes: int
    program_ns: int
    erase_ns: int
    protected: bool = False

    @property
    def units_per_sector(self) -> int:
        """How many program units a sector has."""
        return self.sector_bytes // self.unit_bytes


BOOT_REGION = "boot"
"""The bootloader's own, protected region."""
BOOT_BASE, BOOT_BYTES = 0x00F8_0000, 0x1_0000


def image_region(bank: str) -> str:
    """Return the name of the region that holds a bank's image."""
    return f"image:{bank}"


def header_region(bank: str) -> str:
    """Return the name of the region that holds a bank's header slot."""
    return f"header:{bank}"


def mark_region(bank: str) -> str:
    """Return the name of the region that holds a bank's validity mark."""
    return f"mark:{bank}"


def flash_regions(
    banks: tuple[Bank, ...], timing: FlashTiming, header_address: int, mark_address: int
) -> Iterator[FlashRegion]:
    """Yield all regions: per bank mark, header slot (one sector each) and image; then the bootloader's."""

    def region(name: str, base_address: int, size_bytes: int, *, protected: bool = False) -> FlashRegion:
        return FlashRegion(
            name=name, base_address=base_address, size_bytes=size_bytes, unit_bytes=timing.unit_bytes,
            sector_bytes=timing.sector_bytes, program_ns=timing.program_us * NS_PER_US,
            erase_ns=timing.erase_ms * NS_PER_MS, protected=protected,
        )  # fmt: skip

    for bank in banks:
        yield region(mark_region(bank.name), mark_address, timing.sector_bytes)
        yield region(header_region(bank.name), header_address, timing.sector_bytes)
        yield region(image_region(bank.name), bank.linked_base, bank.size_bytes)
    boot_bytes = max(BOOT_BYTES, timing.sector_bytes)
    yield region(BOOT_REGION, BOOT_BASE, boot_bytes, protected=True)
