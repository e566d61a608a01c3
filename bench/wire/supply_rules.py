"""How an ECU takes its supply: at which voltage it resets, complains, and refuses to be programmed."""

from __future__ import annotations

from pydantic import Field, model_validator

from bench.config import FileModel
from bench.core.waveform import NOMINAL_MV


class SupplyRules(FileModel):
    """Thresholds in millivolts. The defaults are of our own choosing, in the range of 12 V control units.

    With `hold_ms = 0` the ECU has no power from the very instant at which its supply goes away.
    """

    brown_out_mv: int = Field(default=5_000, ge=0, le=60_000, description="below it the ECU is held in reset")
    power_on_mv: int = Field(default=6_000, ge=0, le=60_000, description="from it on the ECU boots again")
    undervoltage_mv: int = Field(default=9_000, ge=0, le=60_000, description="below it a DTC is set")
    undervoltage_debounce_ms: int = Field(default=500, ge=0, le=60_000)
    program_min_mv: int = Field(default=9_500, ge=0, le=60_000, description="below it programming is refused (0x93)")
    program_max_mv: int = Field(default=16_000, ge=0, le=60_000, description="above it programming is refused (0x92)")
    hold_ms: int = Field(default=0, ge=0, le=10_000, description="how long the capacitor feeds the ECU on its own")

    @model_validator(mode="after")
    def _ordered(self) -> SupplyRules:
        if not self.brown_out_mv < self.power_on_mv <= self.undervoltage_mv:
            raise ValueError("need brown_out_mv < power_on_mv <= undervoltage_mv")
        if not self.power_on_mv <= self.program_min_mv <= NOMINAL_MV <= self.program_max_mv:
            raise ValueError(f"need power_on_mv <= program_min_mv <= {NOMINAL_MV} <= program_max_mv")
        if self.undervoltage_mv > NOMINAL_MV:
            raise ValueError(f"undervoltage_mv must be at most {NOMINAL_MV}, the voltage at rest")
        return self


DEFAULT_SUPPLY = SupplyRules()
