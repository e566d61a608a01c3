"""ECUs that break the rules: of ISO 14229 (diagnostic server), of ISO 15765-2 (transport)."""

from __future__ import annotations

from pydantic import Field, field_validator

from bench.config import FileModel
from bench.faults.kinds import ECU, FaultKind, Strike
from bench.ports.faults import ECU_RULES, ISO_TP_RULES
from bench.wire.ecu_misbehave import EcuMisbehaviourParameters
from bench.wire.isotp_misbehave import INJECTORS, Misbehaviour
from bench.wire.occasions import Occasions


class IsoTpParameters(FileModel):
    """What an ECU's ISO-TP does wrong (`otabench ecu --misbehave list`), at how many messages one after the other."""

    do: str
    times: int = Field(default=1, ge=1)

    @field_validator("do")
    @classmethod
    def _known(cls, value: str) -> str:
        if value not in INJECTORS:
            raise ValueError(f"one of {', '.join(INJECTORS)}")
        return value


def _break_iso_14229(strike: Strike) -> None:
    strike.port(ECU_RULES).misbehave(strike.parameters.order())


def _break_iso_15765(strike: Strike) -> None:
    how: IsoTpParameters = strike.parameters
    strike.port(ISO_TP_RULES).misbehave(Misbehaviour(INJECTORS[how.do], Occasions(1, how.times)))


KINDS = (
    FaultKind(
        fault_class="ecu",
        title="an ECU's diagnostic server misbehaves",
        strikes=(ECU,),
        parameters=EcuMisbehaviourParameters,
        inject=_break_iso_14229,
        ports=(ECU_RULES,),
        bounded=False,
        events=("request", "boot"),
    ),
    FaultKind(
        fault_class="isotp",
        title="an ECU's ISO-TP misbehaves",
        strikes=(ECU,),
        parameters=IsoTpParameters,
        inject=_break_iso_15765,
        ports=(ISO_TP_RULES,),
        bounded=False,
        events=("request", "boot"),
    ),
)
