"""What an ECU's diagnostic server offers, as values: read from the very tables that its two modes serve from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum

from bench.core.car import CarState
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.specs import EcuSpec
from bench.core.world import World
from bench.wire.image_header import ImageHeader
from bench.wire.uds import CommunicationType, DtcSetting, ResetType, RoutineType, Session, Sid
from bench.wire.uds_authentication import AuthenticationTask
from ecu_sim.boot.manager import Trust
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.memory.dtcs import Dtc, DtcMemory
from ecu_sim.personality.personality import Personality
from ecu_sim.supply import Supply
from ecu_sim.surroundings import Car, Surroundings
from ecu_sim.uds.identification import Identity
from ecu_sim.uds.modes import EcuParts, Mode, application_mode, bootloader_mode, never
from ecu_sim.uds.services import Service, ServiceTable

_NAMES: Mapping[int, type[IntEnum]] = {
    Sid.DIAGNOSTIC_SESSION_CONTROL: Session, Sid.ECU_RESET: ResetType, Sid.COMMUNICATION_CONTROL: CommunicationType,
    Sid.AUTHENTICATION: AuthenticationTask, Sid.ROUTINE_CONTROL: RoutineType, Sid.CONTROL_DTC_SETTING: DtcSetting,
}  # fmt: skip
"""Enumerations whose members name the sub-functions of a service."""
_SHOWN_HEADER = ImageHeader(
    hardware_id="SHOWN", software_id="SHOWN", version="0", release_counter=0, load_address=0, length=0, sha256=bytes(32)
)


@dataclass(frozen=True, slots=True)
class DescribedSubFunction:
    """A sub-function with the sessions in which it exists."""

    value: int
    name: str
    sessions: tuple[str, ...]
    unlocked: bool


@dataclass(frozen=True, slots=True)
class DescribedService:
    """A service with the sessions in which it exists; `unlocked`: it is behind security.

    Not `served`: the mode knows it, but never is in one of its sessions (the application's way to programming).
    """

    sid: int
    name: str
    sessions: tuple[str, ...]
    unlocked: bool
    served: bool
    sub_functions: tuple[DescribedSubFunction, ...]


@dataclass(frozen=True, slots=True)
class DescribedDid:
    """A data identifier; `written_in` names the session in which it may be written once unlocked."""

    did: int
    title: str
    written_in: str | None


@dataclass(frozen=True, slots=True)
class DescribedRoutine:
    """A routine of 0x31."""

    routine_id: int
    name: str


@dataclass(frozen=True, slots=True)
class DescribedMode:
    """The application or the bootloader."""

    name: str
    sessions: tuple[DescribedSubFunction, ...]
    services: tuple[DescribedService, ...]
    dids: tuple[DescribedDid, ...]
    routines: tuple[DescribedRoutine, ...]


@dataclass(frozen=True, slots=True)
class EcuDescription:
    """Both modes, and the DTCs that any ECU may set (partners on the bus add theirs)."""

    modes: tuple[DescribedMode, ...]
    dtcs: tuple[tuple[int, str], ...]


def described(personality: Personality) -> EcuDescription:
    """Return what application and bootloader of this kind of ECU offer."""
    loop = VirtualLoop()
    try:
        parts = _parts(World(loop, 1), personality)
        application = application_mode(parts, personality.banks[0].name, _SHOWN_HEADER)
        bootloader = bootloader_mode(parts, Session.DEFAULT)
        modes = (_mode("application", application), _mode("bootloader", bootloader))
    finally:
        loop.discard()
    return EcuDescription(modes, tuple((int(code), _words(code.name)) for code in Dtc))


def _parts(world: World, personality: Personality) -> EcuParts:
    """Return an ECU of this kind that is never given power: its tables are made, nothing of it runs."""
    life, memory = Incarnation(world, "shown", 1), EcuMemory(world, "shown", personality)
    spec = EcuSpec(
        id="shown", personality=personality.name, channel="", request_id=0, response_id=0, hardware_id="",
        software_id="",
    )  # fmt: skip
    node, car = Node(world, "shown", lambda _life: None), Car(world, CarState())
    return EcuParts(
        life=life, world=world, identity=Identity(spec, ""), memory=memory, trust=Trust(bytes(32), ""),
        restart=lambda _programming: None, surroundings=Surroundings(car, personality.preconditions.demands()),
        dtcs=DtcMemory(life, memory.dtc_block), supply=Supply(world, node, personality.supply),
    )  # fmt: skip


def _mode(name: str, mode: Mode) -> DescribedMode:
    services = tuple(_service(sid, row) for sid, row in sorted(mode.table.items()))
    sessions = next(service for service in services if service.sid == Sid.DIAGNOSTIC_SESSION_CONTROL)
    return DescribedMode(
        name=name,
        sessions=sessions.sub_functions,
        services=services,
        dids=tuple(DescribedDid(did, title, _written_in(mode.table, did, mode)) for did, title in mode.dids.items()),
        routines=tuple(DescribedRoutine(routine_id, title) for routine_id, title in mode.routines.items()),
    )


def _written_in(table: ServiceTable, did: int, mode: Mode) -> str | None:
    sessions = table[Sid.WRITE_DATA_BY_IDENTIFIER].sessions
    return ", ".join(_sessions(sessions)) if did in mode.writable else None


def _service(sid: int, row: Service) -> DescribedService:
    sub_functions = tuple(
        DescribedSubFunction(value, _sub_name(sid, value), _sessions(row.sessions & rule.sessions), rule.unlocked)
        for value, rule in sorted((row.sub_functions or {}).items())
    )
    served = row.handle is not never
    return DescribedService(sid, _words(Sid(sid).name), _sessions(row.sessions), row.unlocked, served, sub_functions)


def _sub_name(sid: int, value: int) -> str:
    """Return the name of a sub-function, also of one that is a number by nature."""
    if sid in _NAMES:
        return _words(_NAMES[sid](value).name)
    if sid == Sid.SECURITY_ACCESS:
        return "request seed" if value % 2 else "send key"
    return "zero sub-function"


def _sessions(sessions: Iterable[Session]) -> tuple[str, ...]:
    return tuple(_words(session.name) for session in sorted(sessions))


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
