"""0x29: udsoncan's codec on the tester's side against our own on the ECU's."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.flasher import authentication_services as tester
from bench.flasher.errors import ProtocolViolation
from bench.wire.uds import DecodeError
from bench.wire.uds_authentication import Authentication, ReturnParameter, authentication_response

FIELD = st.binary(max_size=700)


@given(FIELD, FIELD, st.integers(0, 255), st.booleans())
def test_certificate_request_is_read_as_it_was_written(
    chain: bytes, challenge: bytes, configured: int, bidirectional: bool
) -> None:
    call = tester.verify_certificate(chain, challenge, configured, bidirectional=bidirectional)
    assert Authentication.decode(call.payload) == Authentication(1 + bidirectional, configured, (chain, challenge))


@given(FIELD)
def test_proof_is_read_as_it_was_written(proof: bytes) -> None:
    assert Authentication.decode(tester.proof_of_ownership(proof).payload) == Authentication(3, 0, (proof, b""))


def test_tasks_without_fields_are_two_bytes() -> None:
    assert tester.configuration().payload == bytes.fromhex("2908")
    assert Authentication.decode(b"\x29\x00") == Authentication(0)
    assert Authentication.decode(b"\x29\x88") == Authentication(8, suppress=True)


@given(FIELD, FIELD, FIELD)
def test_answers_are_read_as_they_were_written(challenge: bytes, chain: bytes, proof: bytes) -> None:
    verified = ReturnParameter.CERTIFICATE_VERIFIED
    one = authentication_response(1, verified, challenge, b"")
    two = authentication_response(2, verified, challenge, chain, proof, b"")
    ask = tester.verify_certificate(b"", b"", 0, bidirectional=False)
    assert ask.decode(one) == tester.ServerSays(0x11, challenge)
    both = tester.verify_certificate(b"", b"x", 0, bidirectional=True)
    assert both.decode(two) == tester.ServerSays(0x11, challenge, chain, proof)


@pytest.mark.parametrize(
    "pdu",
    [
        "29", "2901", "290100", "29010000", "2901000001", "29010000000000ff", "290300", "2903000000", "2903000200",
        "2908ff", "290000", "2203",
    ],
)  # fmt: skip
def test_request_of_wrong_length_is_refused(pdu: str) -> None:
    with pytest.raises(DecodeError):
        Authentication.decode(bytes.fromhex(pdu))


@given(st.binary(max_size=40))
def test_any_bytes_are_a_request_or_a_decode_error(rest: bytes) -> None:
    try:
        found = Authentication.decode(b"\x29" + rest)
    except DecodeError:
        return
    assert 0 <= found.task <= 0x7F


@pytest.mark.parametrize("answer", ["6901", "690111", "69011100", "6901110001", "690111000000000000"])
def test_answer_of_wrong_length_is_a_violation(answer: str) -> None:
    with pytest.raises(ProtocolViolation):
        tester.verify_certificate(b"", b"", 0, bidirectional=False).decode(bytes.fromhex(answer))
