"""What a vehicle is made of, as values: what a vehicle driver (`otabench.vehicle`) is asked to build."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuSpec:
    """One ECU of a vehicle; `personality` names its file under `ecus/`, identifiers are CAN identifiers."""

    id: str
    personality: str
    channel: str
    request_id: int
    response_id: int
    hardware_id: str
    software_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleSpec:
    """A vehicle: its VIN, the identifier of functional requests, its ECUs."""

    vin: str
    functional_id: int
    ecus: tuple[EcuSpec, ...]
