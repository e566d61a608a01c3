"""X.509 certificates of diagnostics (0x29): verifying a chain, and test certificates derived from names.

A chain on the wire is DER certificates one behind the other, the holder's first, each issued by the next, the last
by the authority that the other side knows. Keys are Ed25519. Test certificates are valid from 2025 to 2049, made from
their names alone, and protect nothing.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.utils import CryptographyDeprecationWarning
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bench.wire.seed_key import test_secret

AUTHORITY, WORKSHOP = "otabench diagnostic CA", "otabench workshop CA"
PROGRAMMING_ROLE = "programming"
NOT_BEFORE, NOT_AFTER = datetime(2025, 1, 1, tzinfo=UTC), datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
TESTER, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH
"""What a certificate's holder is: extended key usage of a tester, and of an ECU."""
LONGEST_CHAIN = 3
CHALLENGE_BYTES = 32
_UNREADABLE = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension, x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)  # fmt: skip
"""What `cryptography` raises over bytes that are no certificate that it can read."""
_TESTER_SAYS, _ECU_SAYS = b"otabench 0x29 tester", b"otabench 0x29 ecu"


class Reason(StrEnum):
    """Why a certificate is refused, as the negative response codes 0x50 to 0x57 tell it apart."""

    TIME = "not valid at this time"
    SIGNATURE = "signature wrong"
    CHAIN = "no chain to the known authority"
    TYPE = "not a certificate of a tester or ECU with an Ed25519 key"
    FORMAT = "no X.509 certificate"
    CONTENT = "lacks what it is for"
    SCOPE = "for another role"
    REVOKED = "revoked"


class CertificateRefused(ValueError):
    """A certificate does not stand the test; `reason` says which one."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason.value)
        self.reason = reason


# Verifying ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Demands:
    """What a chain must show: issued under `authority`, valid at `at`, for `purpose` and `role`, not revoked."""

    authority: x509.Certificate
    at: datetime
    purpose: x509.ObjectIdentifier
    role: str | None = None
    revoked: Collection[str] = ()


def verify_chain(raw: bytes, demands: Demands) -> Ed25519PublicKey:
    """Return the holder's key; CertificateRefused says what is wrong first."""
    try:
        chain = [_loaded(der) for der in split_chain(raw)]
        _check_issued(chain, demands.authority)
        _check_time([*chain, demands.authority], demands.at)
        return _checked_holder(chain[0], demands)
    except CertificateRefused:
        raise
    except x509.ExtensionNotFound:
        raise CertificateRefused(Reason.CONTENT) from None
    except _UNREADABLE:
        raise CertificateRefused(Reason.FORMAT) from None


def _loaded(der: bytes) -> x509.Certificate:
    """Read one certificate; what `cryptography` only warns of (a serial number below 1) is refused as well."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", CryptographyDeprecationWarning)
        try:
            return x509.load_der_x509_certificate(der)
        except CryptographyDeprecationWarning:
            raise CertificateRefused(Reason.FORMAT) from None


def split_chain(raw: bytes) -> list[bytes]:
    """Cut DER certificates apart by their outer lengths; CertificateRefused (FORMAT)."""
    found: list[bytes] = []
    while raw:
        length = _der_length(raw)
        # Bounded: the chain comes from whoever speaks 0x29, before anything of it was verified.
        if length > len(raw) or len(found) == LONGEST_CHAIN:
            raise CertificateRefused(Reason.FORMAT)
        found.append(raw[:length])
        raw = raw[length:]
    if not found:
        raise CertificateRefused(Reason.FORMAT)
    return found


def _der_length(raw: bytes) -> int:
    """Return how many bytes the SEQUENCE at the begin has, its head included."""
    if len(raw) < 4 or raw[0] != 0x30:
        raise CertificateRefused(Reason.FORMAT)
    if raw[1] < 0x80:
        return 2 + raw[1]
    count = raw[1] & 0x7F
    if not 1 <= count <= 2:
        raise CertificateRefused(Reason.FORMAT)
    return 2 + count + int.from_bytes(raw[2 : 2 + count], "big")


def _check_issued(chain: list[x509.Certificate], authority: x509.Certificate) -> None:
    """Each certificate is issued by the next one, which may issue; the last by the authority."""
    for depth, (certificate, issuer) in enumerate(pairwise([*chain, authority])):
        # The names first: a wrong order of the chain would else look like a forged signature.
        if certificate.issuer != issuer.subject:
            raise CertificateRefused(Reason.CHAIN)
        basics = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
        # A workshop may issue testers, not further workshops (RFC 5280, 4.2.1.9): else every tester could name his own.
        too_deep = basics.path_length is not None and basics.path_length < depth
        if not basics.ca or too_deep or not usage.key_cert_sign:
            raise CertificateRefused(Reason.CHAIN)
        try:
            certificate.verify_directly_issued_by(issuer)
        except InvalidSignature:
            raise CertificateRefused(Reason.SIGNATURE) from None


def _check_time(chain: list[x509.Certificate], at: datetime) -> None:
    for certificate in chain:
        if not certificate.not_valid_before_utc <= at <= certificate.not_valid_after_utc:
            raise CertificateRefused(Reason.TIME)


def _checked_holder(holder: x509.Certificate, demands: Demands) -> Ed25519PublicKey:
    key = holder.public_key()
    is_authority = holder.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    # An authority that also authenticates itself could not be revoked without all that it issued.
    if is_authority or not isinstance(key, Ed25519PublicKey):
        raise CertificateRefused(Reason.TYPE)
    purposes = holder.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    usage = holder.extensions.get_extension_for_class(x509.KeyUsage).value
    # Without the purpose an ECU's own certificate would open every other ECU.
    if demands.purpose not in purposes or not usage.digital_signature:
        raise CertificateRefused(Reason.CONTENT)
    if demands.role is not None and demands.role not in _values(holder, NameOID.ORGANIZATIONAL_UNIT_NAME):
        raise CertificateRefused(Reason.SCOPE)
    if any(name in demands.revoked for name in _values(holder, NameOID.COMMON_NAME)):
        raise CertificateRefused(Reason.REVOKED)
    return key


def _values(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> list[str]:
    return [str(attribute.value) for attribute in certificate.subject.get_attributes_for_oid(oid)]


# Proof of ownership ---------------------------------------------------------------------------------


def statement_of_tester(server_challenge: bytes, client_challenge: bytes) -> bytes:
    """Return what the tester signs: both challenges, the ECU's first, behind words that name the speaker."""
    return _TESTER_SAYS + hashlib.sha256(server_challenge).digest() + hashlib.sha256(client_challenge).digest()


