"""What an ECU sees of its car: the conditions under which an application lets itself be programmed."""

from __future__ import annotations

from dataclasses import dataclass, field

ENGINE_RUNS, VEHICLE_MOVES, VOLTAGE_LOW = 0x01, 0x02, 0x03
"""Conditions that are not met, as routine 0x0207 names them."""


@dataclass(slots=True)
class Surroundings:
    """`unmet` holds the conditions that keep the application from being programmed; it outlives resets."""

    unmet: set[int] = field(default_factory=set)

    def set_condition(self, condition: int, *, met: bool) -> None:
        """Let a condition be met or not from now on; ValueError unless it is a byte."""
        if not 0 < condition <= 0xFF:
            raise ValueError(f"condition {condition} is no byte from 1")
        (self.unmet.discard if met else self.unmet.add)(condition)
