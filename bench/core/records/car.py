"""What happens around the ECUs: supply, and the state of the car."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PowerRecord:
    """A part got (`on`) or lost its supply."""

    t_ns: int
    part: str
    on: bool
    cause: str


@dataclass(frozen=True, slots=True)
class VoltageRecord:
    """The voltage at a part follows these (instant, millivolts) from now on, linear between them; then it stays.

    A part without such a record has its nominal voltage; two points at one instant are a step, and the later one holds.
    """

    t_ns: int
    part: str
    points: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class ConditionRecord:
    """A value of the car's state from an instant on: the first ones are those of the run's beginning.

    `accepted` is False when the car refused the change and kept its old value (an engine start while inhibited).
    """

    t_ns: int
    key: str
    value: bool | float | str
    accepted: bool
    cause: str
