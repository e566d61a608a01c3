"""The catalogue of faults: one row per class, with the events it may strike at and its parameters.

A fault's injector gets the bench as a `FaultTarget` and acts the instant its point is reached. To add a fault:
a parameter model, an `inject` function, a row in `CATALOGUE`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from bench.config import FileModel
from bench.config.mistakes import Source, explained
from bench.core.car import CarValue
from bench.core.clock import NS_PER_MS, Clock
from bench.core.errors import InputError
from bench.core.points import FaultPoint
from bench.faults.car_change import CarChange
from bench.faults.package import flip_payload_bit, flip_signature_bit
from bench.ports.faults import FaultTarget
from bench.wire.ecu_misbehave import EcuMisbehaviourParameters
from bench.wire.isotp_misbehave import INJECTORS, Misbehaviour
from bench.wire.occasions import Occasions


class AgentCutParameters(FileModel):
    """How long the power stays away."""

    restore_after_ms: int = Field(default=200, ge=1, le=3_600_000)


TornReading = Literal["mixed", "valid", "invalid", "changing", "ecc_error"]


class PowerCutParameters(AgentCutParameters):
    """How long an ECU is without power, and how the flash and NVM cells read that the cut tears."""

    torn_reads: TornReading = "mixed"


class SupplyParameters(FileModel):
    """Which profile (`fixtures/supply/`) the voltage follows, how slowly, how deep, and at whom.

    `torn_reads` says how the cells read that its brown-outs tear, each of them.
    """

    profile: str = Field(pattern=r"^[a-z0-9][a-z0-9_]*$")
    time_scale: float = Field(default=1.0, ge=0.001, le=1_000)
    depth_scale: float = Field(default=1.0, ge=0, le=4)
    every_ecu: bool = False
    torn_reads: TornReading = "mixed"


class PackageParameters(FileModel):
    """How a package is changed after it was signed; `hardware_id` belongs to `wrong_hardware_id` alone."""

    change: Literal["payload_byte", "signature", "wrong_hardware_id"]
    ecu: str
    hardware_id: str = Field(default="OTHER-HW-99", min_length=1, max_length=32)
    times: int | None = Field(
        default=None, ge=1, description="how many packages, one after the other; every one if absent"
    )


class NetworkParameters(FileModel):
    """Which message of the exchange is lost: the agent's request, or the server's answer to a request that it got."""

    lost: Literal["request", "answer"]


class BitRotParameters(FileModel):
    """Which bit flips: in the image (linked address) or in its header slot (offset)."""

    area: Literal["image", "header"] = "image"
    address: int = Field(ge=0, lt=2**32)
    bit: int = Field(ge=0, le=7)


class ConditionParameters(CarChange):
    """Which value of the car changes to what (`bench.core.car`), and for how long."""

    restore_after_ms: int = Field(default=10_000, ge=1, le=3_600_000)


class DriverParameters(FileModel):
    """What the driver answers, and how long that counts."""

    answer: Literal["accept", "postpone", "reject", "cancel"]
    restore_after_ms: int = Field(default=10_000, ge=1, le=3_600_000)


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


@dataclass(frozen=True, slots=True)
class Strike:
    """What an injector is handed when its point is reached."""

    point: FaultPoint
    parameters: Any
    target: FaultTarget
    clock: Clock
    restored: Callable[[], None]
    """To be called once a bounded fault is over."""


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One row: where it may strike, what it takes, what it does."""

    fault_class: str
    title: str
    events: tuple[str, ...]
    parameters: type[FileModel]
    inject: Callable[[Strike], None]
    bounded: bool
    """Whether the bench undoes it by itself; `live` counts from then."""


def _cut_power(strike: Strike) -> None:
    part = "vehicle" if strike.point.fault_class == "power.vehicle" else strike.point.part
    strike.target.cut_power(part, str(strike.point))

    def restore() -> None:
        strike.target.restore_power(part, "restored")
        strike.restored()

    delay_ns = strike.parameters.restore_after_ms * NS_PER_MS
    strike.clock.call_at_ns(strike.clock.now_ns() + delay_ns, restore)


def _cut_ecu_power(strike: Strike) -> None:
    part = "vehicle" if strike.point.fault_class == "power.vehicle" else strike.point.part
    strike.target.tear_as(part, strike.parameters.torn_reads)
    _cut_power(strike)


def _vary_supply(strike: Strike) -> None:
    how = strike.parameters
    part = "vehicle" if how.every_ecu else strike.point.part
    duration_ns = strike.target.vary_supply(part, how.profile, how.time_scale, how.depth_scale, how.torn_reads)
    strike.clock.call_at_ns(strike.clock.now_ns() + duration_ns, strike.restored)


