"""Changes of the car and answers of its driver, for a while."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import FileModel
from bench.core.car import CarValue
from bench.faults.car_change import CarChange
from bench.faults.kinds import AGENT, ECU, FaultKind, Strike
from bench.ports.faults import CAR


class ConditionParameters(CarChange):
    """Which value of the car changes to what (`bench.core.car`), and for how long."""

    restore_after_ms: int = Field(default=10_000, ge=1, le=3_600_000)


class DriverParameters(FileModel):
    """What the driver answers, and how long that counts."""

    answer: Literal["accept", "postpone", "reject", "cancel"]
    restore_after_ms: int = Field(default=10_000, ge=1, le=3_600_000)


def _change_condition(strike: Strike) -> None:
    _change(strike, strike.parameters.key, strike.parameters.value)


def _answer(strike: Strike) -> None:
    _change(strike, "driver", strike.parameters.answer)


def _change(strike: Strike, key: str, value: CarValue) -> None:
    car = strike.port(CAR)
    before = car.change(key, value, str(strike.point))

    def give_back() -> None:
        car.change(key, before, "restored")

    strike.end_after_ms(strike.parameters.restore_after_ms, give_back)


KINDS = (
    FaultKind(
        fault_class="condition",
        title="a condition of the car changed",
        strikes=(ECU, AGENT),
        parameters=ConditionParameters,
        inject=_change_condition,
        ports=(CAR,),
        bounded=True,
    ),
    FaultKind(
        fault_class="driver",
        title="an answer of the driver",
        strikes=(ECU, AGENT),
        parameters=DriverParameters,
        inject=_answer,
        ports=(CAR,),
        bounded=True,
    ),
)
