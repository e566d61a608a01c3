"""Voltage that dips or swells, as a profile of `supply/` says."""

from __future__ import annotations

from pydantic import Field

from bench.config import FileModel
from bench.core.points import FaultPoint
from bench.faults.kinds import ECU, FaultKind, Strike
from bench.faults.power import TornReading
from bench.ports.faults import SUPPLY, WAVEFORM_OF, WHOLE_VEHICLE


class SupplyParameters(FileModel):
    """Which profile (`fixtures/supply/`) the voltage follows, how slowly, how deep, and at whom.

    `torn_reads` says how the cells read that its brown-outs tear, each of them.
    """

    profile: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    time_scale: float = Field(default=1.0, ge=0.001, le=1_000)
    depth_scale: float = Field(default=1.0, ge=0, le=4)
    every_ecu: bool = False
    torn_reads: TornReading = "mixed"


def _vary(strike: Strike) -> None:
    how: SupplyParameters = strike.parameters
    waveform = strike.port(WAVEFORM_OF)(how.profile).scaled(how.time_scale, how.depth_scale)
    strike.port(SUPPLY).follow(waveform, how.profile, how.torn_reads)
    strike.end_after(waveform.end_ns)


def _whom(point: FaultPoint, how: SupplyParameters) -> str:
    return WHOLE_VEHICLE if how.every_ecu else point.part


KINDS = (
    FaultKind(
        fault_class="supply",
        title="voltage that dips or swells",
        strikes=(ECU,),
        parameters=SupplyParameters,
        inject=_vary,
        ports=(SUPPLY, WAVEFORM_OF),
        bounded=True,
        whom=_whom,
        files=(("supply", "profile"),),
    ),
)
