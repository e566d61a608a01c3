"""The vehicle around an order: which ECUs it names, what each one sends and expects, and the DTCs that were read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Dtc(NamedTuple):
    """A diagnostic trouble code (three bytes) and its statusOfDTC (ISO 14229-1, annex D.2)."""

    code: int
    status: int


@dataclass(frozen=True, slots=True)
class DtcReading:
    """What an ECU answered to 0x19 02, asked by a tester of the bench's own, once before the story and once after it.

    `dtcs` are those with testFailed, pending, confirmed or failed since last clear; None when it did not tell.
    `refused` is the code of a negative response: the ECU is alive and does not serve 0x19.
    """

    t_ns: int
    ecu: str
    before: bool
    dtcs: tuple[Dtc, ...] | None
    refused: int | None = None


@dataclass(frozen=True, slots=True)
class CyclicFrame:
    """A frame that an ECU sends while its application runs: two of them are at most `limit_ms` apart.

    `first_ms` is how long after the boot time limit the first one may come.
    """

    ecu: str
    channel: str
    can_id: int
    id_29_bit: bool
    limit_ms: int
    first_ms: int


@dataclass(frozen=True, slots=True)
class ExpectedFrame:
    """A frame that an ECU misses as DTC `dtc`; `senders` are who sends it and the gateways on its way."""

    ecu: str
    dtc: int
    senders: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the vehicle file says of the whole vehicle, and what the order names of it."""

    ordered: tuple[str, ...]
    """The ECUs that the order names."""
    buses: tuple[tuple[str, str], ...]
    """Every ECU and the bus on which it sits (a tester may reach it on another one)."""
    sleepers: tuple[str, ...]
    """ECUs with network management: they may sleep while ignition is off."""
    cyclic: tuple[CyclicFrame, ...]
    expected: tuple[ExpectedFrame, ...]
    began_t_ns: int
    """When the story began: before that the bench looked at the vehicle, and switched it off again."""

    def bus(self, ecu: str) -> str:
        """Return the bus on which an ECU sits; KeyError when the vehicle has none of that name."""
        return dict(self.buses)[ecu]
