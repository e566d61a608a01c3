"""`[user_data]`: what an ECU keeps for the car's owner, and the routines that lock, wipe and reset it (OMA LAWMO)."""

from __future__ import annotations

from pydantic import Field, model_validator

from bench.config import FileModel
from bench.core.clock import NS_PER_MS, NS_PER_US
from ecu_sim.personality.geometry import FlashTiming
from ecu_sim.personality.region import FlashRegion, equal_sectors

USER_REGION = "user_data"


class UserData(FileModel):
    """A partition of the flash with the units and sectors of `[flash]`; ids are those of 0x31 and 0x22."""

    base_address: int = Field(ge=0, lt=2**32)
    size_bytes: int = Field(gt=0, le=0x400_0000)
    content_bytes: int = Field(
        default=0,
        ge=0,
        le=0x400_0000,
        description="how much of it holds something when the ECU is new: random bytes by content_seed",
    )
    content_seed: int = Field(default=1, ge=0, lt=2**63)
    lock_routine: int = Field(default=0x0210, ge=0, le=0xFFFF)
    unlock_routine: int = Field(default=0x0211, ge=0, le=0xFFFF)
    wipe_routine: int = Field(default=0x0212, ge=0, le=0xFFFF)
    factory_reset_routine: int = Field(default=0x0213, ge=0, le=0xFFFF)
    state_did: int = Field(default=0xD100, ge=0x0100, le=0xFFFF)

    @model_validator(mode="after")
    def _fits_together(self) -> UserData:
        if self.content_bytes > self.size_bytes:
            raise ValueError(f"content_bytes must be at most size_bytes, {self.size_bytes}")
        ids = (self.lock_routine, self.unlock_routine, self.wipe_routine, self.factory_reset_routine)
        if len(set(ids)) != len(ids):
            raise ValueError("lock_routine, unlock_routine, wipe_routine and factory_reset_routine must differ")
        return self

    def region(self, flash: FlashTiming) -> FlashRegion:
        """Return the partition; ValueError when it is not whole sectors."""
        return FlashRegion(
            name=USER_REGION, base_address=self.base_address, size_bytes=self.size_bytes, unit_bytes=flash.unit_bytes,
            program_ns=flash.program_us * NS_PER_US,
            runs=equal_sectors(self.size_bytes, flash.sector_bytes, flash.erase_ms * NS_PER_MS),
            endurance_cycles=flash.endurance_cycles,
        )  # fmt: skip
