"""What an application demands of the car before it lets itself be programmed: `[preconditions]` of an ECU file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import Field

from bench.config import FileModel
from bench.core.car import CarState
from bench.core.records import Demand

CONDITIONS: Mapping[str, tuple[int, str, str]] = {
    "engine": (0x01, "engine", "is"),
    "speed_max_km_h": (0x02, "speed_km_h", "at_most"),
    "battery_min_v": (0x03, "battery_v", "at_least"),
    "ignition": (0x04, "ignition", "is"),
    "gear": (0x05, "gear", "is"),
    "parking_brake": (0x06, "parking_brake", "is"),
    "soc_min_percent": (0x07, "soc_percent", "at_least"),
    "high_voltage": (0x08, "high_voltage", "is"),
}
"""Key of `[preconditions]`: the byte by which routine 0x0207 names it, the car's key, and how the two compare."""


class Preconditions(FileModel):
    """Demands; one that is left out is none. Unmet ones answer 0x10 02 with NRC 0x22 and are listed by 0x0207."""

    engine: bool | None = None
    speed_max_km_h: float | None = Field(default=None, ge=0, le=400)
    battery_min_v: float | None = Field(default=None, ge=0, le=60)
    ignition: bool | None = Field(default=None, description="terminal 15")
    gear: Literal["P", "R", "N", "D"] | None = None
    parking_brake: bool | None = None
    soc_min_percent: float | None = Field(default=None, ge=0, le=100)
    high_voltage: bool | None = None

    def demands(self) -> tuple[Demand, ...]:
        """Return what is demanded, in the order of the condition bytes."""
        given = ((name, getattr(self, name)) for name in CONDITIONS)
        return tuple(Demand(*CONDITIONS[name], value) for name, value in given if value is not None)


def met(demand: Demand, state: CarState) -> bool:
    """Return whether the car is as demanded."""
    found = getattr(state, demand.key)
    if demand.relation == "is":
        return bool(found == demand.value)
    return bool(found <= demand.value if demand.relation == "at_most" else found >= demand.value)
