from __future__ import annotations

from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.oracle.decode_image import NotAHeader, decode_header, header_or_none, is_signed

RAW = (
    b"OTBIMG1\x00"
    + b"BCM-HW-03".ljust(32, b"\x00")
    + b"BCM-APP".ljust(32, b"\x00")
    + b"2.0.0".ljust(32, b"\x00")
    + bytes.fromhex("00000007 00008000 00010000")
    + bytes(44)
    + bytes(range(32))
    + bytes(64)
)


def test_header_written_out_by_hand_is_read() -> None:
    header = decode_header(RAW)
    assert (header.hardware_id, header.software_id, header.version) == ("BCM-HW-03", "BCM-APP", "2.0.0")
    assert (header.release_counter, header.load_address, header.length) == (7, 0x8000, 0x10000)
    assert header.sha256 == bytes(range(32)).hex()


@pytest.mark.parametrize(
    "raw",
    [
        RAW[:-1],
        RAW + b"\x00",
        b"OTBIMG2\x00" + RAW[8:],
        RAW[:8] + bytes(32) + RAW[40:],
        RAW[:8] + b"\xff" * 32 + RAW[40:],
        RAW[:8] + b"A\x00B".ljust(32, b"\x00") + RAW[40:],
        RAW[:120] + b"\x01" + RAW[121:],
    ],
)
def test_bytes_that_are_no_header_are_refused(raw: bytes) -> None:
    with pytest.raises(NotAHeader):
        decode_header(raw)
    assert header_or_none(raw) is None


def test_signature_covers_every_byte_before_it(v: ModuleType) -> None:
    raw = v.NEW["body"].header
    assert is_signed(raw, v.public("image"))
    for at in range(0, 256, 5):
        assert not is_signed(raw[:at] + bytes((raw[at] ^ 1,)) + raw[at + 1 :], v.public("image"))


def test_signature_by_another_key_is_refused(v: ModuleType) -> None:
    assert not is_signed(v.NEW["body"].header, v.public("package"))


@given(st.binary(max_size=300))
def test_random_bytes_never_raise_anything_else(raw: bytes) -> None:
    assert header_or_none(raw) is None


def test_refusal_shows_the_eight_bytes_that_stand_where_the_magic_should() -> None:
    with pytest.raises(NotAHeader, match=r"^the magic is 4e4f544d41474943$"):
        decode_header(b"NOTMAGIC" + bytes(range(248)))


def test_fields_that_fill_their_places_are_read_whole_and_none_reaches_into_the_next() -> None:
    texts = [bytes([letter]) * 32 for letter in b"ABC"]
    numbers = bytes.fromhex("81000001 82000002 83000003")
    header = decode_header(b"OTBIMG1\x00" + b"".join(texts) + numbers + bytes(44) + bytes(range(200, 232)) + bytes(64))
    assert [header.hardware_id, header.software_id, header.version] == [text.decode() for text in texts]
    assert (header.release_counter, header.load_address, header.length) == (0x81000001, 0x82000002, 0x83000003)
    assert header.sha256 == bytes(range(200, 232)).hex()
