"""The two modes of an ECU, application and bootloader: each a table of services with what serves them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

from bench.core.node import Incarnation
from bench.core.world import World
from bench.wire.image_header import ImageHeader
from bench.wire.uds import (
    ClearDiagnosticInformation,
    CommunicationControl,
    CommunicationType,
    ControlDtcSetting,
    DiagnosticSessionControl,
    DtcSetting,
    EcuReset,
    Nrc,
    ResetType,
    RoutineType,
    Session,
    Sid,
    TesterPresent,
    positive,
    session_response,
)
from bench.wire.uds_authentication import Authentication, AuthenticationTask
from ecu_sim.boot import manager
from ecu_sim.boot.manager import Trust
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.memory.dtcs import DtcMemory
from ecu_sim.supply import Supply
from ecu_sim.surroundings import Surroundings
from ecu_sim.uds.authentication import AuthenticationLock
from ecu_sim.uds.identification import (
    BOOT_SOFTWARE,
    FINGERPRINT,
    DataService,
    Identity,
    Read,
    application_dids,
    common_dids,
)
from ecu_sim.uds.routines import ApplicationRoutines, BootloaderRoutines, RoutineService
from ecu_sim.uds.security import REQUEST_SEED, SEND_KEY, SecurityLock
from ecu_sim.uds.services import (
    NOT_DEFAULT,
    ONLY_EXTENDED,
    ONLY_PROGRAMMING,
    Answer,
    Handler,
    Refused,
    Service,
    ServiceTable,
    SubFunction,
    service,
)
from ecu_sim.uds.sessions import SessionState
from ecu_sim.uds.transfer import Transfer
from ecu_sim.uds.user_data import UserDataParts, UserDataService, titles
from ecu_sim.uds.voltage import refuse_by_voltage

ANY = SubFunction()
ALL_GROUPS = 0xFF_FFFF
COMMUNICATION_MESSAGES = (0x01, 0x02, 0x03)
"""communicationType: normal messages, network management, both; of this network."""


def each(values: Iterable[int]) -> dict[int, SubFunction]:
    """Return a rule for each sub-function: in every session of the service, without security."""
    return dict.fromkeys(values, ANY)


Restart = Callable[[bool], None]
"""Resets the ECU after its answer is out; True: into the bootloader, for programming."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuParts:
    """What both modes are built from."""

    life: Incarnation
    world: World
    identity: Identity
    memory: EcuMemory
    trust: Trust
    restart: Restart
    surroundings: Surroundings
    dtcs: DtcMemory
    supply: Supply


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode ready to serve: session state, table, and what happens when the session runs out."""

    state: SessionState
    table: ServiceTable
    on_session_timeout: Callable[[], None]
    dids: Mapping[int, str]
    """What 0x22 answers, in words."""
    writable: frozenset[int]
    """What 0x2E writes."""
    routines: Mapping[int, str]
    """What 0x31 knows, in words."""


class _Common:
    """The services that both modes serve alike."""

    def __init__(self, parts: EcuParts, state: SessionState) -> None:
        self._parts, self._state = parts, state
        state.on_change(self._session_changed)

    def _session_changed(self) -> None:
        if self._state.session is Session.DEFAULT:
            self._parts.dtcs.setting_on = True

    def session_answer(self, session: int) -> bytes:
        timing = self._parts.memory.personality.uds
        return session_response(session, timing.p2_ms, timing.p2_star_ms)

    async def ecu_reset(self, request: EcuReset) -> Answer:
        return Answer(positive(request.SID, bytes((request.reset_type,))), lambda: self._parts.restart(False))

    async def tester_present(self, request: TesterPresent) -> Answer:
        return Answer(positive(request.SID, bytes((request.zero,))))

    async def communication_control(self, request: CommunicationControl) -> Answer:
        if request.communication_type not in COMMUNICATION_MESSAGES:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        self._state.communication_type = request.control_type
        self._state.communication_messages = request.communication_type
        return Answer(positive(request.SID, bytes((request.control_type,))))

    async def control_dtc_setting(self, request: ControlDtcSetting) -> Answer:
        self._parts.dtcs.setting_on = request.setting == DtcSetting.ON
        return Answer(positive(request.SID, bytes((request.setting,))))

    async def clear_diagnostic_information(self, request: ClearDiagnosticInformation) -> Answer:
        if request.group != ALL_GROUPS:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        nvm = self._parts.memory.nvm
        await self._parts.dtcs.clear()
        if nvm.record.flags:
            await nvm.store(self._parts.life, replace(nvm.record, flags=0))
        return Answer(positive(request.SID))

    def table(self) -> ServiceTable:
        """Return the rows that do not depend on the mode."""
        return dict(
            (
                service(Sid.ECU_RESET, self.ecu_reset, 2, sub_functions=each(ResetType)),
                service(Sid.CLEAR_DIAGNOSTIC_INFORMATION, self.clear_diagnostic_information, 4),
                service(Sid.TESTER_PRESENT, self.tester_present, 2, sub_functions={0: ANY}),
                service(
                    Sid.COMMUNICATION_CONTROL, self.communication_control, 2, NOT_DEFAULT,
                    sub_functions=each(CommunicationType),
                ),
                service(
                    Sid.CONTROL_DTC_SETTING, self.control_dtc_setting, 2, NOT_DEFAULT,
                    sub_functions=each(DtcSetting),
                ),
            )
        )  # fmt: skip


def _common_dids(parts: EcuParts, state: SessionState) -> dict[int, Read]:
    """Return what both modes answer; a bootloader that can be updated tells its own version."""
    known = common_dids(parts.identity, parts.memory.nvm, state)
    bootloader = parts.memory.bootloader
    return known if bootloader is None else known | {BOOT_SOFTWARE: lambda: b"\x01" + bootloader.version.encode()}


async def never(_request: object) -> Answer:
    """Stand for a service that this mode knows but has in none of its sessions."""
    raise Refused(Nrc.CONDITIONS_NOT_CORRECT)


def application_mode(parts: EcuParts, bank: str, header: ImageHeader) -> Mode:
    """Return the application that runs from `bank`; programming is asked of it, done by the bootloader."""
    state = SessionState()
    common = _Common(parts, state)
    nvm = parts.memory.nvm
    owner = _owners_data(parts)
    dids = _common_dids(parts, state) | application_dids(header) | (owner.dids() if owner else {})
    data = DataService(parts.life, dids, nvm, state)
    own_routines = ApplicationRoutines(parts.life, parts.memory, bank, header, parts.surroundings)
    lawmo = owner.routines(unlocked=False) if owner else {}
    routines = RoutineService(own_routines.table() | lawmo, state)

    async def session_control(request: DiagnosticSessionControl) -> Answer:
        session = Session(request.session)
        if session is Session.PROGRAMMING and parts.surroundings.unmet:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        if session is Session.PROGRAMMING:
            refuse_by_voltage(parts.supply)
            return Answer(common.session_answer(session), lambda: parts.restart(True))
        state.enter(session)
        return Answer(common.session_answer(session))

    sessions = each(Session) | {Session.PROGRAMMING: SubFunction(ONLY_EXTENDED)}
    own = dict(
        (
            service(Sid.DIAGNOSTIC_SESSION_CONTROL, session_control, 2, sub_functions=sessions),
            service(Sid.READ_DATA_BY_IDENTIFIER, data.read, 3),
            service(Sid.ROUTINE_CONTROL, routines.control, 4, ONLY_EXTENDED, sub_functions=each(RoutineType)),
            service(Sid.WRITE_DATA_BY_IDENTIFIER, never, 4, ONLY_PROGRAMMING),
            service(Sid.REQUEST_DOWNLOAD, never, 3, ONLY_PROGRAMMING),
            service(Sid.TRANSFER_DATA, never, 3, ONLY_PROGRAMMING),
            service(Sid.REQUEST_TRANSFER_EXIT, never, 1, ONLY_PROGRAMMING),
        )
    )
    table = {**common.table(), **own, **_known_locks(parts)}
    rules = parts.memory.personality.user_data
    more_dids, more_routines = ({}, {}) if rules is None else ({rules.state_did: "user data state"}, titles(rules))
    return Mode(
        state, owner.guarded(table) if owner else table, lambda: state.enter(Session.DEFAULT),
        data.titles(more_dids), frozenset(), routines.titles(more_routines),
    )  # fmt: skip


def _owners_data(parts: EcuParts) -> UserDataService | None:
    """Return what serves the user data, where there are any."""
    area, rules = parts.memory.user_area, parts.memory.personality.user_data
    if area is None or rules is None:
        return None
    return UserDataService(
        UserDataParts(life=parts.life, rules=rules, area=area, surroundings=parts.surroundings, dtcs=parts.dtcs)
    )


def _known_locks(parts: EcuParts) -> ServiceTable:
    """Return the locks that the application knows of, but has in none of its sessions."""
    rules = parts.memory.personality
    table: dict[int, Service] = {}
    if rules.security is not None:
        keys = each((REQUEST_SEED, SEND_KEY))
        table |= [service(Sid.SECURITY_ACCESS, never, 2, ONLY_PROGRAMMING, sub_functions=keys)]
    if rules.authentication is not None:
        table[Sid.AUTHENTICATION] = _authentication(never, each(AuthenticationTask))
    return table


def bootloader_mode(parts: EcuParts, session: Session) -> Mode:
    """Return the bootloader, in the programming session at once when the application was asked for it."""
    rules = parts.memory.personality
    state = SessionState(
        session, needs_security=rules.security is not None, needs_authentication=rules.authentication is not None
    )
    common = _Common(parts, state)
    personality, memory = parts.memory.personality, parts.memory
    transfer = Transfer(parts.life, memory, personality.uds.max_block_length, parts.supply)
    state.on_change(transfer.abort)
    data = DataService(parts.life, _common_dids(parts, state), memory.nvm, state)
    programming = BootloaderRoutines(parts.life, memory, parts.trust, transfer, parts.supply)
    routines = RoutineService(programming.table(), state)

    def leaves_programming() -> bool:
        """Leaving the programming session restarts a valid application (ISO 14229-1, 0x10 programmingSession)."""
        return state.session is Session.PROGRAMMING and manager.any_bootable(memory, parts.trust)

    async def session_control(request: DiagnosticSessionControl) -> Answer:
        session = Session(request.session)
        pdu = common.session_answer(session)
        await transfer.idle()
        if session is Session.DEFAULT and leaves_programming():
            return Answer(pdu, lambda: parts.restart(False))
        state.enter(session)
        return Answer(pdu)

    def session_timed_out() -> None:
        if not transfer.writing and leaves_programming():
            parts.restart(False)
        else:
            state.enter(Session.DEFAULT)

    own = dict(
        (
            service(Sid.DIAGNOSTIC_SESSION_CONTROL, session_control, 2, sub_functions=each(Session)),
            service(Sid.READ_DATA_BY_IDENTIFIER, data.read, 3),
            service(Sid.WRITE_DATA_BY_IDENTIFIER, data.write, 4, ONLY_PROGRAMMING),
            service(Sid.ROUTINE_CONTROL, routines.control, 4, ONLY_PROGRAMMING, sub_functions=each(RoutineType)),
            service(Sid.REQUEST_DOWNLOAD, transfer.request_download, 3, ONLY_PROGRAMMING, unlocked=True),
            service(Sid.TRANSFER_DATA, transfer.transfer_data, 3, ONLY_PROGRAMMING),
            service(Sid.REQUEST_TRANSFER_EXIT, transfer.request_transfer_exit, 1, ONLY_PROGRAMMING),
        )
    )
    table = {**common.table(), **own, **_locks(parts, state)}
    return Mode(state, table, session_timed_out, data.titles({}), frozenset((FINGERPRINT,)), routines.titles({}))


def _locks(parts: EcuParts, state: SessionState) -> ServiceTable:
    """Return what opens the bootloader: 0x27, 0x29, or both."""
    rules = parts.memory.personality
    table: dict[int, Service] = {}
    if rules.security is not None:
        lock = SecurityLock(parts.life, parts.world, parts.memory.nvm, rules.security, state)
        keys = each((REQUEST_SEED, SEND_KEY))
        table |= [service(Sid.SECURITY_ACCESS, lock.access, 2, ONLY_PROGRAMMING, sub_functions=keys)]
    if rules.authentication is not None:
        door = AuthenticationLock(parts.life, parts.world, rules.authentication, state)
        table[Sid.AUTHENTICATION] = _authentication(door.serve, each(door.tasks()))
    return table


def _authentication(handle: Handler, tasks: dict[int, SubFunction]) -> Service:
    return Service(
        handle=handle, decode=Authentication.decode, minimum_bytes=2, sessions=ONLY_PROGRAMMING, sub_functions=tasks
    )  # fmt: skip
