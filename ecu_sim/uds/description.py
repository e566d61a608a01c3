"""What an ECU's diagnostic server offers, as values made from its personality alone: no ECU has to run."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from bench.wire.uds import CommunicationType, DtcSetting, ResetType, RoutineType, Session, Sid
from bench.wire.uds_authentication import AuthenticationTask
from bench.wire.uds_dtc import DtcReport
from ecu_sim.memory.dtcs import Dtc
from ecu_sim.personality.personality import Personality
from ecu_sim.uds.bootloader_update import ACTIVATE_BOOTLOADER, CHECK_BOOTLOADER
from ecu_sim.uds.dids import did_rules
from ecu_sim.uds.routines import CHECK_DEPENDENCIES, ERASE_ROUTINE
from ecu_sim.uds.services import ALL_SESSIONS, ServiceRule
from ecu_sim.uds.tables import application_rules, bootloader_rules
from ecu_sim.uds.user_data import titles

_NAMES = {
    Sid.DIAGNOSTIC_SESSION_CONTROL: Session, Sid.ECU_RESET: ResetType, Sid.READ_DTC_INFORMATION: DtcReport,
    Sid.COMMUNICATION_CONTROL: CommunicationType, Sid.AUTHENTICATION: AuthenticationTask,
    Sid.ROUTINE_CONTROL: RoutineType, Sid.CONTROL_DTC_SETTING: DtcSetting,
}  # fmt: skip
"""Enumerations whose members name the sub-functions of a service."""


@dataclass(frozen=True, slots=True)
class DescribedSubFunction:
    """A sub-function with the sessions in which it exists; none of the service's: it is known, but never served."""

    value: int
    name: str
    sessions: tuple[str, ...]
    unlocked: bool


@dataclass(frozen=True, slots=True)
class DescribedService:
    """A service with those of the mode's sessions in which it exists; `unlocked`: it is behind security.

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
    modes = tuple(_mode(personality, bootloader=bootloader) for bootloader in (False, True))
    return EcuDescription(modes, tuple((int(code), _words(code.name)) for code in Dtc))


def _mode(personality: Personality, *, bootloader: bool) -> DescribedMode:
    rules = bootloader_rules(personality) if bootloader else application_rules(personality)
    here = _sessions_of(rules, bootloader=bootloader)
    services = tuple(sorted((_service(rule, here) for rule in rules), key=lambda service: service.sid))
    sessions = next(service for service in services if service.sid == Sid.DIAGNOSTIC_SESSION_CONTROL)
    dids = (rule for rule in did_rules(personality) if (rule.bootloader if bootloader else rule.application))
    mode_writes = Session.PROGRAMMING if bootloader else Session.EXTENDED
    return DescribedMode(
        name="bootloader" if bootloader else "application",
        sessions=sessions.sub_functions,
        services=services,
        dids=tuple(
            DescribedDid(rule.did, rule.title, _words(mode_writes.name) if rule.written_in is mode_writes else None)
            for rule in dids
        ),
        routines=tuple(_routines(personality, bootloader=bootloader)),
    )


def _sessions_of(rules: Iterable[ServiceRule], *, bootloader: bool) -> frozenset[Session]:
    """Return the sessions that the mode can be in: from the application 10 02 leads into the bootloader."""
    control = next(rule for rule in rules if rule.sid == Sid.DIAGNOSTIC_SESSION_CONTROL)
    offered = frozenset(Session(value) for value in control.sub_functions or {})
    return offered if bootloader else offered - {Session.PROGRAMMING}


def _service(rule: ServiceRule, here: frozenset[Session]) -> DescribedService:
    known = rule.sessions & here if rule.served else rule.sessions
    names = _NAMES.get(Sid(rule.sid))
    sub_functions = tuple(
        DescribedSubFunction(
            value, _words(names(value).name) if names else _key_name(rule.sid, value),
            _sessions(known & sub.sessions or rule.sessions & sub.sessions), sub.unlocked,
        )
        for value, sub in sorted((rule.sub_functions or {}).items())
    )  # fmt: skip
    return DescribedService(
        rule.sid, _words(Sid(rule.sid).name), _sessions(known), rule.unlocked, rule.served, sub_functions
    )


def _key_name(sid: int, value: int) -> str:
    """Return the name of a sub-function that is a number by nature."""
    if sid == Sid.SECURITY_ACCESS:
        return "request seed" if value % 2 else "send key"
    return "zero sub-function"


def _routines(personality: Personality, *, bootloader: bool) -> Iterable[DescribedRoutine]:
    ids = personality.diagnostics.routines
    if bootloader:
        names = ["check_memory", "check_block"]
        names += ["activate"] if personality.dual_bank else []
        names += ["report_progress"] if personality.resume else []
        more = {ERASE_ROUTINE: "erase memory", CHECK_DEPENDENCIES: "check programming dependencies"}
        if personality.bootloader_update is not None:
            more |= {CHECK_BOOTLOADER: "check bootloader", ACTIVATE_BOOTLOADER: "activate bootloader"}
    else:
        names = ["confirm", "check_preconditions", "self_test"]
        more = {} if personality.user_data is None else dict(titles(personality.user_data))
    known = {getattr(ids, name): _words(name) for name in names} | more
    return [DescribedRoutine(routine_id, name) for routine_id, name in sorted(known.items())]


def _sessions(sessions: Iterable[Session]) -> tuple[str, ...]:
    return tuple(_words(session.name) for session in sorted(sessions) if session in ALL_SESSIONS)


def _words(name: str) -> str:
    return name.lower().replace("_", " ")
