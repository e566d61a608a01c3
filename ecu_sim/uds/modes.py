"""The two modes of an ECU, application and bootloader: the rules of each bound to what serves them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench.core.continuing import State, Stated
from bench.core.node import Incarnation
from bench.core.world import World
from bench.wire.image_header import ImageHeader
from bench.wire.uds import (
    CommunicationControl,
    ControlDtcSetting,
    DiagnosticSessionControl,
    DtcSetting,
    EcuReset,
    Nrc,
    RequestDownload,
    ResetType,
    Session,
    Sid,
    TesterPresent,
    positive,
    session_response,
)
from ecu_sim.boot import manager
from ecu_sim.boot.manager import Trust
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.memory.dtcs import DtcMemory, Snapshot
from ecu_sim.supply import Supply
from ecu_sim.surroundings import Surroundings
from ecu_sim.uds.authentication import AuthenticationLock
from ecu_sim.uds.dtc_service import DtcService
from ecu_sim.uds.file_transfer import FileTransfer
from ecu_sim.uds.identification import (
    DataService,
    Identity,
    application_data,
    application_dids,
    application_writes,
    bootloader_writes,
    common_dids,
)
from ecu_sim.uds.memory_access import MemoryAccess
from ecu_sim.uds.restart import Restart, RestartCallback
from ecu_sim.uds.routine_service import RoutineService
from ecu_sim.uds.routines import ApplicationRoutines, BootloaderRoutines
from ecu_sim.uds.security import ApplicationAttempts, BootloaderAttempts, SecurityLock
from ecu_sim.uds.services import Answer, Handler, Refused, ServiceTable, bound, pending_answer
from ecu_sim.uds.sessions import SessionState
from ecu_sim.uds.tables import application_rules, bootloader_rules
from ecu_sim.uds.transfer import Transfer
from ecu_sim.uds.transfers import Transfers
from ecu_sim.uds.upload import Upload
from ecu_sim.uds.user_data import UserDataParts, UserDataService
from ecu_sim.uds.voltage import refuse_by_voltage

COMMUNICATION_MESSAGES = (0x01, 0x02, 0x03)
"""communicationType: normal messages, network management, both; of this network."""
Handlers = dict[int, Handler]


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuParts:
    """What both modes are built from. `requester` tells which tester's request is being served (0: the first)."""

    life: Incarnation
    world: World
    identity: Identity
    memory: EcuMemory
    trust: Trust
    restart: RestartCallback
    requester: Callable[[], int]
    surroundings: Surroundings
    dtcs: DtcMemory
    supply: Supply


@dataclass(frozen=True, slots=True)
class Mode:
    """A mode ready to serve: session state, table, and what happens when the session runs out."""

    state: SessionState
    table: ServiceTable
    on_session_timeout: Callable[[], None]
    parts: tuple[Stated, ...] = ()
    """What serves, as far as it remembers something from request to request."""

    def services_state(self, now_ns: int) -> State:
        """Return what the services remember."""
        return tuple((type(part).__name__, part.state(now_ns)) for part in self.parts)


def _remembering(handlers: Handlers) -> tuple[Stated, ...]:
    """Return, each once, the services behind handlers that remember something."""
    owners = (getattr(handler, "__self__", None) for handler in handlers.values())
    return tuple(dict.fromkeys(owner for owner in owners if owner is not None and hasattr(owner, "state")))


class _Common:
    """The services that both modes serve alike."""

    def __init__(self, parts: EcuParts, state: SessionState, version: str = "") -> None:
        self._parts, self._state = parts, state
        state.on_change(self._session_changed)
        dtcs = parts.dtcs
        dtcs.observe = lambda: Snapshot(min(parts.supply.millivolts, 0xFFFF), state.session, dtcs.uptime_ms, version)
        self._dtc_service = DtcService(dtcs)

    def _session_changed(self) -> None:
        if self._state.session is Session.DEFAULT:
            self._parts.dtcs.setting_on = True

    def session_answer(self, session: int) -> bytes:
        timing = self._parts.memory.personality.uds
        return session_response(session, timing.p2_ms, timing.p2_star_ms)

    async def ecu_reset(self, request: EcuReset) -> Answer:
        restart = Restart(reset_type=ResetType(request.reset_type))
        return Answer(positive(request.SID, bytes((request.reset_type,))), lambda: self._parts.restart(restart))

    async def tester_present(self, request: TesterPresent) -> Answer:
        return Answer(positive(request.SID, bytes((request.zero,))))

    async def communication_control(self, request: CommunicationControl) -> Answer:
        nodes = self._parts.memory.personality.diagnostics.node_ids
        unknown_node = request.node is not None and request.node not in nodes
        if request.communication_type not in COMMUNICATION_MESSAGES or unknown_node:
            raise Refused(Nrc.REQUEST_OUT_OF_RANGE)
        self._state.control_communication(request.control_type, request.communication_type, request.node)
        return Answer(positive(request.SID, bytes((request.control_type,))))

    async def control_dtc_setting(self, request: ControlDtcSetting) -> Answer:
        self._parts.dtcs.setting_on = request.setting == DtcSetting.ON
        return Answer(positive(request.SID, bytes((request.setting,))))

    def handlers(self) -> Handlers:
        """Return what serves the rows that do not depend on the mode."""
        return {
            Sid.ECU_RESET: self.ecu_reset,
            Sid.CLEAR_DIAGNOSTIC_INFORMATION: self._dtc_service.clear,
            Sid.READ_DTC_INFORMATION: self._dtc_service.read,
            Sid.TESTER_PRESENT: self.tester_present,
            Sid.COMMUNICATION_CONTROL: self.communication_control,
            Sid.CONTROL_DTC_SETTING: self.control_dtc_setting,
        }


