"""The ECU's half of UDS (ISO 14229-1): requests as values, responses as bytes.

`decode` checks what the bytes alone can tell (exact length, fields); what a server supports is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

POSITIVE = 0x40
"""Added to a service id, it is the id of the positive response."""
NEGATIVE = 0x7F
SUPPRESS = 0x80
"""Bit 7 of a sub-function: suppressPosRspMsgIndicationBit."""
MAX_PDU_BYTES = 4095


class Sid(IntEnum):
    """Service identifiers."""

    DIAGNOSTIC_SESSION_CONTROL = 0x10
    ECU_RESET = 0x11
    CLEAR_DIAGNOSTIC_INFORMATION = 0x14
    READ_DTC_INFORMATION = 0x19
    READ_DATA_BY_IDENTIFIER = 0x22
    READ_MEMORY_BY_ADDRESS = 0x23
    SECURITY_ACCESS = 0x27
    COMMUNICATION_CONTROL = 0x28
    AUTHENTICATION = 0x29
    WRITE_DATA_BY_IDENTIFIER = 0x2E
    ROUTINE_CONTROL = 0x31
    REQUEST_DOWNLOAD = 0x34
    REQUEST_UPLOAD = 0x35
    TRANSFER_DATA = 0x36
    REQUEST_TRANSFER_EXIT = 0x37
    REQUEST_FILE_TRANSFER = 0x38
    WRITE_MEMORY_BY_ADDRESS = 0x3D
    TESTER_PRESENT = 0x3E
    CONTROL_DTC_SETTING = 0x85


class Nrc(IntEnum):
    """Negative response codes (ISO 14229-1, annex A)."""

    GENERAL_REJECT = 0x10
    SERVICE_NOT_SUPPORTED = 0x11
    SUB_FUNCTION_NOT_SUPPORTED = 0x12
    INCORRECT_LENGTH_OR_FORMAT = 0x13
    RESPONSE_TOO_LONG = 0x14
    BUSY_REPEAT_REQUEST = 0x21
    CONDITIONS_NOT_CORRECT = 0x22
    REQUEST_SEQUENCE_ERROR = 0x24
    REQUEST_OUT_OF_RANGE = 0x31
    SECURITY_ACCESS_DENIED = 0x33
    AUTHENTICATION_REQUIRED = 0x34
    INVALID_KEY = 0x35
    EXCEEDED_NUMBER_OF_ATTEMPTS = 0x36
    REQUIRED_TIME_DELAY_NOT_EXPIRED = 0x37
    CERTIFICATE_TIME = 0x50
    CERTIFICATE_SIGNATURE = 0x51
    CERTIFICATE_CHAIN = 0x52
    CERTIFICATE_TYPE = 0x53
    CERTIFICATE_FORMAT = 0x54
    CERTIFICATE_CONTENT = 0x55
    CERTIFICATE_SCOPE = 0x56
    CERTIFICATE_INVALID = 0x57
    OWNERSHIP_VERIFICATION_FAILED = 0x58
    CHALLENGE_CALCULATION_FAILED = 0x59
    SESSION_KEY_CREATION_FAILED = 0x5B
    CONFIGURATION_DATA_USAGE_FAILED = 0x5C
    DE_AUTHENTICATION_FAILED = 0x5D
    UPLOAD_DOWNLOAD_NOT_ACCEPTED = 0x70
    TRANSFER_DATA_SUSPENDED = 0x71
    GENERAL_PROGRAMMING_FAILURE = 0x72
    WRONG_BLOCK_SEQUENCE_COUNTER = 0x73
    RESPONSE_PENDING = 0x78
    SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION = 0x7E
    SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION = 0x7F
    VOLTAGE_TOO_HIGH = 0x92
    VOLTAGE_TOO_LOW = 0x93


class Session(IntEnum):
    """Diagnostic session types."""

    DEFAULT = 0x01
    PROGRAMMING = 0x02
    EXTENDED = 0x03
    SAFETY = 0x04


class ResetType(IntEnum):
    """Sub-functions of 0x11."""

    HARD = 0x01
    KEY_OFF_ON = 0x02
    SOFT = 0x03


class CommunicationType(IntEnum):
    """Control types of 0x28; the last two name a node behind the ECU."""

    ENABLE_RX_TX = 0x00
    ENABLE_RX_DISABLE_TX = 0x01
    DISABLE_RX_ENABLE_TX = 0x02
    DISABLE_RX_TX = 0x03
    ENABLE_RX_DISABLE_TX_OF_NODE = 0x04
    ENABLE_RX_TX_OF_NODE = 0x05


OF_NODE = frozenset((CommunicationType.ENABLE_RX_DISABLE_TX_OF_NODE, CommunicationType.ENABLE_RX_TX_OF_NODE))
"""Control types with enhanced address information: a nodeIdentificationNumber follows."""


class RoutineType(IntEnum):
    """Sub-functions of 0x31."""

    START = 0x01
    STOP = 0x02
    RESULTS = 0x03


class DtcSetting(IntEnum):
    """Sub-functions of 0x85."""

    ON = 0x01
    OFF = 0x02


class DecodeError(ValueError):
    """These bytes are not a request of that service: incorrectMessageLengthOrInvalidFormat."""


def need(pdu: bytes, sid: int, length: int, *, more: bool = False) -> None:
    """Check service id and length (`more`: the length is a minimum); `DecodeError`."""
    if not pdu or pdu[0] != sid or len(pdu) < length or (len(pdu) > length and not more):
        raise DecodeError(
            f"not a request 0x{sid:02X} of {length} bytes{' or more' if more else ''}: {pdu[:16].hex(' ')}"
        )


def _sub_function(byte: int) -> tuple[int, bool]:
    return byte & ~SUPPRESS, bool(byte & SUPPRESS)


@dataclass(frozen=True, slots=True)
class DiagnosticSessionControl:
    """Service 0x10: the tester asks for a session."""

    SID: ClassVar[int] = Sid.DIAGNOSTIC_SESSION_CONTROL
    session: int
    suppress: bool = False

    @classmethod
    def decode(cls, pdu: bytes) -> DiagnosticSessionControl:
        """Read 2 bytes."""
        need(pdu, cls.SID, 2)
        return cls(*_sub_function(pdu[1]))


@dataclass(frozen=True, slots=True)
class EcuReset:
    """Service 0x11: the tester asks for a reset."""

    SID: ClassVar[int] = Sid.ECU_RESET
    reset_type: int
    suppress: bool = False

    @classmethod
    def decode(cls, pdu: bytes) -> EcuReset:
        """Read 2 bytes."""
        need(pdu, cls.SID, 2)
        return cls(*_sub_function(pdu[1]))


@dataclass(frozen=True, slots=True)
class ClearDiagnosticInformation:
    """Service 0x14: the tester clears the DTCs of a group (3 bytes, 0xFFFFFF all)."""

    SID: ClassVar[int] = Sid.CLEAR_DIAGNOSTIC_INFORMATION
    group: int

    @classmethod
    def decode(cls, pdu: bytes) -> ClearDiagnosticInformation:
        """Read 4 bytes."""
        need(pdu, cls.SID, 4)
        return cls(int.from_bytes(pdu[1:4], "big"))


@dataclass(frozen=True, slots=True)
class ReadDataByIdentifier:
    """Service 0x22: the tester reads one or more data identifiers."""

    SID: ClassVar[int] = Sid.READ_DATA_BY_IDENTIFIER
    dids: tuple[int, ...]

    @classmethod
    def decode(cls, pdu: bytes) -> ReadDataByIdentifier:
        """Read the service id and one or more pairs of bytes."""
        need(pdu, cls.SID, 3, more=True)
        if len(pdu) % 2 == 0:
            raise DecodeError(f"half a data identifier at the end: {pdu[-2:].hex(' ')}")
        return cls(tuple(int.from_bytes(pdu[i : i + 2], "big") for i in range(1, len(pdu), 2)))


@dataclass(frozen=True, slots=True)
class SecurityAccess:
    """Service 0x27: odd access types request a seed (`data` may come along), even ones send a key."""

    SID: ClassVar[int] = Sid.SECURITY_ACCESS
    access_type: int
    data: bytes
    suppress: bool = False

    @classmethod
    def decode(cls, pdu: bytes) -> SecurityAccess:
        """Read 2 bytes or more."""
        need(pdu, cls.SID, 2, more=True)
        access_type, suppress = _sub_function(pdu[1])
        return cls(access_type, pdu[2:], suppress)


@dataclass(frozen=True, slots=True)
class CommunicationControl:
    """Service 0x28: bits 0-1 of `communication_type` choose the messages; types 0x04 and 0x05 name a `node`."""

    SID: ClassVar[int] = Sid.COMMUNICATION_CONTROL
    control_type: int
    communication_type: int
    suppress: bool = False
    node: int | None = None

    @classmethod
    def decode(cls, pdu: bytes) -> CommunicationControl:
        """Read 3 bytes, and 2 more of a control type with a nodeIdentificationNumber."""
        of_node = len(pdu) > 1 and pdu[1] & ~SUPPRESS in OF_NODE
        need(pdu, cls.SID, 5 if of_node else 3)
        control_type, suppress = _sub_function(pdu[1])
        return cls(control_type, pdu[2], suppress, int.from_bytes(pdu[3:5], "big") if of_node else None)


@dataclass(frozen=True, slots=True)
class WriteDataByIdentifier:
    """Service 0x2E: the tester writes a data identifier."""

    SID: ClassVar[int] = Sid.WRITE_DATA_BY_IDENTIFIER
    did: int
    data: bytes

    @classmethod
    def decode(cls, pdu: bytes) -> WriteDataByIdentifier:
        """Read 4 bytes or more."""
        need(pdu, cls.SID, 4, more=True)
        return cls(int.from_bytes(pdu[1:3], "big"), pdu[3:])


@dataclass(frozen=True, slots=True)
class RoutineControl:
    """Service 0x31: the tester starts or stops a routine or asks for its results."""

    SID: ClassVar[int] = Sid.ROUTINE_CONTROL
    control_type: int
    routine_id: int
    option: bytes
    suppress: bool = False

    @classmethod
    def decode(cls, pdu: bytes) -> RoutineControl:
        """Read 4 bytes or more."""
        need(pdu, cls.SID, 4, more=True)
        control_type, suppress = _sub_function(pdu[1])
        return cls(control_type, int.from_bytes(pdu[2:4], "big"), pdu[4:], suppress)


@dataclass(frozen=True, slots=True)
class MemoryRange:
    """addressAndLengthFormatIdentifier, memoryAddress and memorySize as they stand in 0x34 and in options of 0x31."""

    address_and_length_format: int
    address: int
    size_bytes: int

    @classmethod
    def decode(cls, raw: bytes) -> MemoryRange:
        """Read the format byte and as many bytes as its nibbles say (high: size, low: address)."""
        decoded, rest = cls.split(raw)
        if rest:
            raise DecodeError(f"{len(rest)} bytes behind the range: {raw[:16].hex(' ')}")
        return decoded

    @classmethod
    def split(cls, raw: bytes) -> tuple[MemoryRange, bytes]:
        """Read a range, and return what stands behind it too."""
        if not raw:
            raise DecodeError("no addressAndLengthFormatIdentifier")
        address_bytes, size_bytes = raw[0] & 0xF, raw[0] >> 4
        begin, end = 1 + address_bytes, 1 + address_bytes + size_bytes
        if len(raw) < end:
            raise DecodeError(
                f"format 0x{raw[0]:02X} asks for {address_bytes} + {size_bytes} bytes: {raw[:16].hex(' ')}"
            )
        return cls(raw[0], int.from_bytes(raw[1:begin], "big"), int.from_bytes(raw[begin:end], "big")), raw[end:]

    def encode(self) -> bytes:
        """Return format, address and size as they were read."""
        address_bytes, size_bytes = self.address_and_length_format & 0xF, self.address_and_length_format >> 4
        numbers = self.address.to_bytes(address_bytes, "big") + self.size_bytes.to_bytes(size_bytes, "big")
        return bytes((self.address_and_length_format,)) + numbers


@dataclass(frozen=True, slots=True)
class RequestDownload:
    """Service 0x34: the tester asks to write `memory.size_bytes` at `memory.address`.

    The high nibble of `data_format` names the compression, the low one the encryption, 0 none.
    """

    SID: ClassVar[int] = Sid.REQUEST_DOWNLOAD
    data_format: int
    memory: MemoryRange

    @classmethod
    def decode(cls, pdu: bytes) -> RequestDownload:
        """Read 3 bytes and what the format asks for."""
        need(pdu, cls.SID, 3, more=True)
        return cls(pdu[1], MemoryRange.decode(pdu[2:]))


@dataclass(frozen=True, slots=True)
class TransferData:
    """Service 0x36: one block of a transfer; `counter` is the blockSequenceCounter. An upload's brings no data."""

    SID: ClassVar[int] = Sid.TRANSFER_DATA
    counter: int
    data: bytes

    @classmethod
    def decode(cls, pdu: bytes) -> TransferData:
        """Read 2 bytes or more."""
        need(pdu, cls.SID, 2, more=True)
        return cls(pdu[1], pdu[2:])


