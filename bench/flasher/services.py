"""UDS requests and answers as values; bytes by udsoncan's service classes (the ECU side has a codec of its own, D5).

A `Call` is one request: its bytes, what a positive answer repeats of it, and how the answer is read.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Generic, TypeVar

from udsoncan import DataFormatIdentifier, MemoryLocation, services
from udsoncan.exceptions import ConfigError, InvalidResponseException
from udsoncan.Request import Request
from udsoncan.Response import Response

from bench.flasher.errors import ProtocolViolation
from bench.wire.transfer_format import STANDARD, TransferFormat
from bench.wire.uds import ResetType

Value = TypeVar("Value", covariant=True)
Interpret = Callable[[Any], Any]

POSITIVE = 0x40
"""Added to the service id in a positive answer."""
NEGATIVE = 0x7F
DISABLE_RX_AND_TX, ENABLE_RX_AND_TX = 0x03, 0x00
NORMAL_COMMUNICATION = 0x01
DTC_SETTING_ON, DTC_SETTING_OFF = 0x01, 0x02
ALL_DTCS = 0xFF_FFFF


@dataclass(frozen=True, slots=True)
class Call(Generic[Value]):
    """One request; `echo` is what must follow the service id of the positive answer."""

    payload: bytes
    echo: bytes
    read: Callable[[Any], Value]

    @property
    def sid(self) -> int:
        """Return the service id."""
        return self.payload[0]

    @property
    def expected(self) -> bytes:
        """Return how the positive answer begins."""
        return bytes((self.sid + POSITIVE,)) + self.echo

    def decode(self, answer: bytes) -> Value:
        """Read a positive answer; `ProtocolViolation` when it is malformed."""
        try:
            return self.read(_response(answer))
        except (InvalidResponseException, ConfigError, NotImplementedError, ValueError, struct.error) as error:
            raise ProtocolViolation(f"malformed answer {_head(answer)}: {error}") from None


@dataclass(frozen=True, slots=True)
class SessionTiming:
    """What the ECU tells of itself when it enters a session (0x10)."""

    p2_ms: int
    p2_star_ms: int


def session_control(session: int) -> Call[SessionTiming]:
    """0x10: enter a diagnostic session."""

    def read(response: Any) -> SessionTiming:
        data = services.DiagnosticSessionControl.interpret_response(response).service_data
        # On the wire P2 counts milliseconds and P2* tens of them (ISO 14229-1, 0x10): udsoncan gives seconds for both.
        return SessionTiming(round(data.p2_server_max * 1000), round(data.p2_star_server_max * 1000))

    return Call(_bytes(services.DiagnosticSessionControl.make_request(session)), bytes((session,)), read)


def ecu_reset(kind: ResetType = ResetType.HARD) -> Call[None]:
    """0x11: reset the ECU."""
    request = services.ECUReset.make_request(kind)
    return Call(_bytes(request), bytes((kind,)), _checked(services.ECUReset.interpret_response))


def request_seed(level: int) -> Call[bytes]:
    """0x27, odd level: ask for a seed; all zeros mean that the level is open already."""
    mode = services.SecurityAccess.Mode.RequestSeed

    def read(response: Any) -> bytes:
        return bytes(services.SecurityAccess.interpret_response(response, mode).service_data.seed)

    return Call(_bytes(services.SecurityAccess.make_request(level, mode)), bytes((level,)), read)


def send_key(level: int, key: bytes) -> Call[None]:
    """0x27, even level: answer the seed of `level` (the odd one)."""
    mode = services.SecurityAccess.Mode.SendKey
    request = services.SecurityAccess.make_request(level, mode, key)

    def interpret(response: Any) -> Any:
        return services.SecurityAccess.interpret_response(response, mode)

    return Call(_bytes(request), bytes((level + 1,)), _checked(interpret))


def read_did(did: int) -> Call[bytes]:
    """0x22: read one data identifier; the value's length is whatever came."""

    def read(response: Any) -> bytes:
        config = {did: f"{len(response.data) - 2}s"}
        values = services.ReadDataByIdentifier.interpret_response(response, [did], config).service_data.values
        return bytes(values[did][0])

    return Call(_bytes(services.ReadDataByIdentifier.make_request([did], None)), did.to_bytes(2, "big"), read)


def write_did(did: int, data: bytes) -> Call[None]:
    """0x2E: write one data identifier."""
    request = services.WriteDataByIdentifier.make_request(did, data, {did: f"{len(data)}s"})
    return Call(_bytes(request), did.to_bytes(2, "big"), _checked(services.WriteDataByIdentifier.interpret_response))


def start_routine(routine_id: int, option: bytes = b"") -> Call[bytes]:
    """0x31 01: start a routine; returns its status record."""
    start = services.RoutineControl.ControlType.startRoutine
    request = services.RoutineControl.make_request(routine_id, start, option)

    def read(response: Any) -> bytes:
        return bytes(services.RoutineControl.interpret_response(response).service_data.routine_status_record)

    return Call(_bytes(request), bytes((start,)) + routine_id.to_bytes(2, "big"), read)


def erase_option(address: int, length_bytes: int, transfer: TransferFormat = STANDARD) -> bytes:
    """Return a range as it stands in the option record of a routine: format, address and length."""
    return transfer.range(address, length_bytes)


