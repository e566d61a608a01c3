"""Personalities: one TOML file per kind of ECU (`fixtures/ecus/`); a new kind needs no code."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from bench.config import FileModel, load_toml
from bench.core.clock import NS_PER_MS
from bench.core.records import BankLayout, DownloadPacking, EcuLayout
from bench.core.specs import EcuSpec
from bench.wire import seed_key
from bench.wire.certificates import AUTHORITY, PROGRAMMING_ROLE
from bench.wire.download_format import PLAIN, DownloadFormat
from bench.wire.image_header import HEADER_BYTES
from bench.wire.isotp import LONGEST
from bench.wire.isotp_habits import IsoTpHabits
from bench.wire.transfer_format import STANDARD, TransferFormat
from ecu_sim.geometry import BOOT_BASE, Bank, FlashRegion, FlashTiming, flash_regions

ERASE_ROUTINE = 0xFF00


class NvmTiming(FileModel):
    """How long the ECU's small memory takes to write one record of 16 bytes."""

    record_us: int = Field(gt=0, le=1_000_000)


class BootTiming(FileModel):
    """How long the stages of a boot take, and how often an unconfirmed image may boot."""

    manager_ms: int = Field(ge=0, le=60_000)
    bootloader_ms: int = Field(ge=0, le=60_000)
    application_ms: int = Field(ge=0, le=60_000)
    verify_bytes_per_ms: int = Field(gt=0)
    trial_boots: int = Field(default=3, ge=1, le=200)
    time_limit_ms: int = Field(gt=0, le=600_000)
    reset_delay_ms: int = Field(ge=0, le=10_000)


class UdsServerTiming(FileModel):
    """Timers of the server (ISO 14229-2) and the longest block of a download (with SID and counter)."""

    p2_ms: int = Field(gt=0, le=0xFFFF)
    p2_star_ms: int = Field(gt=0, le=655_350)
    pending_margin_ms: int = Field(gt=0)
    s3_ms: int = Field(gt=0)
    max_block_length: int = Field(ge=10, le=LONGEST)

    @model_validator(mode="after")
    def _ordered(self) -> UdsServerTiming:
        if not self.pending_margin_ms < self.p2_ms < self.p2_star_ms:
            raise ValueError("need pending_margin_ms < p2_ms < p2_star_ms")
        return self


class EcuIsoTpHabits(IsoTpHabits):
    """How the ECU frames its messages and what it asks for in its flow control.

    With `tx_dl = 8` it answers in classic frames, on a CAN FD bus too; it understands frames of either kind.
    """

    block_size: int = Field(ge=0, le=255)
    st_min: int = Field(ge=0, le=255)
    bootloader_frames: Literal["as_application", "classic", "classic_only"] = Field(
        default="as_application",
        description='"classic": the bootloader answers in frames of 8 bytes; "classic_only": it hears no others',
    )

    def of_mode(self, *, bootloader: bool) -> IsoTpHabits:
        """Return the habits of the application or of the bootloader."""
        if bootloader and self.bootloader_frames != "as_application":
            return self.model_copy(update={"tx_dl": 8, "tx_dl_min": 8, "frames": "classic"})
        return self

    def hears_fd(self, *, bootloader: bool) -> bool:
        """Return whether the application or the bootloader hears CAN FD frames."""
        return not (bootloader and self.bootloader_frames == "classic_only")


class SecurityRules(FileModel):
    """SecurityAccess: algorithm and secret by name, attempts before the delay."""

    algorithm: str
    secret_name: str = Field(min_length=1)
    seed_bytes: int = Field(ge=2, le=64)
    max_attempts: int = Field(ge=1, le=100)
    delay_ms: int = Field(ge=0)

    @field_validator("algorithm")
    @classmethod
    def _known(cls, value: str) -> str:
        if not seed_key.is_known(value):
            raise ValueError(f"one of: {', '.join(seed_key.algorithm_names())}")
        return value


class AuthenticationRules(FileModel):
    """Authentication (0x29): the authority that is trusted, by name, and what a tester's certificate must show.

    `certificate_name` is the ECU's own test certificate, for the bidirectional kind; without it there is none.
    """

    authority: str = Field(default=AUTHORITY, min_length=1)
    role: str = Field(default=PROGRAMMING_ROLE, min_length=1)
    certificate_name: str | None = Field(default=None, min_length=1)
    revoked: tuple[str, ...] = ()
    verify_ms: int = Field(default=15, ge=0, le=60_000)


