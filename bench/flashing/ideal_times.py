"""How long an ECU takes for what, as its personality file says: all that a dry run wants to know of it."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bench.config import MAX_FILE_BYTES, read_bytes
from bench.core.clock import NS_PER_MS, NS_PER_US
from bench.wire.image_header import HEADER_BYTES
from bench.wire.isotp_habits import IsoTpHabits

SLOTS = ("mark", "header")
"""Validity mark and header slot have sectors of their own."""


class _Part(BaseModel):
    """Part of a personality file; what a dry run does not need is left unread."""

    model_config = ConfigDict(extra="ignore", frozen=True)


class _Sectors(_Part):
    """A run of equal sectors."""

    count: int = Field(ge=1)
    size_bytes: int = Field(ge=1)
    erase_ms: int | None = None


class _Area(_Part):
    """Regions with times of their own."""

    regions: tuple[str, ...] = ()
    unit_bytes: int | None = Field(default=None, ge=1)
    program_us: int | None = None
    erase_ms: int | None = None
    sectors: tuple[_Sectors, ...] = ()


class FlashTimes(_Part):
    """How long programming and erasing take. The first bank stands for all."""

    unit_bytes: int = Field(default=1, ge=1)
    program_us: int = 0
    sector_bytes: int = Field(default=1 << 32, ge=1)
    erase_ms: int = 0
    while_receiving: bool = False
    areas: tuple[_Area, ...] = ()

    def _area(self, what: str) -> _Area:
        """Return what the regions of a kind (`image`, `header`, `mark`) have of their own."""
        return next((a for a in self.areas if any(name.startswith(what) for name in a.regions)), _Area())

    def programming(self, what: str) -> tuple[int, int]:
        """Return (bytes, nanoseconds) of a program unit."""
        area = self._area(what)
        program_us = self.program_us if area.program_us is None else area.program_us
        return area.unit_bytes or self.unit_bytes, program_us * NS_PER_US

    def program_ns(self, what: str, length: int) -> int:
        """Return how long the units take that `length` bytes fill."""
        unit_bytes, program_ns = self.programming(what)
        return -(-length // unit_bytes) * program_ns

    def erase_ns(self, what: str, offset: int, length: int) -> int:
        """Return how long the sectors take that a range touches."""
        area = self._area(what)
        usual_ms = self.erase_ms if area.erase_ms is None else area.erase_ms
        if not area.sectors:
            return (-(-(offset + length) // self.sector_bytes) - offset // self.sector_bytes) * usual_ms * NS_PER_MS
        erased_ms = begin = 0
        for run in area.sectors:
            for _ in range(run.count):
                touched = begin < offset + length and begin + run.size_bytes > offset
                erased_ms += (usual_ms if run.erase_ms is None else run.erase_ms) * touched
                begin += run.size_bytes
        return erased_ms * NS_PER_MS

    def slots_ns(self) -> int:
        """Return how long the erase of mark and header takes."""
        return sum(self.erase_ns(slot, 0, 1) for slot in SLOTS)


class StagingTimes(FlashTimes):
    """External flash that downloads go to."""

    read_bytes_per_ms: int = Field(default=4096, gt=0)


class NvmTimes(_Part):
    """How long the small memory takes."""

    record_us: int = 0


class BootTimes(_Part):
    """How long a boot takes."""

    manager_ms: int = 0
    bootloader_ms: int = 0
    application_ms: int = 0
    verify_bytes_per_ms: int = Field(default=1 << 40, gt=0)
    reset_delay_ms: int = 0


class ServerTimes(_Part):
    """Timers of the ECU and its longest block."""

    p2_ms: int = 50
    p2_star_ms: int = 5_000
    pending_margin_ms: int = 10
    max_block_length: int = 4095


class ServerHabits(_Part):
    """Where the standard leaves a choice that takes time."""

    programming_answer: str = "before_reset"


class EcuTimes(_Part):
    """What a personality file says of an ECU's times; without it, nothing takes any time."""

    flash: FlashTimes = FlashTimes()
    staging: StagingTimes | None = None
    nvm: NvmTimes = NvmTimes()
    boot: BootTimes = BootTimes()
    uds: ServerTimes = ServerTimes()
    diagnostics: ServerHabits = ServerHabits()
    isotp: IsoTpHabits = IsoTpHabits()

    @property
    def answers_after_reset(self) -> bool:
        """Return whether 10 02 is finally answered by the bootloader, once it has booted."""
        return self.diagnostics.programming_answer == "after_reset"

    @property
    def download_flash(self) -> FlashTimes:
        """Return the flash that downloads go to."""
        return self.staging or self.flash

    def check_ns(self, length: int, held: int) -> int:
        """Return how long the check of an image takes, with its copy out of external flash where there is one.

        The copy erases what the bank's image of `held` bytes does not leave blank.
        """
        verify_ms = -(-length // self.boot.verify_bytes_per_ms)
        marked_ns = self.download_flash.program_ns("mark", 1)
        staging, flash = self.staging, self.flash
        if staging is None:
            return verify_ms * NS_PER_MS + marked_ns
        read_ms = -(-length // staging.read_bytes_per_ms)
        copied_ns = flash.slots_ns() + flash.erase_ns("image", 0, min(length, held)) + flash.program_ns("image", length)
        copied_ns += flash.program_ns("header", HEADER_BYTES) + flash.program_ns("mark", 1)
        waited_ms = max(read_ms, verify_ms) + read_ms + verify_ms
        return waited_ms * NS_PER_MS + marked_ns + copied_ns + staging.erase_ns("mark", 0, 1)


def known_times(path: Path) -> EcuTimes | None:
    """Read the times of a personality file; None when it names none that can be used."""
    raw = read_bytes(path, limit_bytes=MAX_FILE_BYTES, what="personality")
    try:
        return EcuTimes.model_validate(tomllib.loads(raw.decode("utf-8-sig")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError):
        return None
