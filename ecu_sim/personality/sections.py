"""The sections of an ECU file that are not its memory's layout: timers, habits, locks."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator, model_validator

from bench.config import FileModel
from bench.wire import seed_key
from bench.wire.certificates import AUTHORITY, PROGRAMMING_ROLE
from bench.wire.isotp import LONGEST
from bench.wire.isotp_habits import IsoTpHabits


class NvmTiming(FileModel):
    """How long the ECU's small memory takes to write one record of 16 bytes."""

    record_us: int = Field(gt=0, le=1_000_000)


class BootTiming(FileModel):
    """How long the stages of a boot take, and how often an unconfirmed image may boot."""

    manager_ms: int = Field(ge=0, le=60_000)
    bootloader_ms: int = Field(ge=0, le=60_000)
    application_ms: int = Field(ge=0, le=60_000)
    verify_bytes_per_ms: int = Field(gt=0, le=2**32)
    trial_boots: int = Field(default=3, ge=1, le=200)
    time_limit_ms: int = Field(gt=0, le=600_000)
    reset_delay_ms: int = Field(ge=0, le=10_000)


class UdsServerTiming(FileModel):
    """Timers of the server (ISO 14229-2) and the longest block of a download (with SID and counter)."""

    p2_ms: int = Field(gt=0, le=0xFFFF)
    p2_star_ms: int = Field(gt=0, le=655_350)
    pending_margin_ms: int = Field(gt=0, le=10_000)
    s3_ms: int = Field(gt=0, le=600_000)
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
    """SecurityAccess: level, algorithm and secret by name, attempts before the delay.

    `level` is the sub-function that requests the seed (odd); the next one sends the key.
    """

    level: int = Field(default=0x01, ge=0x01, le=0x7D)
    algorithm: str
    secret_name: str = Field(min_length=1)
    seed_bytes: int = Field(ge=2, le=64)
    static_seed: bool = Field(default=False, description="the seed stays the same until its key came or a reset")
    max_attempts: int = Field(ge=1, le=100)
    delay_ms: int = Field(ge=0, le=600_000)
    delay_at_power_on: bool = Field(default=False, description="the delay runs after each start, not only a locked one")

    @field_validator("level")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("odd: the even sub-function after it sends the key")
        return value

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