class Personality(FileModel):
    """One kind of ECU: memory, timing, rules. One bank is a single-bank ECU, two are A/B."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    title: str
    header_address: int = Field(ge=0, lt=2**32)
    mark_address: int = Field(ge=0, lt=2**32)
    banks: tuple[Bank, ...] = Field(min_length=1, max_length=2)
    flash: FlashTiming
    nvm: NvmTiming
    boot: BootTiming
    uds: UdsServerTiming
    isotp: EcuIsoTpHabits
    security: SecurityRules | None = None
    authentication: AuthenticationRules | None = None
    download: DownloadFormat = PLAIN
    transfer: TransferFormat = STANDARD
    resume: bool = Field(default=False, description="routine 0x0205 tells how much of a download flash holds")

    @model_validator(mode="after")
    def _fits_together(self) -> Personality:
        sector, unit = self.flash.sector_bytes, self.flash.unit_bytes
        if sector % unit or sector < HEADER_BYTES:
            raise ValueError(f"flash.sector_bytes must be a multiple of unit_bytes and hold {HEADER_BYTES} bytes")
        if self.security is None and self.authentication is None:
            raise ValueError("neither security nor authentication: nothing would guard the flash")
        if any(bank.size_bytes % sector for bank in self.banks):
            raise ValueError("banks.size_bytes must be a multiple of flash.sector_bytes")
        if len({bank.name for bank in self.banks}) != len(self.banks):
            raise ValueError("banks.name must differ")
        spans = [(self.header_address, sector), (self.mark_address, sector), (BOOT_BASE, sector)]
        if self.uds.max_block_length > self.isotp.max_length:
            raise ValueError(f"uds.max_block_length must be at most isotp.max_length, {self.isotp.max_length}")
        for bank in self.banks:
            _refuse_overlap([*spans, (bank.linked_base, bank.size_bytes)])
        return self

    @property
    def dual_bank(self) -> bool:
        """Whether the ECU is A/B."""
        return len(self.banks) == 2

    def bank(self, name: str) -> Bank:
        """Return the bank of that name; StopIteration when there is none."""
        return next(bank for bank in self.banks if bank.name == name)

    def regions(self) -> Iterator[FlashRegion]:
        """Yield the regions of the flash."""
        return flash_regions(self.banks, self.flash, self.header_address, self.mark_address)

    def verify_ns(self, length: int) -> int:
        """Return how long the boot manager takes to verify an image of `length` bytes."""
        return -(-length // self.boot.verify_bytes_per_ms) * NS_PER_MS


def _refuse_overlap(spans: list[tuple[int, int]]) -> None:
    ordered = sorted(spans)
    for (base, size_bytes), (following, _) in pairwise(ordered):
        if base + size_bytes > following:
            raise ValueError(f"memory at 0x{following:08X} overlaps the one that begins at 0x{base:08X}")


def load_personality(path: Path) -> Personality:
    """Read an ECU file; `InputError` names file, key, found and allowed."""
    return load_toml(path, Personality, f"ECU personality {path.stem!r}")


def _packing(form: DownloadFormat) -> DownloadPacking | None:
    if form == PLAIN:
        return None
    return DownloadPacking(form.data_format, form.compression, form.encryption, form.key, form.lzma_dictionary_bytes)


def ecu_layout(spec: EcuSpec, personality: Personality) -> EcuLayout:
    """Return what the bench knows of an ECU before a run."""
    return EcuLayout(
        ecu=spec.id, channel=spec.channel, request_id=spec.request_id, response_id=spec.response_id,
        hardware_id=spec.hardware_id, header_address=personality.header_address,
        banks=tuple(BankLayout(b.name, b.linked_base, b.size_bytes) for b in personality.banks),
        boot_time_limit_ms=personality.boot.time_limit_ms, erase_routine=ERASE_ROUTINE, id_29_bit=spec.id_29_bit,
        request_extension=spec.request_extension, response_extension=spec.response_extension,
        packing=_packing(personality.download), first_counter=personality.transfer.first_counter,
        counter_after_ff=personality.transfer.counter_after_ff,
    )  # fmt: skip