@dataclass(frozen=True, slots=True)
class RequestTransferExit:
    """Service 0x37: the tester ends a download."""

    SID: ClassVar[int] = Sid.REQUEST_TRANSFER_EXIT

    @classmethod
    def decode(cls, pdu: bytes) -> RequestTransferExit:
        """Read 1 byte."""
        need(pdu, cls.SID, 1)
        return cls()


@dataclass(frozen=True, slots=True)
class TesterPresent:
    """Service 0x3E: the tester is there; `zero` is the sub-function, always 0."""

    SID: ClassVar[int] = Sid.TESTER_PRESENT
    zero: int = 0
    suppress: bool = False

    @classmethod
    def decode(cls, pdu: bytes) -> TesterPresent:
        """Read 2 bytes."""
        need(pdu, cls.SID, 2)
        return cls(*_sub_function(pdu[1]))


@dataclass(frozen=True, slots=True)
class ControlDtcSetting:
    """Service 0x85: the tester stops or resumes the setting of DTCs."""

    SID: ClassVar[int] = Sid.CONTROL_DTC_SETTING
    setting: int
    suppress: bool = False

    @classmethod
    def decode(cls, pdu: bytes) -> ControlDtcSetting:
        """Read 2 bytes (no DTCSettingControlOptionRecord)."""
        need(pdu, cls.SID, 2)
        return cls(*_sub_function(pdu[1]))