def application_mode(parts: EcuParts, bank: str, header: ImageHeader) -> Mode:
    """Return the application that runs from `bank`; programming is asked of it, done by the bootloader."""
    personality, memory = parts.memory.personality, parts.memory
    state = SessionState(needs_security=True)
    common = _Common(parts, state, header.version)
    owner = _owners_data(parts)
    reads = common_dids(parts.identity, memory, state, parts.dtcs) | application_dids(header)
    reads |= application_data(memory, header.version)
    writes = application_writes(parts.life, memory, parts.identity.vin)
    reads |= owner.dids() if owner else {}
    data = DataService(reads, writes, state, max_dids=personality.diagnostics.max_dids)
    locked = personality.diagnostics.application_security is not None
    own_routines = ApplicationRoutines(parts.life, memory, bank, header, parts.surroundings).table()
    lawmo = owner.routines(unlocked=locked) if owner else {}
    routines = RoutineService(parts.life, own_routines | lawmo, state)

    async def session_control(request: DiagnosticSessionControl) -> Answer:
        session = Session(request.session)
        if session is Session.PROGRAMMING:
            return _programming(parts, common)
        state.enter(session)
        return Answer(common.session_answer(session))

    handlers: Handlers = {
        **common.handlers(),
        Sid.DIAGNOSTIC_SESSION_CONTROL: session_control,
        Sid.READ_DATA_BY_IDENTIFIER: data.read,
        Sid.WRITE_DATA_BY_IDENTIFIER: data.write,
        Sid.ROUTINE_CONTROL: routines.control,
        Sid.READ_MEMORY_BY_ADDRESS: MemoryAccess(parts.life, memory, bank).read,
        **_application_lock(parts, state),
        **_files(parts, state),
    }
    table = bound(application_rules(personality), handlers)
    parts_of_mode = (*_remembering(handlers), *((owner,) if owner else ()))
    return Mode(state, owner.guarded(table) if owner else table, lambda: state.enter(Session.DEFAULT), parts_of_mode)


def _owners_data(parts: EcuParts) -> UserDataService | None:
    """Return what serves the user data, where there are any."""
    area, rules = parts.memory.user_area, parts.memory.personality.user_data
    if area is None or rules is None:
        return None
    return UserDataService(
        UserDataParts(
            life=parts.life, rules=rules, area=area, surroundings=parts.surroundings, dtcs=parts.dtcs,
            restore=lambda: parts.memory.settings.restore_factory(parts.life),
        )
    )  # fmt: skip


def _programming(parts: EcuParts, common: _Common) -> Answer:
    """Go to the bootloader: answered before the reset, or, as the personality says, by the bootloader after it."""
    if parts.surroundings.unmet:
        raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
    refuse_by_voltage(parts.supply)
    if parts.memory.personality.diagnostics.programming_answer == "before_reset":
        restart = Restart(programming=True)
        return Answer(common.session_answer(Session.PROGRAMMING), lambda: parts.restart(restart))
    restart = Restart(programming=True, answer_due_to=parts.requester())
    return pending_answer(Sid.DIAGNOSTIC_SESSION_CONTROL, lambda: parts.restart(restart))


def _application_lock(parts: EcuParts, state: SessionState) -> Handlers:
    rules = parts.memory.personality.diagnostics.application_security
    if rules is None:
        return {}
    counter = ApplicationAttempts(parts.memory)
    return {Sid.SECURITY_ACCESS: SecurityLock(parts.life, parts.world, counter, rules, state).access}


