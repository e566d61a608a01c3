"""What a vehicle is made of, as values: what a vehicle driver (`otabench.vehicle`) is asked to build."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.core.records import CanAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuSpec:
    """One ECU of a vehicle; `personality` names its file under `ecus/`, identifiers are CAN identifiers.

    `addressing` is a mode of ISO 15765-2 (`normal`, `normal_fixed`, `extended`, `mixed`); the extensions are the
    address bytes in front of the data of requests and responses that the last two modes have. `second_tester` are
    the identifiers (request, response) of another tester's connection to the same server.
    """

    id: str
    personality: str
    channel: str
    request_id: int
    response_id: int
    hardware_id: str
    software_id: str
    addressing: str = "normal"
    id_29_bit: bool = False
    request_extension: int | None = None
    response_extension: int | None = None
    second_tester: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleSpec:
    """A vehicle: its VIN, its ECUs, and where functional requests go: `functional` by channel, else `functional_id`."""

    vin: str
    functional_id: int
    ecus: tuple[EcuSpec, ...]
    functional: Mapping[str, CanAddress] = field(default_factory=dict)

    def functional_address(self, channel: str) -> CanAddress:
        """Return where functional requests on a channel go."""
        return self.functional.get(channel) or CanAddress(self.functional_id)
