"""The project's test keys, derived from their names: no secret is committed, and every run has the same ones.

Anybody can derive them, so they protect nothing: `require_test_environment` refuses them outside simulation and
loopback.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bench.core.errors import InputError

NOT_BEFORE = datetime(2025, 1, 1, tzinfo=UTC)
NOT_AFTER = datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC)
CA_NAME = "otabench test CA"
SERVER_NAME = "dm.otabench.test"


def _derived(name: str) -> bytes:
    return hashlib.sha256(f"otabench test key {name}".encode()).digest()


def signing_key(name: str) -> Ed25519PrivateKey:
    """Return the Ed25519 test key of that name (`image`, `package`, ...)."""
    return Ed25519PrivateKey.from_private_bytes(_derived(name))


def public_key(name: str) -> bytes:
    """Return the 32 bytes of `signing_key(name)`'s public half."""
    return signing_key(name).public_key().public_bytes_raw()


def exchange_key(name: str) -> X25519PrivateKey:
    """Return the X25519 test key of that name (`server`, a VIN, ...)."""
    return X25519PrivateKey.from_private_bytes(_derived(f"x25519 {name}"))


def exchange_public_key(name: str) -> bytes:
    """Return the 32 bytes of `exchange_key(name)`'s public half."""
    return exchange_key(name).public_key().public_bytes_raw()


def require_test_environment(host: str) -> None:
    """Raise `InputError` unless `host` is loopback or a name under `.test`, which no network resolves (RFC 6761)."""
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith((".localhost", ".test")):
        return
    try:
        if ipaddress.ip_address(name).is_loopback:
            return
    except ValueError:
        pass
    raise InputError(
        "test keys protect nothing and are refused here",
        found=f"host {host}",
        allowed="a loopback address, localhost, or a name under .test",
        hint="use keys of your own for a server that others can reach",
    )


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, both PEM."""

    certificate_pem: str
    key_pem: str


def certificate_authority() -> Identity:
    """Return the test CA that signs server and client certificates."""
    key = signing_key(CA_NAME)
    usage = _key_usage(digital_signature=False, key_cert_sign=True)
    builder = _builder(CA_NAME, key.public_key()).add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
    return _sealed(builder.add_extension(usage, True), key)


def server_certificate() -> Identity:
    """Return the DM server's certificate for 127.0.0.1, localhost and dm.otabench.test."""
    names = x509.SubjectAlternativeName(
        [
            x509.DNSName("localhost"),
            x509.DNSName(SERVER_NAME),
            x509.IPAddress(ipaddress.IPv4Address("127.0.0.1")),
        ]
    )
    return _leaf(SERVER_NAME, names, ExtendedKeyUsageOID.SERVER_AUTH)


def client_certificate(dev_id: str) -> Identity:
    """Return a vehicle's certificate; its common name is the device id."""
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"urn:otabench:{_derived(dev_id).hex()}")])
    return _leaf(dev_id, names, ExtendedKeyUsageOID.CLIENT_AUTH)


def _leaf(common_name: str, names: x509.SubjectAlternativeName, purpose: x509.ObjectIdentifier) -> Identity:
    key = signing_key(f"certificate {common_name}")
    builder = _builder(common_name, key.public_key()).add_extension(names, False)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
    builder = builder.add_extension(_key_usage(digital_signature=True, key_cert_sign=False), True)
    return _sealed(builder.add_extension(x509.ExtendedKeyUsage([purpose]), False), key)


def _builder(common_name: str, key: Ed25519PublicKey) -> x509.CertificateBuilder:
    authority = signing_key(CA_NAME).public_key()
    serial = int.from_bytes(hashlib.sha256(f"otabench test serial {common_name}".encode()).digest()[:16], "big") >> 1
    return (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(_name(CA_NAME))
        .public_key(key)
        .serial_number(serial)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority), False)
    )


def _sealed(builder: x509.CertificateBuilder, key: Ed25519PrivateKey) -> Identity:
    certificate = builder.sign(signing_key(CA_NAME), None)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Identity(certificate.public_bytes(Encoding.PEM).decode(), private.decode())


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _key_usage(*, digital_signature: bool, key_cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=key_cert_sign,
        crl_sign=key_cert_sign,
        encipher_only=False,
        decipher_only=False,
    )
