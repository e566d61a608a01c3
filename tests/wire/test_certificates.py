"""Chains of X.509 certificates: each way of being wrong has its own reason."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, derive_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from bench.wire.certificates import (
    AUTHORITY,
    NOT_AFTER,
    NOT_BEFORE,
    SERVER,
    TESTER,
    CertificateRefused,
    Demands,
    Reason,
    derived_authority,
    derived_credential,
    split_chain,
    statement_of_ecu,
    statement_of_tester,
    verify_chain,
)

NOW = datetime(2030, 1, 1, tzinfo=UTC)
GOOD = derived_credential("workshop tester 7")
DEMANDS = Demands(authority=derived_authority(), at=NOW, purpose=TESTER, role="programming")


def reason(chain: bytes, demands: Demands = DEMANDS) -> Reason:
    with pytest.raises(CertificateRefused) as refused:
        verify_chain(chain, demands)
    return refused.value.reason


def test_chain_through_the_workshop_is_good_and_gives_the_holders_key() -> None:
    assert verify_chain(GOOD.chain, DEMANDS) == GOOD.key.public_key()
    assert len(split_chain(GOOD.chain)) == 2


def test_certificates_are_the_same_every_time() -> None:
    derived_credential.cache_clear()
    assert derived_credential("workshop tester 7").chain == GOOD.chain


@pytest.mark.parametrize("at", [NOT_BEFORE, NOT_AFTER])
def test_certificate_is_valid_on_its_first_and_last_second(at: datetime) -> None:
    assert verify_chain(GOOD.chain, replace(DEMANDS, at=at))


@pytest.mark.parametrize("at", [NOT_BEFORE - timedelta(seconds=1), NOT_AFTER + timedelta(seconds=1)])
def test_certificate_outside_its_time_is_refused(at: datetime) -> None:
    assert reason(GOOD.chain, replace(DEMANDS, at=at)) is Reason.TIME


def test_certificate_that_ended_earlier_than_its_authority_is_refused() -> None:
    ended = derived_credential("old tester", not_after=datetime(2029, 12, 31, tzinfo=UTC))
    assert reason(ended.chain) is Reason.TIME


def test_chain_of_another_authority_is_refused() -> None:
    assert reason(derived_credential("workshop tester 7", authority="a foreign CA").chain) is Reason.CHAIN


def test_chain_without_its_middle_or_in_another_order_is_refused() -> None:
    leaf, workshop = split_chain(GOOD.chain)
    assert reason(leaf) is Reason.CHAIN
    assert reason(workshop + leaf) is Reason.CHAIN


def test_leaf_that_issues_a_certificate_itself_is_refused() -> None:
    """The tester's own certificate must not serve as an authority for somebody else's."""
    leaf, workshop = split_chain(GOOD.chain)
    own = x509.load_der_x509_certificate(leaf)
    forged = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "friend")]))
        .issuer_name(own.subject)
        .public_key(GOOD.key.public_key())
        .serial_number(5)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .sign(GOOD.key, None)
    )
    assert reason(forged.public_bytes(Encoding.DER) + leaf + workshop) is Reason.CHAIN


@pytest.mark.parametrize("which", [0, 1])
def test_changed_certificate_has_a_wrong_signature(which: int) -> None:
    parts = split_chain(GOOD.chain)
    parts[which] = parts[which][:-1] + bytes((parts[which][-1] ^ 1,))
    assert reason(b"".join(parts)) is Reason.SIGNATURE


def test_authority_of_the_same_name_with_another_key_has_a_wrong_signature() -> None:
    authority = derived_authority()
    key = derived_credential("forger").key
    forged = (
        x509.CertificateBuilder()
        .subject_name(authority.subject)
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.BasicConstraints(True, 1), True)
        .add_extension(authority.extensions.get_extension_for_class(x509.KeyUsage).value, True)
        .sign(key, None)
    )
    assert reason(GOOD.chain, replace(DEMANDS, authority=forged)) is Reason.SIGNATURE


def test_authority_itself_is_no_tester() -> None:
    workshop = split_chain(GOOD.chain)[1]
    assert reason(workshop) is Reason.TYPE


def test_holder_with_another_kind_of_key_is_refused() -> None:
    key: EllipticCurvePrivateKey = derive_private_key(4711, SECP256R1())
    authority_key = derived_authority_key()
    leaf = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "curve")]))
        .issuer_name(derived_authority().subject)
        .public_key(key.public_key())
        .serial_number(9)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.BasicConstraints(False, None), True)
        .sign(authority_key, None)
    )
    assert reason(leaf.public_bytes(Encoding.DER)) is Reason.TYPE


def derived_authority_key() -> Ed25519PrivateKey:
    return derived_credential(AUTHORITY).key


def test_certificate_of_an_ecu_is_not_for_a_tester() -> None:
    assert reason(derived_credential("adas", SERVER).chain) is Reason.CONTENT
    assert verify_chain(derived_credential("adas", SERVER).chain, replace(DEMANDS, purpose=SERVER))


def test_certificate_for_another_role_is_out_of_scope() -> None:
    assert reason(derived_credential("reader", role="reading").chain) is Reason.SCOPE


def test_revoked_certificate_is_refused_by_name() -> None:
    assert reason(GOOD.chain, replace(DEMANDS, revoked=("workshop tester 7",))) is Reason.REVOKED


@pytest.mark.parametrize(
    "raw", [b"", b"no certificate", b"\x30\x03\x02\x01\x05", GOOD.chain[:-1], GOOD.chain + b"\x30", GOOD.chain * 2]
)
def test_what_is_no_chain_is_refused_as_such(raw: bytes) -> None:
    assert reason(raw) is Reason.FORMAT


@given(st.integers(0, len(GOOD.chain) - 1), st.integers(1, 255))
def test_chain_with_any_byte_changed_is_refused_unless_nothing_that_is_signed_differs(at: int, change: int) -> None:
    """The count of unused bits before a signature is not signed: a reader may overlook it, nothing hangs on it."""
    chain = bytearray(GOOD.chain)
    chain[at] ^= change
    try:
        key = verify_chain(bytes(chain), DEMANDS)
    except CertificateRefused:
        return
    assert key == GOOD.key.public_key()
    assert [signed(der) for der in split_chain(bytes(chain))] == [signed(der) for der in split_chain(GOOD.chain)]


def signed(der: bytes) -> bytes:
    return x509.load_der_x509_certificate(der).tbs_certificate_bytes


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_with_a_reason(raw: bytes) -> None:
    assert reason(raw) in Reason


def test_statements_differ_by_speaker_and_by_either_challenge() -> None:
    one, two = b"a" * 32, b"b" * 32
    said = {
        statement_of_tester(one, two),
        statement_of_tester(two, one),
        statement_of_ecu(one, two),
        statement_of_ecu(two, one),
    }
    assert len(said) == 4
    assert statement_of_tester(b"ab", b"c") != statement_of_tester(b"a", b"bc")
