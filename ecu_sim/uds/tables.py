"""The tables of application and bootloader: service x session x security, made from a personality, as data.

Every server works from them, and `ecu_sim.uds.description` prints them.
"""

from __future__ import annotations

from bench.wire.uds import OF_NODE, CommunicationType, DtcSetting, ResetType, RoutineType, Session, Sid
from bench.wire.uds_authentication import AuthenticationTask
from bench.wire.uds_dtc import DtcReport
from ecu_sim.personality.personality import Personality
from ecu_sim.personality.sections import AuthenticationRules, SecurityRules
from ecu_sim.uds.services import (
    ALL_SESSIONS,
    NOT_DEFAULT,
    ONLY_EXTENDED,
    ONLY_PROGRAMMING,
    ServiceRule,
    SubFunction,
    each,
)

FROM_EXTENDED = frozenset((Session.EXTENDED, Session.SAFETY))
"""Sessions from which the application lets itself be led into the safety system session."""
APPLICATION_SESSIONS = {
    Session.DEFAULT: ALL_SESSIONS,
    Session.PROGRAMMING: ONLY_EXTENDED,
    Session.EXTENDED: ALL_SESSIONS,
    Session.SAFETY: FROM_EXTENDED,
}
"""Transitions of the application: session to the sessions from which it is entered (else 0x7E)."""
BOOTLOADER_SESSIONS = {
    Session.DEFAULT: ALL_SESSIONS,
    Session.PROGRAMMING: ALL_SESSIONS,
    Session.EXTENDED: ALL_SESSIONS,
}
"""Transitions of the bootloader, which has no safety system session."""
WITHOUT_CERTIFICATE = (
    AuthenticationTask.DE_AUTHENTICATE, AuthenticationTask.VERIFY_CERTIFICATE_UNIDIRECTIONAL,
    AuthenticationTask.PROOF_OF_OWNERSHIP, AuthenticationTask.AUTHENTICATION_CONFIGURATION,
)  # fmt: skip
"""Tasks of 0x29 that need no certificate of the ECU's own."""


def communication_types(personality: Personality) -> tuple[CommunicationType, ...]:
    """Return the control types of 0x28; those that name a node only where there are nodes behind the ECU."""
    nodes = personality.diagnostics.node_ids
    return tuple(control for control in CommunicationType if nodes or control not in OF_NODE)


def _common_rules(personality: Personality) -> tuple[ServiceRule, ...]:
    return (
        ServiceRule(sid=Sid.ECU_RESET, minimum_bytes=2, sub_functions=each(ResetType)),
        ServiceRule(sid=Sid.CLEAR_DIAGNOSTIC_INFORMATION, minimum_bytes=4),
        ServiceRule(sid=Sid.READ_DTC_INFORMATION, minimum_bytes=2, sub_functions=each(DtcReport)),
        ServiceRule(sid=Sid.READ_DATA_BY_IDENTIFIER, minimum_bytes=3),
        ServiceRule(
            sid=Sid.COMMUNICATION_CONTROL, minimum_bytes=2, sessions=NOT_DEFAULT,
            sub_functions=each(communication_types(personality)),
        ),
        ServiceRule(sid=Sid.TESTER_PRESENT, minimum_bytes=2, sub_functions=each((0,))),
        ServiceRule(
            sid=Sid.CONTROL_DTC_SETTING, minimum_bytes=2, sessions=NOT_DEFAULT, sub_functions=each(DtcSetting)
        ),
    )  # fmt: skip


def application_rules(personality: Personality) -> tuple[ServiceRule, ...]:
    """Return the application's table; what programs is known to it, but served by the bootloader only."""
    rules = personality.diagnostics
    sessions: dict[int, SubFunction] = {
        session: SubFunction(begun_from)
        for session, begun_from in APPLICATION_SESSIONS.items()
        if session is not Session.SAFETY or rules.safety_session
    }
    files, writable = rules.file_area_bytes > 0, bool(rules.configuration)
    transfer = NOT_DEFAULT - {Session.SAFETY} if files else ONLY_PROGRAMMING
    table = [
        ServiceRule(sid=Sid.DIAGNOSTIC_SESSION_CONTROL, minimum_bytes=2, sub_functions=sessions),
        *_common_rules(personality),
        ServiceRule(
            sid=Sid.ROUTINE_CONTROL, minimum_bytes=4, sessions=ONLY_EXTENDED, sub_functions=each(RoutineType),
            own_order=True,
        ),
        ServiceRule(
            sid=Sid.WRITE_DATA_BY_IDENTIFIER, minimum_bytes=4, served=writable,
            sessions=frozenset((Session.PROGRAMMING, Session.EXTENDED)) if writable else ONLY_PROGRAMMING,
        ),
        ServiceRule(sid=Sid.REQUEST_DOWNLOAD, minimum_bytes=3, sessions=ONLY_PROGRAMMING, served=False),
        ServiceRule(sid=Sid.TRANSFER_DATA, minimum_bytes=2, sessions=transfer, served=files),
        ServiceRule(sid=Sid.REQUEST_TRANSFER_EXIT, minimum_bytes=1, sessions=transfer, served=files),
        *_memory_rules(personality, bootloader=False),
        *_application_locks(personality),
    ]  # fmt: skip
    if files:
        table.append(ServiceRule(sid=Sid.REQUEST_FILE_TRANSFER, minimum_bytes=4, sessions=ONLY_EXTENDED, unlocked=True))
    return tuple(table)


