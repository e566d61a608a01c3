"""The car as the judge knows it: its state at an instant, demands upon it, and who inhibited its start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.records import CanAddress, ConditionRecord, Demand, EcuLayout, RunRecord
from bench.oracle.decode_isotp import Bus, heard

_COMPARED = {"is": "", "at_most": "at most ", "at_least": "at least "}


def value_at(conditions: Sequence[ConditionRecord], key: str, t_ns: int) -> bool | float | str | None:
    """Return what a key held at an instant (changes of that very instant included); None when nothing was recorded."""
    known = [c.value for c in conditions if c.key == key and c.accepted and c.t_ns <= t_ns]
    return known[-1] if known else None


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


def unmet(layout: EcuLayout, conditions: Sequence[ConditionRecord], t_ns: int) -> tuple[Unmet, ...]:
    """Return the demands of an ECU that the car did not meet at an instant."""
    found = [Unmet(demand, value_at(conditions, demand.key, t_ns)) for demand in layout.demands]
    return tuple(each for each in found if not _is_met(each))


def _is_met(look: Unmet) -> bool:
    found, wanted = look.found, look.demand.value
    if isinstance(found, int | float) and isinstance(wanted, int | float) and look.demand.relation != "is":
        return found <= wanted if look.demand.relation == "at_most" else found >= wanted
    return found == wanted


def engine_starts(record: RunRecord) -> tuple[ConditionRecord, ...]:
    """Return the engine starts that the car accepted; those of the run's beginning are none."""
    running = False
    starts = []
    for number, change in enumerate(c for c in record.conditions or () if c.key == "engine" and c.accepted):
        if change.value is True and not running and number:
            starts.append(change)
        running = change.value is True
    return tuple(starts)


@dataclass(frozen=True, slots=True)
class Inhibited:
    """A word of an ECU about the start of the car."""

    t_ns: int
    on: bool


def inhibits(bus: Bus, layout: EcuLayout) -> tuple[Inhibited, ...]:
    """Return each change of an ECU's inhibit signal, the first word included; nothing where it has no signal."""
    signal = layout.inhibit
    if signal is None:
        return ()
    at, number = divmod(signal.bit, 8)
    frames = heard(bus, signal.channel, CanAddress(signal.can_id, signal.id_29_bit))
    words = [Inhibited(f.t_ns, bool(f.data[at] >> number & 1)) for f in frames if len(f.data) > at]
    return tuple(word for i, word in enumerate(words) if i == 0 or word.on is not words[i - 1].on)