def request_download(
    address: int, size_bytes: int, data_format: int = 0, transfer: TransferFormat = STANDARD
) -> Call[int]:
    """0x34; returns maxNumberOfBlockLength (service id and counter count).

    `size_bytes` is the unpacked size, `data_format` the dataFormatIdentifier (high nibble compression), `transfer`
    says how wide address and size are.
    """
    identifier = DataFormatIdentifier(data_format >> 4, data_format & 0xF)
    place = _place(address, size_bytes, transfer)
    request = services.RequestDownload.make_request(place, identifier)

    def read(response: Any) -> int:
        return int(services.RequestDownload.interpret_response(response).service_data.max_length)

    return Call(_bytes(request), b"", read)


def transfer_data(counter: int, data: bytes) -> Call[None]:
    """0x36: one block."""
    request = services.TransferData.make_request(counter, data)
    return Call(_bytes(request), bytes((counter,)), _checked(services.TransferData.interpret_response))


def clear_dtcs(group: int = ALL_DTCS) -> Call[None]:
    """0x14: clear the diagnostic trouble codes of a group."""
    request = services.ClearDiagnosticInformation.make_request(group)
    return Call(_bytes(request), b"", _checked(services.ClearDiagnosticInformation.interpret_response))


def read_dtcs(status_mask: int) -> Call[tuple[int, ...]]:
    """0x19 02: the DTCs of which a bit of their status is in the mask, by number."""
    by_mask = services.ReadDTCInformation.Subfunction.reportDTCByStatusMask
    request = services.ReadDTCInformation.make_request(by_mask, status_mask=status_mask)

    def read(response: Any) -> tuple[int, ...]:
        found = services.ReadDTCInformation.interpret_response(response, by_mask).service_data.dtcs
        # An ECU may list a DTC whatever the mask asks for; its status says whether it belongs here.
        return tuple(sorted(int(dtc.id) for dtc in found if dtc.status.get_byte_as_int() & status_mask))

    return Call(_bytes(request), bytes((by_mask,)), read)


def transfer_exit() -> Call[bytes]:
    """0x37: the transfer is complete; returns what the ECU says of it (transferResponseParameterRecord)."""
    request = services.RequestTransferExit.make_request()

    def read(response: Any) -> bytes:
        return bytes(services.RequestTransferExit.interpret_response(response).service_data.parameter_records)

    return Call(_bytes(request), b"", read)


def tester_present() -> Call[None]:
    """0x3E: keep the session, answered."""
    request = services.TesterPresent.make_request()
    return Call(_bytes(request), b"\x00", _checked(services.TesterPresent.interpret_response))


def read_memory(address: int, size_bytes: int, transfer: TransferFormat = STANDARD) -> Call[bytes]:
    """0x23: read memory."""
    request = services.ReadMemoryByAddress.make_request(_place(address, size_bytes, transfer))

    def read(response: Any) -> bytes:
        return bytes(services.ReadMemoryByAddress.interpret_response(response).service_data.memory_block)

    return Call(_bytes(request), b"", read)


def request_upload(address: int, size_bytes: int, transfer: TransferFormat = STANDARD) -> Call[int]:
    """0x35, not packed; returns maxNumberOfBlockLength (service id and counter count)."""
    request = services.RequestUpload.make_request(_place(address, size_bytes, transfer))

    def read(response: Any) -> int:
        return int(services.RequestUpload.interpret_response(response).service_data.max_length)

    return Call(_bytes(request), b"", read)


def upload_data(counter: int) -> Call[bytes]:
    """0x36 of an upload: ask for one block."""
    request = services.TransferData.make_request(counter)

    def read(response: Any) -> bytes:
        return bytes(services.TransferData.interpret_response(response).service_data.parameter_records)

    return Call(_bytes(request), bytes((counter,)), read)


def _place(address: int, size_bytes: int, transfer: TransferFormat) -> MemoryLocation:
    return MemoryLocation(address, size_bytes, 8 * transfer.address_bytes, 8 * transfer.size_bytes)


def _response(answer: bytes) -> Response:
    """Return udsoncan's response; how one of this service begins is looked up once (by reflection, which is slow)."""
    if len(answer) < 2:
        return Response.from_payload(answer)
    response = copy(_beginning(answer[:1]))
    response.data, response.original_payload = answer[1:], answer
    return response


@lru_cache(maxsize=256)
def _beginning(sid: bytes) -> Response:
    return Response.from_payload(sid + b"\x00")


# Functional requests: no positive answer, hence bytes only ------------------------------------------


def functional_session(session: int) -> bytes:
    """0x10 to everybody, answer suppressed."""
    return _bytes(services.DiagnosticSessionControl.make_request(session), suppress=True)


def functional_communication(control_type: int) -> bytes:
    """0x28 of normal communication to everybody, answer suppressed."""
    request = services.CommunicationControl.make_request(control_type, NORMAL_COMMUNICATION)
    return _bytes(request, suppress=True)


def functional_dtc_setting(setting: int) -> bytes:
    """0x85 to everybody, answer suppressed."""
    return _bytes(services.ControlDTCSetting.make_request(setting), suppress=True)


def functional_tester_present() -> bytes:
    """0x3E to everybody, answer suppressed: sessions do not run out (S3)."""
    return _bytes(services.TesterPresent.make_request(), suppress=True)


def _bytes(request: Request, *, suppress: bool = False) -> bytes:
    return bytes(request.get_payload(suppress_positive_response=True) if suppress else request.get_payload())


def _checked(interpret: Interpret) -> Callable[[Any], None]:
    """Return a reader that only checks the form of the answer."""

    def read(response: Any) -> None:
        interpret(response)

    return read


def _head(payload: bytes) -> str:
    return f"{payload[:8].hex(' ')}{' ...' if len(payload) > 8 else ''}"