def bootloader_rules(personality: Personality) -> tuple[ServiceRule, ...]:
    """Return the bootloader's table."""
    sessions: dict[int, SubFunction] = {
        session: SubFunction(begun_from) for session, begun_from in BOOTLOADER_SESSIONS.items()
    }
    return (
        ServiceRule(sid=Sid.DIAGNOSTIC_SESSION_CONTROL, minimum_bytes=2, sub_functions=sessions),
        *_common_rules(personality),
        ServiceRule(sid=Sid.WRITE_DATA_BY_IDENTIFIER, minimum_bytes=4, sessions=ONLY_PROGRAMMING),
        ServiceRule(
            sid=Sid.ROUTINE_CONTROL, minimum_bytes=4, sessions=ONLY_PROGRAMMING, sub_functions=each(RoutineType),
            own_order=True,
        ),
        ServiceRule(sid=Sid.REQUEST_DOWNLOAD, minimum_bytes=3, sessions=ONLY_PROGRAMMING, unlocked=True),
        ServiceRule(sid=Sid.TRANSFER_DATA, minimum_bytes=2, sessions=ONLY_PROGRAMMING),
        ServiceRule(sid=Sid.REQUEST_TRANSFER_EXIT, minimum_bytes=1, sessions=ONLY_PROGRAMMING),
        *_memory_rules(personality, bootloader=True),
        *_locks(personality.security, personality.authentication, served=True),
    )  # fmt: skip


def _memory_rules(personality: Personality, *, bootloader: bool) -> list[ServiceRule]:
    """Return 0x23, 0x35 and 0x3D where the personality has them; the application only lets itself be read."""
    rules, table = personality.diagnostics, []
    if rules.read_memory and (bootloader or rules.application_security is not None):
        sessions = ONLY_PROGRAMMING if bootloader else ONLY_EXTENDED
        table.append(ServiceRule(sid=Sid.READ_MEMORY_BY_ADDRESS, minimum_bytes=4, sessions=sessions, unlocked=True))
    if rules.upload:
        table.append(
            ServiceRule(
                sid=Sid.REQUEST_UPLOAD, minimum_bytes=3, sessions=ONLY_PROGRAMMING, unlocked=bootloader,
                served=bootloader,
            )
        )  # fmt: skip
    if rules.write_memory:
        table.append(
            ServiceRule(
                sid=Sid.WRITE_MEMORY_BY_ADDRESS, minimum_bytes=5, sessions=ONLY_PROGRAMMING, unlocked=bootloader,
                served=bootloader,
            )
        )  # fmt: skip
    return table


def _application_locks(personality: Personality) -> list[ServiceRule]:
    """Return the application's own lock; without one, 0x27 is known to it for the programming session only."""
    own = personality.diagnostics.application_security
    if own is None:
        return _locks(personality.security, personality.authentication, served=False)
    keys = {level: SubFunction(ONLY_EXTENDED) for level in (own.level, own.level + 1)}
    if personality.security is not None:
        programming = personality.security.level
        keys |= {level: SubFunction(ONLY_PROGRAMMING) for level in (programming, programming + 1)}
    lock = ServiceRule(
        sid=Sid.SECURITY_ACCESS, minimum_bytes=2, sub_functions=keys,
        sessions=frozenset((Session.PROGRAMMING, Session.EXTENDED)),
    )  # fmt: skip
    return [lock, *_locks(None, personality.authentication, served=False)]


def _locks(
    security: SecurityRules | None, authentication: AuthenticationRules | None, *, served: bool
) -> list[ServiceRule]:
    """Return what opens the programming session's guard: 0x27, 0x29, or both."""
    table: list[ServiceRule] = []
    if security is not None:
        keys = each((security.level, security.level + 1))
        table.append(
            ServiceRule(
                sid=Sid.SECURITY_ACCESS, minimum_bytes=2, sessions=ONLY_PROGRAMMING, sub_functions=keys, served=served
            )
        )
    if authentication is not None:
        tasks = set(WITHOUT_CERTIFICATE)
        if authentication.certificate_name is not None:
            tasks.add(AuthenticationTask.VERIFY_CERTIFICATE_BIDIRECTIONAL)
        table.append(
            ServiceRule(
                sid=Sid.AUTHENTICATION, minimum_bytes=2, sessions=ONLY_PROGRAMMING, sub_functions=each(sorted(tasks)),
                served=served,
            )
        )  # fmt: skip
    return table
