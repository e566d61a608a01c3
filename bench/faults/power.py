"""Power cuts: of one ECU, of the agent's computer, of the whole vehicle."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from bench.config import FileModel
from bench.faults.kinds import AGENT, ECU, FaultKind, Strike
from bench.ports.faults import POWER, TORN_CELLS, WHOLE_VEHICLE


class AgentCutParameters(FileModel):
    """How long the power stays away."""

    restore_after_ms: int = Field(default=200, ge=1, le=3_600_000)


TornReading = Literal["mixed", "valid", "invalid", "changing", "ecc_error"]


class PowerCutParameters(AgentCutParameters):
    """How long an ECU is without power, and how the flash and NVM cells read that the cut tears."""

    torn_reads: TornReading = "mixed"


def _cut(strike: Strike) -> None:
    switch = strike.port(POWER)
    switch.cut(str(strike.point))
    strike.end_after_ms(strike.parameters.restore_after_ms, lambda: switch.restore("restored"))


def _cut_and_tear(strike: Strike) -> None:
    strike.port(TORN_CELLS).tear_as(strike.parameters.torn_reads)
    _cut(strike)


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
        inject=_cut,
        ports=(POWER,),
        bounded=True,
    ),
    FaultKind(
        fault_class="power.vehicle",
        title="power cut of the whole vehicle",
        strikes=(ECU, AGENT),
        parameters=PowerCutParameters,
        inject=_cut_and_tear,
        ports=(POWER, TORN_CELLS),
        bounded=True,
        whom=lambda point, parameters: WHOLE_VEHICLE,
    ),
)
