"""Authentication by certificate (0x29): the tester proves who he is, and lets the ECU prove who it is."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any

from bench.flasher.authentication_services import (
    ServerSays,
    configuration,
    proof_of_ownership,
    verify_certificate,
)
from bench.flasher.credentials import Identity
from bench.flasher.errors import AuthenticationFailed, ProtocolViolation
from bench.flasher.recipe_security import Authentication
from bench.flasher.task import At, Task, Turn
from bench.wire.certificates import (
    CHALLENGE_BYTES,
    SERVER,
    CertificateRefused,
    Demands,
    signed_by,
    statement_of_ecu,
    statement_of_tester,
    verify_chain,
)

WITH_CERTIFICATES, CERTIFICATE_VERIFIED, COMPLETE = 0x02, 0x11, 0x12
"""authenticationReturnParameter (ISO 14229-1, annex B.5)."""
SHORTEST_CHALLENGE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Authenticate(Task):
    """29 08, then 29 01 or 29 02 with the tester's certificate, then 29 03 with his signature.

    UdsError; AuthenticationFailed when the ECU wants another kind, or (bidirectional) does not prove who it is.
    """

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        # 0x29 08 first: a certificate sent to an ECU that expects ACR is refused in a way that says nothing (ISO
        # 14229-1:2020, 10.6, from memory).
        return at.request(self, configuration())

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        if value.result != WITH_CERTIFICATES:
            what = f"the ECU authenticates by 0x{value.result:02X}, the recipe by certificates (0x02, APCE)"
            return at.fail(AuthenticationFailed("OTHER_AUTHENTICATION", what))
        bidirectional = _rules(at).mode == "bidirectional"
        return at.over(_ShowCertificate(_challenge(at) if bidirectional else b""))


@dataclass(frozen=True, slots=True)
class _ShowCertificate(Task):
    """29 01, or 29 02 with a challenge of our own."""

    challenge: bytes

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        chain, configured = _identity(at).credential.chain, _rules(at).communication_configuration
        call = verify_certificate(chain, self.challenge, configured, bidirectional=bool(self.challenge))
        # The newest answer: a challenge of a request that was repeated is void, and a proof over it is counted as a
        # forged one.
        return at.request(self, call, newest=True)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        _expect(value, CERTIFICATE_VERIFIED)
        if len(value.challenge) < SHORTEST_CHALLENGE_BYTES:
            raise ProtocolViolation(f"0x29: a challenge of {len(value.challenge)} bytes proves nothing")
        # Before our own proof: who cannot prove to be the ECU gets no signature of the tester that he could pass on.
        if self.challenge:
            _check_ecu(at, value, self.challenge)
        proof = _identity(at).credential.sign(statement_of_tester(value.challenge, self.challenge))
        return at.over(_ProveOwnership(proof))


@dataclass(frozen=True, slots=True)
class _ProveOwnership(Task):
    """29 03."""

    proof: bytes

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, proof_of_ownership(self.proof))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        _expect(value, COMPLETE)
        return at.over()


def _rules(at: At) -> Authentication:
    assert at.recipe.authentication is not None, "the recipe was checked: the step has its table"
    return at.recipe.authentication


def _identity(at: At) -> Identity:
    assert at.plan.identity is not None, "it was read before the job began"
    return at.plan.identity


def _expect(said: ServerSays, result: int) -> None:
    if said.result != result:
        raise ProtocolViolation(f"0x29: return parameter 0x{said.result:02X} instead of 0x{result:02X}")


def _challenge(at: At) -> bytes:
    """Return a challenge that nobody without the tester's key can foretell and that no two instants share.

    Made from the key, the ECU and the job's clock (nanoseconds), so that a simulated run repeats.
    """
    seen = f"0x29 challenge {at.plan.ecu} {at.plan.started_ns} {at.now_ns}".encode()
    return hmac.digest(_identity(at).credential.key.private_bytes_raw(), seen, "sha256")[:CHALLENGE_BYTES]


def _check_ecu(at: At, said: ServerSays, own: bytes) -> None:
    """Verify the ECU's chain at the run's date (in real time: this machine's) and its signature on the challenges."""
    demands = Demands(authority=_identity(at).authority, at=at.date, purpose=SERVER)
    try:
        key = verify_chain(said.chain, demands)
    except CertificateRefused as refused:
        raise AuthenticationFailed("ECU_CERTIFICATE", f"the ECU's certificate is refused: {refused}") from None
    if not signed_by(key, said.proof, statement_of_ecu(own, said.challenge)):
        raise AuthenticationFailed("ECU_OWNERSHIP", "the ECU did not sign the tester's challenge with its key")
