"""Names that reports print for UDS messages (ISO 14229-1, tables of services, routines and response codes)."""

from __future__ import annotations

from collections.abc import Mapping

SERVICES = {
    0x10: "DiagnosticSessionControl", 0x11: "ECUReset", 0x14: "ClearDiagnosticInformation", 0x19: "ReadDTCInformation",
    0x22: "ReadDataByIdentifier", 0x23: "ReadMemoryByAddress", 0x27: "SecurityAccess", 0x28: "CommunicationControl",
    0x29: "Authentication", 0x2E: "WriteDataByIdentifier", 0x31: "RoutineControl", 0x34: "RequestDownload",
    0x35: "RequestUpload", 0x36: "TransferData", 0x37: "RequestTransferExit", 0x38: "RequestFileTransfer",
    0x3E: "TesterPresent", 0x85: "ControlDTCSetting",
}  # fmt: skip
SESSIONS = {1: "default", 2: "programming", 3: "extended"}
TASKS = {
    0: "de-authenticate", 1: "certificate", 2: "certificate, both ways", 3: "proof of ownership", 8: "configuration",
}  # fmt: skip
RESETS = {1: "hard", 2: "key off/on", 3: "soft"}
ROUTINES = {
    0xFF00: "erase memory", 0xFF01: "check dependencies", 0x0202: "check memory", 0x0203: "activate", 0x0204: "confirm",
    0x0205: "report progress", 0x0206: "check block", 0x0207: "check preconditions",
    0x0210: "lock", 0x0211: "unlock", 0x0212: "wipe user data", 0x0213: "factory reset",
}  # fmt: skip
DIDS = {
    0xF15A: "fingerprint", 0xF180: "boot software id", 0xF186: "active session", 0xF188: "software id",
    0xF189: "software version", 0xF18C: "serial number", 0xF190: "VIN", 0xF191: "hardware id",
    0xD100: "user data state",
}  # fmt: skip
NRCS = {
    0x10: "generalReject", 0x11: "serviceNotSupported", 0x12: "subFunctionNotSupported",
    0x13: "incorrectMessageLengthOrInvalidFormat", 0x14: "responseTooLong", 0x21: "busyRepeatRequest",
    0x22: "conditionsNotCorrect", 0x24: "requestSequenceError", 0x25: "noResponseFromSubnetComponent",
    0x26: "failurePreventsExecutionOfRequestedAction", 0x31: "requestOutOfRange", 0x33: "securityAccessDenied",
    0x34: "authenticationRequired",
    0x35: "invalidKey", 0x36: "exceededNumberOfAttempts", 0x37: "requiredTimeDelayNotExpired",
    0x50: "certificateInvalidTimePeriod", 0x51: "certificateInvalidSignature", 0x52: "certificateInvalidChainOfTrust",
    0x53: "certificateInvalidType", 0x54: "certificateInvalidFormat", 0x55: "certificateInvalidContent",
    0x56: "certificateInvalidScope", 0x57: "certificateInvalid", 0x58: "ownershipVerificationFailed",
    0x59: "challengeCalculationFailed", 0x5A: "settingAccessRightsFailed", 0x5B: "sessionKeyCreationFailed",
    0x5C: "configurationDataUsageFailed", 0x5D: "deAuthenticationFailed",
    0x70: "uploadDownloadNotAccepted", 0x71: "transferDataSuspended", 0x72: "generalProgrammingFailure",
    0x73: "wrongBlockSequenceCounter", 0x78: "responsePending", 0x7E: "subFunctionNotSupportedInActiveSession",
    0x7F: "serviceNotSupportedInActiveSession", 0x92: "voltageTooHigh", 0x93: "voltageTooLow",
}  # fmt: skip
CHECK_RESULTS = {0: "ok", 1: "signature", 2: "hardware id", 3: "release counter", 4: "hash or length", 5: "no image"}


def request_name(pdu: bytes, *, complete: bool = True, routines: Mapping[int, str] = ROUTINES) -> str:
    """Return a request in words: service, then what its sub-function or identifier means (when it came whole).

    `routines` names those of the ECU; only of this bench's own ECUs it is known how they are told a range to erase.
    """
    sid = pdu[0] if pdu else 0
    name = f"0x{sid:02X} {SERVICES.get(sid, 'unknown service')}"
    more = _request_detail(sid, pdu, routines) if complete else ""
    return f"{name} {more}" if more else name


def _request_detail(sid: int, pdu: bytes, routines: Mapping[int, str]) -> str:
    sub = pdu[1] & 0x7F if len(pdu) > 1 else 0
    if sid == 0x10:
        return SESSIONS.get(sub, f"0x{sub:02X}")
    if sid == 0x11:
        return RESETS.get(sub, f"0x{sub:02X}")
    if sid == 0x27:
        return "seed" if sub % 2 else "key"
    if sid == 0x29:
        return TASKS.get(sub, f"0x{sub:02X}")
    if sid == 0x31 and len(pdu) >= 4:
        routine = int.from_bytes(pdu[2:4], "big")
        named = routines.get(routine, f"0x{routine:04X}")
        return named + _erase_range(routine, pdu) if routines is ROUTINES else named
    if sid in (0x22, 0x2E) and len(pdu) >= 3:
        did = int.from_bytes(pdu[1:3], "big")
        return f"{did:04X} {DIDS.get(did, '')}".strip()
    if sid in (0x34, 0x35):
        return _range(pdu[2:])
    if sid == 0x85:
        return {1: "on", 2: "off"}.get(sub, f"0x{sub:02X}")
    if sid == 0x28:
        return {0: "enable", 1: "enable rx, disable tx", 3: "disable"}.get(sub, f"0x{sub:02X}")
    return ""


def _erase_range(routine: int, pdu: bytes) -> str:
    shown = _range(pdu[4:]) if routine == 0xFF00 else ""
    return f" {shown}" if shown else ""


def _range(raw: bytes) -> str:
    """Return address and size behind their format byte (high nibble: width of the size), or "" when they are none."""
    size_bytes, address_bytes = (raw[0] >> 4, raw[0] & 0x0F) if raw else (0, 0)
    if not size_bytes or not address_bytes or len(raw) != 1 + address_bytes + size_bytes:
        return ""
    split = 1 + address_bytes
    return f"0x{int.from_bytes(raw[1:split], 'big'):08X}, {int.from_bytes(raw[split:], 'big')} bytes"


def answer_name(pdu: bytes) -> str:
    """Return an answer in words: `ok`, what it says, or its negative response code by name."""
    if len(pdu) >= 3 and pdu[0] == 0x7F:
        return f"NRC 0x{pdu[2]:02X} {NRCS.get(pdu[2], 'unknown')}"
    if len(pdu) >= 5 and pdu[0] == 0x71 and pdu[2:4] == b"\x02\x02":
        return "ok" if pdu[4] == 0 else f"refused: {CHECK_RESULTS.get(pdu[4], f'status 0x{pdu[4]:02X}')}"
    if len(pdu) > 3 and pdu[0] == 0x62:
        text = pdu[3:].rstrip(b"\x00 ")
        shown = text.decode("ascii") if text and all(32 <= byte < 127 for byte in text) else pdu[3:].hex(" ").upper()
        return shown[:28]
    return "ok"
