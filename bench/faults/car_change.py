"""A change of the car as a file states it: a key of `bench.core.car` and its new value."""

from __future__ import annotations

from pydantic import ValidationInfo, field_validator

from bench.config import FileModel
from bench.core.car import CAR_KEYS, CarKey, CarValue


class CarChange(FileModel):
    """Which value of the car changes to what; the value is checked against what its key takes."""

    key: CarKey
    value: CarValue

    @field_validator("value")
    @classmethod
    def _car_takes_it(cls, value: CarValue, info: ValidationInfo) -> CarValue:
        key = info.data.get("key")
        if key is not None and CAR_KEYS[key].taken(value) is None:
            raise ValueError(CAR_KEYS[key].text())
        return value
