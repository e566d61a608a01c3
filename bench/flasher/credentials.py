"""Where the tester's certificate and key come from (0x29)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from bench.config import MAX_FILE_BYTES, read_bytes
from bench.core.errors import InputError
from bench.flasher.errors import AuthenticationFailed
from bench.flasher.recipe_security import Authentication
from bench.wire.certificates import Credential, derived_authority, derived_credential


@dataclass(frozen=True, slots=True)
class Identity:
    """The tester's own credential, and the authority that an ECU's certificate must come from."""

    credential: Credential
    authority: x509.Certificate


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