DECODERS: Mapping[int, Callable[[bytes], Any]] = {
    request.SID: request.decode
    for request in (
        DiagnosticSessionControl, EcuReset, ClearDiagnosticInformation, ReadDataByIdentifier, SecurityAccess,
        CommunicationControl, WriteDataByIdentifier, RoutineControl, RequestDownload, TransferData,
        RequestTransferExit, TesterPresent, ControlDtcSetting,
    )
}  # fmt: skip
"""How each service of this module is read; `bench.wire.uds_services` has them all."""

WITH_SUB_FUNCTION = (
    Sid.DIAGNOSTIC_SESSION_CONTROL, Sid.ECU_RESET, Sid.READ_DTC_INFORMATION, Sid.SECURITY_ACCESS,
    Sid.COMMUNICATION_CONTROL, Sid.AUTHENTICATION, Sid.ROUTINE_CONTROL, Sid.TESTER_PRESENT, Sid.CONTROL_DTC_SETTING,
)  # fmt: skip
"""Services whose second byte is a sub-function with the suppress bit."""


def positive(sid: int, *parts: bytes) -> bytes:
    """Return the positive response of a service."""
    return bytes((sid + POSITIVE,)) + b"".join(parts)


def negative(sid: int, nrc: int) -> bytes:
    """Return the negative response of a service."""
    return bytes((NEGATIVE, sid, nrc))


