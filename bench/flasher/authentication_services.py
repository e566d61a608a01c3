"""Service 0x29 with certificates, the tester's half: bytes by udsoncan's service class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from udsoncan import services

from bench.flasher.services import Call

_SERVICE = services.Authentication
_TASKS = _SERVICE.AuthenticationTask


@dataclass(frozen=True, slots=True)
class ServerSays:
    """What the ECU answers; fields that the task does not have are empty. `result` is the return parameter."""

    result: int
    challenge: bytes = b""
    chain: bytes = b""
    proof: bytes = b""


def configuration() -> Call[ServerSays]:
    """29 08: which kind of authentication the ECU has."""
    return _call(_TASKS.authenticationConfiguration)


def verify_certificate(chain: bytes, challenge: bytes, configured: int, *, bidirectional: bool) -> Call[ServerSays]:
    """29 01 or 29 02: show the tester's certificate (with a challenge of his own, in the bidirectional kind)."""
    task = _TASKS.verifyCertificateBidirectional if bidirectional else _TASKS.verifyCertificateUnidirectional
    return _call(
        task, communication_configuration=configured, certificate_client=chain, challenge_client=challenge or None
    )


def proof_of_ownership(proof: bytes) -> Call[ServerSays]:
    """29 03: sign the ECU's challenge; no session key is asked for."""
    return _call(_TASKS.proofOfOwnership, proof_of_ownership_client=proof)


def _call(task: int, **fields: Any) -> Call[ServerSays]:
    def read(response: Any) -> ServerSays:
        data = _SERVICE.interpret_response(response).service_data
        return ServerSays(
            data.return_value,
            bytes(data.challenge_server or b""),
            bytes(data.certificate_server or b""),
            bytes(data.proof_of_ownership_server or b""),
        )

    return Call(bytes(_SERVICE.make_request(task, **fields).get_payload()), bytes((task,)), read)
