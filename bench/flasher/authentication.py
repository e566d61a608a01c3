"""Authentication by certificate (0x29): the tester proves who he is, and lets the ECU prove who it is."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from bench.config import MAX_FILE_BYTES, read_bytes
from bench.core.clock import date_of
from bench.core.errors import InputError
from bench.flasher.authentication_services import (
    ServerSays,
    configuration,
    proof_of_ownership,
    verify_certificate,
)
from bench.flasher.context import FlashContext
from bench.flasher.errors import AuthenticationFailed, ProtocolViolation
from bench.flasher.recipe_security import Authentication
from bench.wire.certificates import (
    CHALLENGE_BYTES,
    SERVER,
    CertificateRefused,
    Credential,
    Demands,
    derived_authority,
    derived_credential,
    signed_by,
    statement_of_ecu,
    statement_of_tester,
    verify_chain,
)

WITH_CERTIFICATES, CERTIFICATE_VERIFIED, COMPLETE = 0x02, 0x11, 0x12
"""authenticationReturnParameter (ISO 14229-1, annex B.5)."""
SHORTEST_CHALLENGE_BYTES = 16


@dataclass(frozen=True, slots=True)
class Identity:
    """The tester's own credential, and the authority that an ECU's certificate must come from."""

    credential: Credential
    authority: x509.Certificate


async def authenticate(ctx: FlashContext) -> None:
    """29 08, then 29 01 or 29 02 with the tester's certificate, then 29 03 with his signature.

    UdsError; AuthenticationFailed when the ECU wants another kind, or (bidirectional) does not prove who it is.
    """
    rules = ctx.recipe.authentication
    assert rules is not None, "the recipe was checked: the step has its table"
    identity = load_identity(rules)
    offered = await ctx.client.call(configuration())
    # 0x29 08 first: a certificate sent to an ECU that expects ACR is refused in a way that says nothing (ISO
    # 14229-1:2020, 10.6, from memory).
    if offered.result != WITH_CERTIFICATES:
        what = f"the ECU authenticates by 0x{offered.result:02X}, the recipe by certificates (0x02, APCE)"
        raise AuthenticationFailed("OTHER_AUTHENTICATION", what)
    bidirectional = rules.mode == "bidirectional"
    own = _challenge(ctx, identity.credential) if bidirectional else b""
    chain = identity.credential.chain
    call = verify_certificate(chain, own, rules.communication_configuration, bidirectional=bidirectional)
    # The newest answer: a challenge of a request that was repeated is void, and a proof over it is counted as a forged
    # one.
    said = await ctx.client.call_newest(call)
    _expect(said, CERTIFICATE_VERIFIED)
    if len(said.challenge) < SHORTEST_CHALLENGE_BYTES:
        raise ProtocolViolation(f"0x29: a challenge of {len(said.challenge)} bytes proves nothing")
    # Before our own proof: who cannot prove to be the ECU gets no signature of the tester that he could pass on.
    if bidirectional:
        _check_ecu(ctx, said, identity.authority, own)
    proof = identity.credential.sign(statement_of_tester(said.challenge, own))
    _expect(await ctx.client.call(proof_of_ownership(proof)), COMPLETE)


def _expect(said: ServerSays, result: int) -> None:
    if said.result != result:
        raise ProtocolViolation(f"0x29: return parameter 0x{said.result:02X} instead of 0x{result:02X}")


def _challenge(ctx: FlashContext, credential: Credential) -> bytes:
    """Return a challenge that nobody without the tester's key can foretell and that no two instants share.

    Made from the key, the ECU and the job's clock (nanoseconds), so that a simulated run repeats.
    """
    seen = f"0x29 challenge {ctx.job.ecu} {ctx.started_ns} {ctx.clock.now_ns()}".encode()
    return hmac.digest(credential.key.private_bytes_raw(), seen, "sha256")[:CHALLENGE_BYTES]


def _check_ecu(ctx: FlashContext, said: ServerSays, authority: x509.Certificate, own: bytes) -> None:
    """Verify the ECU's chain at the run's date (in real time: this machine's) and its signature on the challenges."""
    at = date_of(ctx.clock)
    demands = Demands(authority=authority, at=at, purpose=SERVER)
    try:
        key = verify_chain(said.chain, demands)
    except CertificateRefused as refused:
        raise AuthenticationFailed("ECU_CERTIFICATE", f"the ECU's certificate is refused: {refused}") from None
    if not signed_by(key, said.proof, statement_of_ecu(own, said.challenge)):
        raise AuthenticationFailed("ECU_OWNERSHIP", "the ECU did not sign the tester's challenge with its key")


# Where the tester's certificate comes from ----------------------------------------------------------


def load_identity(rules: Authentication) -> Identity:
    """Return certificate, key and authority of a recipe; AuthenticationFailed when a file cannot be used."""
    if rules.certificate_name is not None:
        return Identity(derived_credential(rules.certificate_name), derived_authority(rules.authority))
    assert rules.certificate_file is not None, "the recipe was checked"
    assert rules.key_file is not None, "the recipe was checked"
    certificates = _certificates(rules.certificate_file)
    key = _key(rules.key_file)
    # Found here: the ECU would say 0x58 (ownership), as it does to a forger.
    if certificates[0].public_key() != key.public_key():
        raise AuthenticationFailed("CREDENTIAL_FILE", f"{rules.key_file} is not the key of {rules.certificate_file}")
    chain = b"".join(certificate.public_bytes(Encoding.DER) for certificate in certificates)
    authority = certificates[-1] if rules.authority_file is None else _certificates(rules.authority_file)[0]
    return Identity(Credential(chain, key), authority)


def _read(file: str, what: str) -> bytes:
    try:
        return read_bytes(Path(file), limit_bytes=MAX_FILE_BYTES, what=what)
    except InputError as error:
        raise AuthenticationFailed("CREDENTIAL_FILE", f"{file}: {error.problem}") from None


def _certificates(file: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_read(file, "the certificate"))
    except ValueError:
        raise AuthenticationFailed("CREDENTIAL_FILE", f"{file} holds no PEM certificate") from None


def _key(file: str) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(_read(file, "the key"), None)
    except (ValueError, TypeError):
        raise AuthenticationFailed("CREDENTIAL_FILE", f"{file} holds no PEM key without a password") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise AuthenticationFailed("CREDENTIAL_FILE", f"{file} holds another key than Ed25519")
    return key
