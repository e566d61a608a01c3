"""The state of the car as values: what may be set, and how far (`docs/guides/vehicle-network.md`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

CarValue = bool | float | str
"""Numbers are floats; a whole number may be given as int."""
CarKey = Literal[
    "ignition", "engine", "speed_km_h", "gear", "parking_brake", "soc_percent", "battery_v", "high_voltage", "driver"
]
GEARS = ("P", "R", "N", "D")
DRIVER_ANSWERS = ("none", "accept", "postpone", "reject", "cancel")


@dataclass(frozen=True, slots=True, kw_only=True)
class CarState:
    """One instant of the car: parked, awake, ready to be programmed, unless said otherwise.

    `ignition` is terminal 15; `driver` is the driver's last answer to a question of the agent.
    """

    ignition: bool = True
    engine: bool = False
    speed_km_h: float = 0.0
    gear: str = "P"
    parking_brake: bool = True
    soc_percent: float = 80.0
    battery_v: float = 12.6
    high_voltage: bool = False
    driver: str = "none"

    def changed(self, key: str, value: CarValue) -> CarState:
        """Return the state with one value changed; ValueError says what is allowed."""
        taken: dict[str, Any] = {key: checked(key, value)}
        return replace(self, **taken)

    def items(self) -> tuple[tuple[str, CarValue], ...]:
        """Return all keys with their values, in order."""
        return tuple((key, getattr(self, key)) for key in CAR_KEYS)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a key of the car takes: true and false, one of some words, or a number within limits."""

    words: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None

    def text(self) -> str:
        """Return it for people."""
        if self.limits is not None:
            return f"a number from {self.limits[0]:g} to {self.limits[1]:g}"
        return ", ".join(self.words) or "true, false"

    def taken(self, value: CarValue) -> CarValue | None:
        """Return the value as the car keeps it, or None when it is not allowed."""
        if self.words:
            return value if value in self.words else None
        if self.limits is None:
            return value if isinstance(value, bool) else None
        if isinstance(value, bool | str) or not self.limits[0] <= value <= self.limits[1]:
            return None
        return float(value)


CAR_KEYS: Mapping[str, Allowed] = {
    "ignition": Allowed(),
    "engine": Allowed(),
    "speed_km_h": Allowed(limits=(0, 400)),
    "gear": Allowed(GEARS),
    "parking_brake": Allowed(),
    "soc_percent": Allowed(limits=(0, 100)),
    "battery_v": Allowed(limits=(0, 60)),
    "high_voltage": Allowed(),
    "driver": Allowed(DRIVER_ANSWERS),
}
"""What can be set, in the order of `CarState`."""
assert get_args(CarKey) == tuple(CAR_KEYS) == tuple(field.name for field in fields(CarState))


def checked(key: str, value: CarValue) -> CarValue:
    """Return the value as the car keeps it; ValueError says which keys there are, or what this one takes."""
    allowed = CAR_KEYS.get(key)
    if allowed is None:
        raise ValueError(f"one of: {', '.join(CAR_KEYS)}; found {key!r}")
    taken = allowed.taken(value)
    if taken is None:
        raise ValueError(f"{key} takes {allowed.text()}; found {value!r}")
    return taken
