"""Service 0x29 with certificates (ISO 14229-1:2020, APCE), the ECU's half: requests as values, responses as bytes."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import ClassVar

from bench.wire.uds import SUPPRESS, DecodeError, Sid, positive

LENGTH_BYTES = 2


class AuthenticationTask(IntEnum):
    """Sub-functions of 0x29; those of challenge and response without certificates (ACR) are not served."""

    DE_AUTHENTICATE = 0x00
    VERIFY_CERTIFICATE_UNIDIRECTIONAL = 0x01
    VERIFY_CERTIFICATE_BIDIRECTIONAL = 0x02
    PROOF_OF_OWNERSHIP = 0x03
    TRANSMIT_CERTIFICATE = 0x04
    REQUEST_CHALLENGE = 0x05
    VERIFY_PROOF_UNIDIRECTIONAL = 0x06
    VERIFY_PROOF_BIDIRECTIONAL = 0x07
    AUTHENTICATION_CONFIGURATION = 0x08


class ReturnParameter(IntEnum):
    """authenticationReturnParameter (annex B.5)."""

    CONFIGURATION_APCE = 0x02
    DE_AUTHENTICATED = 0x10
    CERTIFICATE_VERIFIED = 0x11
    """Certificate verified, ownership verification necessary."""
    AUTHENTICATED = 0x12
    """Ownership verified, authentication complete."""


@dataclass(frozen=True, slots=True)
class Authentication:
    """Service 0x29: a task and its fields, in the standard's order (see `fields_of`)."""

    SID: ClassVar[int] = Sid.AUTHENTICATION
    task: int
    communication_configuration: int = 0
    fields: tuple[bytes, ...] = ()
    suppress: bool = False

    @classmethod
    def decode(cls, pdu: bytes) -> Authentication:
        """Read 2 bytes, then what the task asks for; exactly."""
        if len(pdu) < 2 or pdu[0] != cls.SID:
            raise DecodeError(f"not a request 0x29 of 2 bytes or more: {pdu[:16].hex(' ')}")
        task, suppress = pdu[1] & ~SUPPRESS, bool(pdu[1] & SUPPRESS)
        with_configuration, count = _FORMS.get(task, (False, 0))
        if with_configuration and len(pdu) < 3:
            raise DecodeError("communicationConfiguration is missing")
        configuration, at = (pdu[2], 3) if with_configuration else (0, 2)
        fields: list[bytes] = []
        for _ in range(count):
            field, at = _field(pdu, at)
            fields.append(field)
        if at != len(pdu):
            raise DecodeError(f"{len(pdu) - at} bytes too many")
        return cls(task, configuration, tuple(fields), suppress)


_FORMS: dict[int, tuple[bool, int]] = {
    AuthenticationTask.VERIFY_CERTIFICATE_UNIDIRECTIONAL: (True, 2),
    AuthenticationTask.VERIFY_CERTIFICATE_BIDIRECTIONAL: (True, 2),
    AuthenticationTask.PROOF_OF_OWNERSHIP: (False, 2),
}
"""Whether communicationConfiguration stands there, and how many fields follow.

0x01, 0x02: certificateClient, challengeClient. 0x03: proofOfOwnershipClient, ephemeralPublicKeyClient.
"""


def _field(pdu: bytes, at: int) -> tuple[bytes, int]:
    """Read two bytes of length and as many bytes; return them and where the next field begins."""
    begin = at + LENGTH_BYTES
    length = int.from_bytes(pdu[at:begin], "big")
    if len(pdu) < begin + length:
        raise DecodeError(f"a field of {length} bytes is cut off")
    return pdu[begin : begin + length], begin + length


def authentication_response(task: int, parameter: ReturnParameter, *fields: bytes) -> bytes:
    """Return the answer to 0x29: task, return parameter, then each field behind its length."""
    written = b"".join(len(field).to_bytes(LENGTH_BYTES, "big") + field for field in fields)
    return positive(Sid.AUTHENTICATION, bytes((task, parameter)), written)
