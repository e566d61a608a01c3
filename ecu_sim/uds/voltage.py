"""Programming is refused at a voltage that flash does not bear (ISO 14229-1, annex A: 0x92, 0x93)."""

from __future__ import annotations

from ecu_sim.supply import Supply
from ecu_sim.uds.services import Refused


def refuse_by_voltage(supply: Supply) -> None:
    """Raise `Refused` with voltageTooHigh or voltageTooLow, if it is."""
    nrc = supply.refusal()
    if nrc is not None:
        raise Refused(nrc)
