from __future__ import annotations

import contextlib
import hashlib
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509

from bench.core.errors import InputError
from bench.trust import keys

DEV_ID = "IMEI:490154203237518"


def loaded(identity: keys.Identity) -> x509.Certificate:
    return x509.load_pem_x509_certificate(identity.certificate_pem.encode())


def test_signing_key_is_derived_from_its_name_alone() -> None:
    seed = hashlib.sha256(b"otabench test key image").digest()
    assert keys.signing_key("image").private_bytes_raw() == seed
    assert keys.public_key("image") != keys.public_key("package")


def test_exchange_key_is_not_the_signing_key_of_the_same_name() -> None:
    assert keys.exchange_key("server").private_bytes_raw() != keys.signing_key("server").private_bytes_raw()
    assert keys.exchange_public_key("server") == keys.exchange_key("server").public_key().public_bytes_raw()


def test_certificates_are_the_same_every_time() -> None:
    assert keys.certificate_authority() == keys.certificate_authority()
    assert keys.server_certificate() == keys.server_certificate()
    assert keys.client_certificate(DEV_ID) == keys.client_certificate(DEV_ID)
    assert loaded(keys.client_certificate("a")).serial_number != loaded(keys.client_certificate("b")).serial_number


def test_certificates_are_valid_from_2025_to_2049() -> None:
    for identity in (keys.certificate_authority(), keys.server_certificate(), keys.client_certificate(DEV_ID)):
        certificate = loaded(identity)
        assert certificate.not_valid_before_utc == datetime(2025, 1, 1, tzinfo=UTC)
        assert certificate.not_valid_after_utc.year == 2049


def context(folder: Path, side: int, authority: keys.Identity, identity: keys.Identity) -> ssl.SSLContext:
    """A strict TLS context that shows `identity` and trusts `authority`."""
    (folder / "ca.pem").write_text(authority.certificate_pem)
    (folder / "both.pem").write_text(identity.certificate_pem + identity.key_pem)
    made = ssl.SSLContext(side)
    made.verify_flags |= ssl.VERIFY_X509_STRICT
    made.load_verify_locations(folder / "ca.pem")
    made.load_cert_chain(folder / "both.pem")
    made.verify_mode = ssl.CERT_REQUIRED
    return made


def handshake(folder: Path, host: str, client_identity: keys.Identity, server_identity: keys.Identity) -> ssl.SSLObject:
    """Shake hands in memory; return the server's end."""
    authority = keys.certificate_authority()
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    client_side = context(folder, ssl.PROTOCOL_TLS_CLIENT, authority, client_identity)
    client = client_side.wrap_bio(down, up, server_hostname=host)
    server = context(folder, ssl.PROTOCOL_TLS_SERVER, authority, server_identity).wrap_bio(up, down, server_side=True)
    for _ in range(4):
        for end in (client, server):
            with contextlib.suppress(ssl.SSLWantReadError):
                end.do_handshake()
    return server


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "dm.otabench.test"])
def test_mutual_tls_with_the_test_certificates_names_the_device(tmp_path: Path, host: str) -> None:
    server = handshake(tmp_path, host, keys.client_certificate(DEV_ID), keys.server_certificate())
    peer = server.getpeercert()
    assert peer is not None
    assert peer["subject"] == ((("commonName", DEV_ID),),)


def test_mutual_tls_under_another_host_name_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError, match=r"example\.test"):
        handshake(tmp_path, "example.test", keys.client_certificate(DEV_ID), keys.server_certificate())


def test_mutual_tls_with_a_client_certificate_as_server_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(tmp_path, "localhost", keys.client_certificate(DEV_ID), keys.client_certificate("localhost"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "dm.otabench.test", "LOCALHOST."]
)
def test_test_keys_are_allowed_on_loopback_and_test_names(host: str) -> None:
    keys.require_test_environment(host)


@pytest.mark.parametrize("host", ["192.168.1.4", "dms.example.com", "test", "localhost.example.com", "0.0.0.0", ""])
def test_test_keys_are_refused_elsewhere(host: str) -> None:
    with pytest.raises(InputError, match="test keys protect nothing"):
        keys.require_test_environment(host)