def statement_of_ecu(client_challenge: bytes, server_challenge: bytes) -> bytes:
    """Return what the ECU signs: both challenges, the tester's first, behind words that name the speaker."""
    return _ECU_SAYS + hashlib.sha256(client_challenge).digest() + hashlib.sha256(server_challenge).digest()


def signed_by(key: Ed25519PublicKey, signature: bytes, statement: bytes) -> bool:
    """Return whether `signature` over `statement` is by `key`."""
    try:
        key.verify(signature, statement)
    except InvalidSignature:
        return False
    return True


# Test certificates ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Credential:
    """A chain as it goes over the wire, and the key of its holder."""

    chain: bytes
    key: Ed25519PrivateKey

    def sign(self, statement: bytes) -> bytes:
        """Return the holder's signature."""
        return self.key.sign(statement)


def _key(name: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(test_secret(f"certificate {name}"))


@lru_cache(maxsize=16)
def derived_authority(name: str = AUTHORITY) -> x509.Certificate:
    """Return the test authority of that name, signed by itself."""
    return _certificate(name, name, name, ca_path_length=1)


@lru_cache(maxsize=64)
def derived_credential(
    name: str,
    purpose: x509.ObjectIdentifier = TESTER,
    *,
    role: str = PROGRAMMING_ROLE,
    authority: str = AUTHORITY,
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
) -> Credential:
    """Return the test credential of that name: its certificate by the workshop authority, which `authority` issued."""
    workshop = WORKSHOP if authority == AUTHORITY else f"{authority} workshop"
    between = _certificate(workshop, workshop, authority, ca_path_length=0)
    leaf = _certificate(name, name, workshop, role=role, purpose=purpose, not_before=not_before, not_after=not_after)
    return Credential(_der(leaf) + _der(between), _key(name))


def _certificate(
    subject: str,
    key_name: str,
    issuer: str,
    *,
    ca_path_length: int | None = None,
    role: str = "",
    purpose: x509.ObjectIdentifier | None = None,
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
) -> x509.Certificate:
    ca = ca_path_length is not None
    serial = int.from_bytes(hashlib.sha256(f"otabench diagnostic serial {subject}".encode()).digest()[:16], "big") >> 1
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject, role))
        .issuer_name(_name(issuer))
        .public_key(_key(key_name).public_key())
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(ca, ca_path_length), True)
        .add_extension(_usage(ca=ca), True)
    )
    if purpose is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage([purpose]), False)
    return builder.sign(_key(issuer), None)


def _name(common_name: str, role: str = "") -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if role:
        attributes.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role))
    return x509.Name(attributes)


def _usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _der(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(Encoding.DER)
