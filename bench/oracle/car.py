"""The car as the judge knows it: its state by now, and demands upon it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.core.records import ConditionRecord, Demand, EcuLayout

_COMPARED = {"is": "", "at_most": "at most ", "at_least": "at least "}


@dataclass(frozen=True, slots=True)
class Unmet:
    """A demand and what the car was instead."""

    demand: Demand
    found: bool | float | str | None

    def text(self) -> str:
        """Return it for people."""
        wanted = f"{_COMPARED.get(self.demand.relation, '')}{shown(self.demand.value)}"
        return f"{self.demand.key} was {shown(self.found)}, demanded is {wanted}"


def shown(value: bool | float | str | None) -> str:
    """Return a value as it stands in a file."""
    return str(value).lower() if isinstance(value, bool) else "unknown" if value is None else str(value)


def unmet(layout: EcuLayout, car: Mapping[str, ConditionRecord]) -> tuple[Unmet, ...]:
    """Return the demands of an ECU that the car does not meet; a value that was never recorded meets none."""
    found = [Unmet(demand, car[demand.key].value if demand.key in car else None) for demand in layout.demands]
    return tuple(each for each in found if not _is_met(each))


def _is_met(reading: Unmet) -> bool:
    found, wanted = reading.found, reading.demand.value
    if isinstance(found, int | float) and isinstance(wanted, int | float) and reading.demand.relation != "is":
        return found <= wanted if reading.demand.relation == "at_most" else found >= wanted
    return found == wanted