def _change_package(strike: Strike) -> None:
    ecu, times = strike.parameters.ecu, strike.parameters.times
    match strike.parameters.change:
        case "payload_byte":
            strike.target.change_packages(lambda package: flip_payload_bit(package, ecu), times)
        case "signature":
            strike.target.change_packages(flip_signature_bit, times)
        case _:
            hardware_id, sign = strike.parameters.hardware_id, strike.target.sign_for_hardware
            strike.target.change_packages(lambda package: sign(package, ecu, hardware_id), times)


def _lose_message(strike: Strike) -> None:
    strike.target.lose_message(strike.parameters.lost)
    strike.restored()  # the network carries everything after it: the agent may go on from now on


def _rot(strike: Strike) -> None:
    bit = strike.parameters
    strike.target.flip_bit(strike.point.part, bit.area, bit.address, bit.bit)


def _change_condition(strike: Strike) -> None:
    _change_car(strike, strike.parameters.key, strike.parameters.value)


def _answer_of_the_driver(strike: Strike) -> None:
    _change_car(strike, "driver", strike.parameters.answer)


def _change_car(strike: Strike, key: str, value: CarValue) -> None:
    before = strike.target.change_car(key, value, str(strike.point))

    def restore() -> None:
        strike.target.change_car(key, before, "restored")
        strike.restored()

    delay_ns = strike.parameters.restore_after_ms * NS_PER_MS
    strike.clock.call_at_ns(strike.clock.now_ns() + delay_ns, restore)


def _misbehave(strike: Strike) -> None:
    strike.target.misbehave(strike.point.part, strike.parameters.order())


def _misbehave_on_the_wire(strike: Strike) -> None:
    chosen = Misbehaviour(INJECTORS[strike.parameters.do], Occasions(1, strike.parameters.times))
    strike.target.misbehave(strike.point.part, chosen)


_OPERATIONS = ("frame", "program", "erase", "request", "boot")
_ANYWHERE = (*_OPERATIONS, "sync", "transition", "http")
CATALOGUE: Mapping[str, FaultKind] = {
    kind.fault_class: kind
    for kind in (
        FaultKind("power.ecu", "power cut of one ECU", _OPERATIONS, PowerCutParameters, _cut_ecu_power, True),
        FaultKind(
            "power.agent",
            "power cut of the agent's computer",
            ("sync", "transition", "http", "frame"),
            AgentCutParameters,
            _cut_power,
            True,
        ),
        FaultKind(
            "power.vehicle",
            "power cut of the whole vehicle",
            _ANYWHERE,
            PowerCutParameters,
            _cut_ecu_power,
            True,
        ),
        FaultKind("supply", "voltage that dips or swells", _OPERATIONS, SupplyParameters, _vary_supply, True),
        FaultKind("network", "a lost HTTP message", ("http",), NetworkParameters, _lose_message, True),
        FaultKind("package", "package changed on its way", ("http",), PackageParameters, _change_package, False),
        FaultKind(
            "condition", "a condition of the car changed", _ANYWHERE, ConditionParameters, _change_condition, True
        ),
        FaultKind("driver", "an answer of the driver", _ANYWHERE, DriverParameters, _answer_of_the_driver, True),
        FaultKind(
            "ecu",
            "an ECU's diagnostic server misbehaves",
            ("request", "boot"),
            EcuMisbehaviourParameters,
            _misbehave,
            False,
        ),
        FaultKind(
            "isotp",
            "an ECU's ISO-TP misbehaves",
            ("request", "boot"),
            IsoTpParameters,
            _misbehave_on_the_wire,
            False,
        ),
        FaultKind("storage", "a bit of flash flipped", ("boot",), BitRotParameters, _rot, False),
    )
}


def check_fault(point: FaultPoint, parameters: Mapping[str, object], *, file: str | None) -> FileModel:
    """Return the checked parameters; `InputError` when the class has no injector here or a value is wrong."""
    kind = CATALOGUE.get(point.fault_class)
    if kind is None:
        raise InputError(
            f"no injector for the fault class {point.fault_class!r}",
            file=file,
            key="faults.point",
            found=str(point),
            allowed=", ".join(CATALOGUE),
            hint="choose a class that has an injector",
        )
    if point.event not in kind.events:
        raise InputError(
            f"{point.fault_class} does not strike at {point.event!r}",
            file=file,
            key="faults.point",
            found=str(point),
            allowed=", ".join(kind.events),
            hint="choose one of these events",
        )
    try:
        return kind.parameters.model_validate_json(json.dumps(dict(parameters)), strict=True)
    except ValidationError as error:
        text = Path(file).read_text(encoding="utf-8") if file is not None and Path(file).is_file() else ""
        source = Source(f"fault {point}", file, text, dict(parameters), above="faults.parameters")
        raise explained(error, kind.parameters, source) from None
