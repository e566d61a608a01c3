"""Personalities: one TOML file per kind of ECU (`fixtures/ecus/`); a new kind needs no code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bench.config import FileModel, load_toml
from bench.config.invalid_key import invalid_key
from bench.core.clock import NS_PER_MS
from bench.wire.bootloader_update import BOOT_BASE, BOOT_BYTES, BootloaderUpdate
from bench.wire.download_format import PLAIN, DownloadFormat
from bench.wire.image_header import HEADER_BYTES
from bench.wire.preconditions import Preconditions
from bench.wire.supply_rules import DEFAULT_SUPPLY, SupplyRules
from bench.wire.transfer_format import STANDARD, TransferFormat
from ecu_sim.personality.diagnostics import Diagnostics, Identification
from ecu_sim.personality.geometry import (
    BOOT_REGION,
    Bank,
    FlashTiming,
    Layout,
    StagingFlash,
    header_region,
    image_region,
    mark_region,
)
from ecu_sim.personality.overlaps import Span, refuse_overlap
from ecu_sim.personality.region import FlashRegion
from ecu_sim.personality.sections import (
    AuthenticationRules,
    BootTiming,
    EcuIsoTpHabits,
    NvmTiming,
    SecurityRules,
    UdsServerTiming,
)
from ecu_sim.personality.user_data import UserData
from ecu_sim.personality.watchdog import DEFAULT_WATCHDOG, WatchdogRules


class Personality(FileModel):
    """One kind of ECU: memory, timing, rules. One bank is a single-bank ECU, two are A/B."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str
    header_address: int = Field(ge=0, lt=2**32)
    mark_address: int = Field(ge=0, lt=2**32)
    banks: tuple[Bank, ...] = Field(min_length=1, max_length=2)
    flash: FlashTiming
    staging: StagingFlash | None = None
    nvm: NvmTiming
    boot: BootTiming
    uds: UdsServerTiming
    isotp: EcuIsoTpHabits
    security: SecurityRules | None = None
    authentication: AuthenticationRules | None = None
    download: DownloadFormat = PLAIN
    transfer: TransferFormat = STANDARD
    identification: Identification = Identification()
    diagnostics: Diagnostics = Diagnostics()
    supply: SupplyRules = DEFAULT_SUPPLY
    watchdog: WatchdogRules = DEFAULT_WATCHDOG
    bootloader_update: BootloaderUpdate | None = None
    resume: bool = Field(default=False, description="routine 0x0205 tells how much of a download flash holds")
    preconditions: Preconditions = Preconditions()
    user_data: UserData | None = None
    routes_in_bootloader: bool = Field(
        default=False, description="of a gateway: its bootloader carries frames between the buses too"
    )

    @field_validator("staging")
    @classmethod
    def _has_one_bank(cls, staging: StagingFlash | None, info: ValidationInfo) -> StagingFlash | None:
        if staging is not None and len(info.data.get("banks", ())) > 1:
            raise ValueError("nothing: external flash is for ECUs with one bank")
        return staging

    @model_validator(mode="after")
    def _fits_together(self) -> Personality:
        if self.security is None and self.authentication is None:
            raise invalid_key(
                "neither security nor authentication: nothing would guard the flash",
                key="security", allowed="[security] or [authentication], or both",
            )  # fmt: skip
        if self.uds.max_block_length > self.isotp.max_length:
            raise invalid_key(
                f"uds.max_block_length must be at most isotp.max_length, {self.isotp.max_length}",
                key="uds.max_block_length", allowed=f"up to {self.isotp.max_length}: isotp.max_length",
            )  # fmt: skip
        self._refuse_unfit_sizes()
        self._layout.check(HEADER_BYTES)
        sizes = {region.name: region.size_bytes for region in self._regions}
        for number, bank in enumerate(self.banks):
            refuse_overlap([
                Span("mark_address", self.mark_address, sizes[mark_region(bank.name)]),
                Span("header_address", self.header_address, sizes[header_region(bank.name)]),
                *self._spans_of_no_bank(),
                Span(f"banks.{number}.linked_base", bank.linked_base, bank.size_bytes),
                Span("", BOOT_BASE, sizes[BOOT_REGION]),
            ])  # fmt: skip
        return self

    def _spans_of_no_bank(self) -> Iterator[Span]:
        if self.bootloader_update is not None:
            shadow_bytes = max(BOOT_BYTES, self.flash.sector_bytes)
            yield Span("bootloader_update.shadow_address", self.bootloader_update.shadow_address, shadow_bytes)
        if self.user_data is not None:
            yield Span("user_data.base_address", self.user_data.base_address, self.user_data.size_bytes)

    def _refuse_unfit_sizes(self) -> None:
        """Raise `invalid_key`: sectors not of whole units, parts not of whole sectors, two banks of one name."""
        sector, unit = self.flash.sector_bytes, self.flash.unit_bytes
        if sector % unit or sector < HEADER_BYTES:
            raise invalid_key(
                f"flash.sector_bytes must be a multiple of unit_bytes and hold {HEADER_BYTES} bytes",
                key="flash.sector_bytes", allowed=f"a multiple of {unit} (flash.unit_bytes), from {HEADER_BYTES}",
            )  # fmt: skip
        names: dict[str, int] = {}
        for number, bank in enumerate(self.banks):
            if bank.size_bytes % sector and not self._has_own_sectors(bank):
                raise _no_whole_sectors("banks", f"banks.{number}", sector)
            if bank.name in names:
                other = f"another name than that of banks.{names[bank.name]}"
                raise invalid_key("banks.name must differ", key=f"banks.{number}.name", allowed=other)
            names[bank.name] = number
        if self.user_data is not None and self.user_data.size_bytes % sector:
            raise _no_whole_sectors("user_data", "user_data", sector)

    def _has_own_sectors(self, bank: Bank) -> bool:
        area = self.flash.area(image_region(bank.name))
        return area is not None and bool(area.sectors)

    @cached_property
    def _layout(self) -> Layout:
        shadow = None if self.bootloader_update is None else self.bootloader_update.shadow_address
        return Layout(self.banks, self.flash, self.header_address, self.mark_address, self.staging, shadow)

    @cached_property
    def _regions(self) -> tuple[FlashRegion, ...]:
        own = () if self.user_data is None else (self.user_data.region(self.flash),)
        return (*self._layout.regions(), *own)

    @property
    def dual_bank(self) -> bool:
        """Whether the ECU is A/B."""
        return len(self.banks) == 2

    def bank(self, name: str) -> Bank:
        """Return the bank of that name; StopIteration when there is none."""
        return next(bank for bank in self.banks if bank.name == name)

    def regions(self) -> Iterator[FlashRegion]:
        """Yield the regions of the flash."""
        yield from self._regions

    def verify_ns(self, length: int) -> int:
        """Return how long the boot manager takes to verify an image of `length` bytes."""
        return -(-length // self.boot.verify_bytes_per_ms) * NS_PER_MS


def _no_whole_sectors(what: str, table: str, sector_bytes: int) -> ValueError:
    return invalid_key(
        f"{what}.size_bytes must be a multiple of flash.sector_bytes",
        key=f"{table}.size_bytes", allowed=f"a multiple of {sector_bytes} (flash.sector_bytes)",
    )  # fmt: skip


def load_personality(path: Path) -> Personality:
    """Read an ECU file; `InputError` names file, key, found and allowed."""
    return load_toml(path, Personality, f"ECU personality {path.stem!r}")
