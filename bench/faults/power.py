"""Power cuts: of one ECU, of the agent's computer, of the whole vehicle."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import FileModel
from bench.faults.kinds import AGENT, ECU, FaultKind, Strike
from bench.ports.faults import POWER, TORN_CELLS, UNSYNCED_DATA, WHOLE_VEHICLE
from bench.wire.disk_loss import DiskLoss


class CutParameters(FileModel):
    """How long the power stays away."""

    restore_after_ms: int = Field(default=200, ge=1, le=3_600_000)


class AgentCutParameters(CutParameters):
    """How long the agent's computer is without power, and what its disk loses."""

    disk_loss: DiskLoss = DiskLoss.SEEDED


TornReading = Literal["mixed", "valid", "invalid", "changing", "ecc_error"]


class PowerCutParameters(CutParameters):
    """How long an ECU is without power, and how the flash and NVM cells read that the cut tears."""

    torn_reads: TornReading = "mixed"


class VehicleCutParameters(PowerCutParameters, AgentCutParameters):
    """How long the whole vehicle is without power, what that tears, and what the agent's disk loses."""


def _cut(strike: Strike) -> None:
    switch = strike.port(POWER)
    switch.cut(str(strike.point))
    strike.end_after_ms(strike.parameters.restore_after_ms, lambda: switch.restore("restored"))


def _cut_and_tear(strike: Strike) -> None:
    strike.port(TORN_CELLS).tear_as(strike.parameters.torn_reads)
    _cut(strike)


def _cut_and_lose(strike: Strike) -> None:
    _lose(strike)
    _cut(strike)


def _cut_all(strike: Strike) -> None:
    _lose(strike)
    _cut_and_tear(strike)


def _lose(strike: Strike) -> None:
    limits = strike.port(UNSYNCED_DATA).lose_as(strike.parameters.disk_loss)
    if limits:
        strike.limited(limits)


KINDS = (
    FaultKind(
        fault_class="power.ecu",
        title="power cut of one ECU",
        strikes=(ECU,),
        parameters=PowerCutParameters,
        inject=_cut_and_tear,
        ports=(POWER, TORN_CELLS),
        bounded=True,
    ),
    FaultKind(
        fault_class="power.agent",
        title="power cut of the agent's computer",
        strikes=(AGENT,),
        parameters=AgentCutParameters,
        inject=_cut_and_lose,
        ports=(POWER, UNSYNCED_DATA),
        bounded=True,
    ),
    FaultKind(
        fault_class="power.vehicle",
        title="power cut of the whole vehicle",
        strikes=(ECU, AGENT),
        parameters=VehicleCutParameters,
        inject=_cut_all,
        ports=(POWER, TORN_CELLS, UNSYNCED_DATA),
        bounded=True,
        whom=lambda point, parameters: WHOLE_VEHICLE,
    ),
)
