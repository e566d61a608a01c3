"""Authentication (0x29) with certificates: who may program is told by a chain of certificates and a signature.

One challenge serves one proof: it is forgotten when it was used, right or wrong, and with every session. What was
authenticated holds until the next 0x10, reset or deAuthenticate.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.core.clock import NS_PER_MS, date_of
from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.world import World
from bench.wire.certificates import (
    CHALLENGE_BYTES,
    SERVER,
    TESTER,
    CertificateRefused,
    Credential,
    Demands,
    Reason,
    derived_authority,
    derived_credential,
    signed_by,
    statement_of_ecu,
    statement_of_tester,
    verify_chain,
)
from bench.wire.uds import Nrc
from bench.wire.uds_authentication import Authentication, AuthenticationTask, ReturnParameter, authentication_response
from ecu_sim.personality.sections import AuthenticationRules
from ecu_sim.uds.services import Answer, Refused
from ecu_sim.uds.sessions import SessionState

CODES: Mapping[Reason, Nrc] = {
    Reason.TIME: Nrc.CERTIFICATE_TIME,
    Reason.SIGNATURE: Nrc.CERTIFICATE_SIGNATURE,
    Reason.CHAIN: Nrc.CERTIFICATE_CHAIN,
    Reason.TYPE: Nrc.CERTIFICATE_TYPE,
    Reason.FORMAT: Nrc.CERTIFICATE_FORMAT,
    Reason.CONTENT: Nrc.CERTIFICATE_CONTENT,
    Reason.SCOPE: Nrc.CERTIFICATE_SCOPE,
    Reason.REVOKED: Nrc.CERTIFICATE_INVALID,
}
SHORTEST_CHALLENGE_BYTES = 16
Task = Callable[[Authentication], Awaitable[Answer]]


class AuthenticationLock:
    """The lock of one life that certificates open."""

    def __init__(self, life: Incarnation, world: World, rules: AuthenticationRules, state: SessionState) -> None:
        self._life, self._world, self._rules, self._state = life, world, rules, state
        self._pending: tuple[Ed25519PublicKey, bytes, bytes] | None = None
        """The tester's key, the ECU's challenge and the tester's, between certificate and proof."""
        state.on_change(self._forget)

    def state(self, now_ns: int) -> State:
        """Return whose proof is waited for, and the challenges."""
        del now_ns
        return () if self._pending is None else (self._pending[0].public_bytes_raw(), *self._pending[1:])

    def tasks(self) -> dict[int, Task]:
        """Return the sub-functions that this ECU has; without a certificate of its own it proves nothing itself."""
        tasks: dict[int, Task] = {
            AuthenticationTask.DE_AUTHENTICATE: self._de_authenticate,
            AuthenticationTask.VERIFY_CERTIFICATE_UNIDIRECTIONAL: self._unidirectional,
            AuthenticationTask.PROOF_OF_OWNERSHIP: self._proof,
            AuthenticationTask.AUTHENTICATION_CONFIGURATION: self._configuration,
        }
        if self._rules.certificate_name is not None:
            tasks[AuthenticationTask.VERIFY_CERTIFICATE_BIDIRECTIONAL] = self._bidirectional
        return tasks

    async def serve(self, request: Authentication) -> Answer:
        """Serve 0x29; the sub-function was checked."""
        return await self.tasks()[request.task](request)

    async def _unidirectional(self, request: Authentication) -> Answer:
        challenge = await self._certificate_verified(request)
        return self._answer(request, ReturnParameter.CERTIFICATE_VERIFIED, challenge, b"")

    async def _bidirectional(self, request: Authentication) -> Answer:
        client_challenge = request.fields[1]
        # A short challenge can be tried out: an ECU that signs it can be made to answer from a list.
        if len(client_challenge) < SHORTEST_CHALLENGE_BYTES:
            raise Refused(Nrc.CHALLENGE_CALCULATION_FAILED)
        challenge = await self._certificate_verified(request)
        own = self._credential()
        proof = own.sign(statement_of_ecu(client_challenge, challenge))
        return self._answer(request, ReturnParameter.CERTIFICATE_VERIFIED, challenge, own.chain, proof, b"")

    def _credential(self) -> Credential:
        assert self._rules.certificate_name is not None, "asked only of an ECU with a certificate"
        return derived_credential(self._rules.certificate_name, SERVER)

    async def _certificate_verified(self, request: Authentication) -> bytes:
        """Verify the tester's chain on the run's clock and return a fresh challenge."""
        # A new certificate voids the challenge of the one before: its proof would else open the lock for another key.
        self._forget()
        if request.communication_configuration:
            raise Refused(Nrc.CONFIGURATION_DATA_USAGE_FAILED)
        # Verifying takes an ECU some 100 ms without a crypto unit: longer than P2, so the tester sees 0x78.
        await self._life.sleep_ns(self._rules.verify_ms * NS_PER_MS)
        demands = Demands(
            authority=derived_authority(self._rules.authority), at=date_of(self._life), purpose=TESTER,
            role=self._rules.role, revoked=self._rules.revoked,
        )  # fmt: skip
        try:
            key = verify_chain(request.fields[0], demands)
        except CertificateRefused as refused:
            raise Refused(CODES[refused.reason]) from None
        challenge = self._world.seeds.draw(self._life.part, "authentication challenge", CHALLENGE_BYTES)
        self._pending = key, challenge, request.fields[1]
        return challenge

    async def _proof(self, request: Authentication) -> Answer:
        """Check the tester's signature over the challenge, which counts once."""
        if self._pending is None:
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        key, challenge, client_challenge = self._pending
        # Before the signature is looked at: one challenge, one try (ISO 14229-1:2020, 10.6, from memory).
        self._forget()
        signature, ephemeral_key = request.fields
        if ephemeral_key:
            raise Refused(Nrc.SESSION_KEY_CREATION_FAILED)
        await self._life.sleep_ns(self._rules.verify_ms * NS_PER_MS)
        if not signed_by(key, signature, statement_of_tester(challenge, client_challenge)):
            raise Refused(Nrc.OWNERSHIP_VERIFICATION_FAILED)
        self._state.authenticated = True
        return self._answer(request, ReturnParameter.AUTHENTICATED, b"")

    async def _de_authenticate(self, request: Authentication) -> Answer:
        self._forget()
        if not self._state.authenticated:
            raise Refused(Nrc.DE_AUTHENTICATION_FAILED)
        self._state.authenticated = False
        return self._answer(request, ReturnParameter.DE_AUTHENTICATED)

    async def _configuration(self, request: Authentication) -> Answer:
        return self._answer(request, ReturnParameter.CONFIGURATION_APCE)

    def _answer(self, request: Authentication, parameter: ReturnParameter, *fields: bytes) -> Answer:
        return Answer(authentication_response(request.task, parameter, *fields))

    def _forget(self) -> None:
        self._pending = None