def _files(parts: EcuParts, state: SessionState) -> Handlers:
    """Return what serves the directory, where there is one."""
    memory, personality = parts.memory, parts.memory.personality
    if memory.files is None:
        return {}
    files = FileTransfer(parts.life, memory.files, personality.transfer, personality.uds.max_block_length)
    state.on_change(files.abort)
    transfers = Transfers((files,))
    return {
        Sid.REQUEST_FILE_TRANSFER: files.request_file_transfer,
        Sid.TRANSFER_DATA: transfers.transfer_data,
        Sid.REQUEST_TRANSFER_EXIT: transfers.request_transfer_exit,
    }


def bootloader_mode(parts: EcuParts, session: Session) -> Mode:
    """Return the bootloader, in the programming session at once when the application was asked for it."""
    personality, memory = parts.memory.personality, parts.memory
    state = SessionState(
        session, needs_security=personality.security is not None,
        needs_authentication=personality.authentication is not None,
    )  # fmt: skip
    common = _Common(parts, state)
    reads = common_dids(parts.identity, memory, state, parts.dtcs)
    writes = bootloader_writes(parts.life, memory)
    data = DataService(reads, writes, state, max_dids=personality.diagnostics.max_dids)
    transfer = Transfer(parts.life, memory, parts.supply)

    def leaves_bootloader() -> bool:
        """Falling back to the default session restarts a valid application (ISO 14229-1, 0x10 programmingSession)."""
        return state.session is not Session.DEFAULT and manager.any_bootable(memory, parts.trust)

    async def session_control(request: DiagnosticSessionControl) -> Answer:
        wanted = Session(request.session)
        pdu = common.session_answer(wanted)
        await transfer.idle()
        if wanted is Session.DEFAULT and leaves_bootloader():
            return Answer(pdu, lambda: parts.restart(Restart()))
        state.enter(wanted)
        return Answer(pdu)

    async def ecu_reset(request: EcuReset) -> Answer:
        """Reset once the flash stands still: no unit is torn by the ECU itself."""
        await transfer.idle()
        return await common.ecu_reset(request)

    def session_timed_out() -> None:
        """Lock at once; a request that comes before the reset finds the default session."""
        leaves = not transfer.writing and leaves_bootloader()
        state.enter(Session.DEFAULT)
        if leaves:
            parts.restart(Restart())

    handlers: Handlers = {
        **common.handlers(),
        Sid.DIAGNOSTIC_SESSION_CONTROL: session_control,
        Sid.ECU_RESET: ecu_reset,
        Sid.READ_DATA_BY_IDENTIFIER: data.read,
        Sid.WRITE_DATA_BY_IDENTIFIER: data.write,
        **_memory_services(parts, state, transfer),
        **_locks(parts, state),
    }
    return Mode(state, bound(bootloader_rules(personality), handlers), session_timed_out, _remembering(handlers))


def _memory_services(parts: EcuParts, state: SessionState, transfer: Transfer) -> Handlers:
    """Return what reads, erases and programs the bank that a download goes to."""
    life, memory = parts.life, parts.memory
    upload = Upload(memory, transfer)
    transfers = Transfers((transfer, upload))
    access = MemoryAccess(life, memory, memory.target_bank, programming=(transfer, parts.supply))
    for abort in (transfer.abort, upload.abort):
        state.on_change(abort)
    programming = BootloaderRoutines(life, memory, parts.trust, transfer, parts.supply)
    routines = RoutineService(life, programming.table(), state)

    async def request_download(request: RequestDownload) -> Answer:
        transfers.check_none_open(but=transfer)
        return await transfer.request_download(request)

    return {
        Sid.ROUTINE_CONTROL: routines.control,
        Sid.REQUEST_DOWNLOAD: request_download,
        Sid.REQUEST_UPLOAD: upload.request_upload,
        Sid.TRANSFER_DATA: transfers.transfer_data,
        Sid.REQUEST_TRANSFER_EXIT: transfers.request_transfer_exit,
        Sid.READ_MEMORY_BY_ADDRESS: access.read,
        Sid.WRITE_MEMORY_BY_ADDRESS: access.write,
    }


def _locks(parts: EcuParts, state: SessionState) -> Mapping[int, Handler]:
    """Return what opens the bootloader: 0x27, 0x29, or both."""
    rules = parts.memory.personality
    handlers: Handlers = {}
    if rules.security is not None:
        counter = BootloaderAttempts(parts.memory)
        lock = SecurityLock(parts.life, parts.world, counter, rules.security, state)
        handlers[Sid.SECURITY_ACCESS] = lock.access
    if rules.authentication is not None:
        handlers[Sid.AUTHENTICATION] = AuthenticationLock(parts.life, parts.world, rules.authentication, state).serve
    return handlers