def session_response(session: int, p2_ms: int, p2_star_ms: int) -> bytes:
    """Return the answer to 0x10: P2 in milliseconds, P2* in units of 10 ms."""
    timing = p2_ms.to_bytes(2, "big") + (p2_star_ms // 10).to_bytes(2, "big")
    return positive(Sid.DIAGNOSTIC_SESSION_CONTROL, bytes((session,)), timing)


def download_response(max_block_length: int, sid: int = Sid.REQUEST_DOWNLOAD) -> bytes:
    """Return the answer to 0x34 or 0x35: maxNumberOfBlockLength (with SID and counter) in two bytes, or in four."""
    length_bytes = 2 if max_block_length <= 0xFFFF else 4
    length = max_block_length.to_bytes(length_bytes, "big")
    return positive(sid, bytes((length_bytes << 4,)), length)


def routine_response(control_type: int, routine_id: int, status: bytes) -> bytes:
    """Return the answer to 0x31 with its routineStatusRecord."""
    return positive(Sid.ROUTINE_CONTROL, bytes((control_type,)), routine_id.to_bytes(2, "big"), status)


def data_response(did: int, value: bytes) -> bytes:
    """Return one DID and its value, as they stand in the answer to 0x22."""
    return did.to_bytes(2, "big") + value
