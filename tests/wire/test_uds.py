"""The ECU's UDS decoders against bytes, against random input, and against udsoncan's encoders."""

from __future__ import annotations

import hashlib
import hmac

import pytest
import udsoncan
from hypothesis import given
from hypothesis import strategies as st
from udsoncan import services

from bench.core.errors import InputError
from bench.wire import seed_key, uds


@pytest.mark.parametrize(
    ("pdu", "expected"),
    [
        ("1083", uds.DiagnosticSessionControl(3, suppress=True)),
        ("1101", uds.EcuReset(1)),
        ("14FFFFFF", uds.ClearDiagnosticInformation(0xFFFFFF)),
        ("22F190F18C", uds.ReadDataByIdentifier((0xF190, 0xF18C))),
        ("2702AABB", uds.SecurityAccess(2, b"\xaa\xbb")),
        ("288301", uds.CommunicationControl(3, 1, suppress=True)),
        ("2EF15A01", uds.WriteDataByIdentifier(0xF15A, b"\x01")),
        ("3101FF0044", uds.RoutineControl(1, 0xFF00, b"\x44")),
        ("34004400001000000002FF", uds.RequestDownload(0, uds.MemoryRange(0x44, 0x1000, 0x2FF))),
        ("3400211234FF", uds.RequestDownload(0, uds.MemoryRange(0x21, 0x12, 0x34FF))),
        ("36FF0102", uds.TransferData(0xFF, b"\x01\x02")),
        ("37", uds.RequestTransferExit()),
        ("3E80", uds.TesterPresent(suppress=True)),
        ("8582", uds.ControlDtcSetting(2, suppress=True)),
    ],
)
def test_request_decodes_to_its_fields(pdu: str, expected: object) -> None:
    raw = bytes.fromhex(pdu)
    assert uds.DECODERS[raw[0]](raw) == expected


@pytest.mark.parametrize(
    "pdu",
    ["10", "100300", "110100", "14FFFF", "22", "22F1", "22F190F1", "27", "2803", "280301FF", "2EF15A", "3101FF",
     "3400", "340044", "34004400000000000000", "36", "3700", "3E", "850100"],
)  # fmt: skip
def test_request_of_wrong_length_is_refused(pdu: str) -> None:
    raw = bytes.fromhex(pdu)
    with pytest.raises(uds.DecodeError):
        uds.DECODERS[raw[0]](raw)


@given(sid=st.sampled_from(sorted(uds.DECODERS)), other=st.integers(0, 255), rest=st.binary(max_size=20))
def test_decoder_never_takes_another_service(sid: int, other: int, rest: bytes) -> None:
    if other != sid:
        with pytest.raises(uds.DecodeError):
            uds.DECODERS[sid](bytes((other,)) + rest)


@given(pdu=st.binary(max_size=32))
def test_any_bytes_decode_or_are_refused_with_decode_error(pdu: bytes) -> None:
    for decode in uds.DECODERS.values():
        try:
            value = decode(pdu)
        except uds.DecodeError:
            continue
        assert pdu[0] == value.SID


@given(address=st.integers(0, 2**32 - 1), size=st.integers(1, 2**32 - 1))
def test_0x34_of_udsoncan_decodes_to_the_same_range(address: int, size: int) -> None:
    location = udsoncan.MemoryLocation(address, size, address_format=32, memorysize_format=32)
    request = services.RequestDownload.make_request(location, udsoncan.DataFormatIdentifier())
    assert uds.RequestDownload.decode(request.get_payload()) == uds.RequestDownload(
        0, uds.MemoryRange(0x44, address, size)
    )


@given(counter=st.integers(0, 255), data=st.binary(min_size=1, max_size=300))
def test_0x36_of_udsoncan_decodes_to_the_same_block(counter: int, data: bytes) -> None:
    request = services.TransferData.make_request(counter, data)
    assert uds.TransferData.decode(request.get_payload()) == uds.TransferData(counter, data)


@given(routine=st.integers(0, 0xFFFF), option=st.binary(max_size=20))
def test_0x31_of_udsoncan_decodes_to_the_same_routine(routine: int, option: bytes) -> None:
    request = services.RoutineControl.make_request(routine, 1, option)
    assert uds.RoutineControl.decode(request.get_payload()) == uds.RoutineControl(1, routine, option)


@given(p2=st.integers(1, 0xFFFF), p2_star=st.integers(1, 0xFFFF))
def test_0x10_answer_is_read_by_udsoncan_with_the_same_timing(p2: int, p2_star: int) -> None:
    response = udsoncan.Response.from_payload(uds.session_response(2, p2, p2_star * 10))
    data = services.DiagnosticSessionControl.interpret_response(response).service_data
    assert data.session_echo == 2
    assert data.p2_server_max == pytest.approx(p2 / 1000)
    assert data.p2_star_server_max == pytest.approx(p2_star / 100)


@given(length=st.integers(0, 0xFFFF))
def test_0x34_answer_is_read_by_udsoncan_with_the_same_block_length(length: int) -> None:
    response = udsoncan.Response.from_payload(uds.download_response(length))
    assert services.RequestDownload.interpret_response(response).service_data.max_length == length


@pytest.mark.parametrize("nrc", list(uds.Nrc))
def test_negative_response_is_read_by_udsoncan_with_the_same_code(nrc: uds.Nrc) -> None:
    response = udsoncan.Response.from_payload(uds.negative(uds.Sid.TRANSFER_DATA, nrc))
    assert (response.positive, response.code) == (False, nrc)
    assert response.service is services.TransferData


def test_key_is_the_first_eight_bytes_of_hmac_sha256() -> None:
    secret = hashlib.sha256(b"otabench test key gateway").digest()
    expected = hmac.new(secret, b"12345678", hashlib.sha256).digest()[:8]
    assert seed_key.compute("hmac_sha256", "gateway", b"12345678") == expected


def test_unknown_seed_key_algorithm_is_refused_with_those_there_are() -> None:
    with pytest.raises(InputError, match="hmac_sha256"):
        seed_key.compute("xor", "gateway", b"")
