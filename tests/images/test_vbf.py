"""VBF: header as text, blocks with CRC-16, file checksum; damaged files by line or offset."""

from __future__ import annotations

import binascii
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images.damaged import Damaged
from bench.images.firmware import packing_words
from bench.images.memory import AddressRange, Segment
from bench.images.readers import read_firmware, read_image
from bench.images.vbf import read_vbf

HEADER = """vbf_version = 2.6;
header { // made by hand
    description = {"Body controller; }",
                   "second line"};
    sw_part_number = "BCM-APP-17";
    sw_version = "1.1.0";
    sw_part_type = EXE;
    ecu_address = 0x7A0;
    frame_format = CAN_STANDARD;
    erase = { { 0x00008000, 0x00000100 },
              { 0x00010000, 0x00000040 } };
    sw_signature = 0xA1B2C3D4E5F60718;
    /* computed over
       all blocks */
    file_checksum = CHECKSUM;
}"""
BLOCKS = [(0x10000, b"second"), (0x8000, b"first block")]


def block(address: int, data: bytes) -> bytes:
    crc = binascii.crc_hqx(data, 0xFFFF)
    return address.to_bytes(4, "big") + len(data).to_bytes(4, "big") + data + crc.to_bytes(2, "big")


def vbf(header: str = HEADER, blocks: list[tuple[int, bytes]] | None = None, body: bytes | None = None) -> bytes:
    binary = b"".join(block(*each) for each in (BLOCKS if blocks is None else blocks)) if body is None else body
    return header.replace("CHECKSUM", f"0x{zlib.crc32(binary):08X}").encode() + binary


def test_crc_of_a_block_is_the_ccitt_one() -> None:
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == 0x29B1


def test_blocks_header_texts_and_erase_table_are_read(tmp_path: Path) -> None:
    path = tmp_path / "body.vbf"
    path.write_bytes(vbf())
    firmware = read_firmware(path)
    assert firmware.image.segments == (Segment(0x8000, b"first block"), Segment(0x10000, b"second"))
    assert firmware.erase == (AddressRange(0x8000, 0x8100), AddressRange(0x10000, 0x10040))
    assert firmware.start_address is None
    fields = firmware.fields
    assert (fields["vbf_version"], fields["sw_part_number"], fields["sw_version"]) == ("2.6", "BCM-APP-17", "1.1.0")
    assert (fields["ecu_address"], fields["frame_format"]) == ("0x7A0", "CAN_STANDARD")
    assert fields["sw_signature"] == "0xA1B2C3D4E5F60718"
    assert fields["description"] == '{ "Body controller; }", "second line" }'


def test_vbf_without_suffix_and_with_windows_line_ends_is_read(tmp_path: Path) -> None:
    path = tmp_path / "body"
    path.write_bytes(vbf(HEADER.replace("\n", "\r\n")))
    assert read_image(path).size_bytes == 17


def test_call_address_of_a_secondary_bootloader_is_the_start_address(tmp_path: Path) -> None:
    path = tmp_path / "sbl.vbf"
    path.write_bytes(vbf(HEADER.replace("EXE;", "SBL; call = 0x40001000;")))
    assert read_firmware(path).start_address == 0x4000_1000


START = vbf().index(block(*BLOCKS[0]))
BAD_CRC = block(0x8000, b"abcd")[:-1] + b"\x00"
SIGNED = HEADER.replace(
    "0xA1B2C3D4E5F60718;",
    """0xA1B2C3D4E5F60718; sw_signature_dev = 0x1122;
    verification_block_start = 0x10002;
    verification_block_length = 4;
    verification_block_root_hash = 0x99AABB;""",
)
PACKED = HEADER.replace("EXE;", "EXE; data_format_identifier = 0x10;")


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (b"vbf version", "at line 1: expected 'vbf_version'"),
        (vbf(HEADER.replace("2.6;", "2.6")), "at line 2: expected ';', found 'header'"),
        (vbf(HEADER.replace("ecu_address =", "ecu_address")), "at line 8: expected '=', found '0x7A0'"),
        (vbf(HEADER.replace("ecu_address", "sw_version")), "at line 8: sw_version is given twice"),
        (vbf(HEADER.replace('"1.1.0"', '"1.1.0')), "at line 6: unexpected '\"' in the header"),
        (vbf(HEADER[:-1], body=b""), "at line 16: the header is cut off"),
        (vbf(HEADER.replace("    file_checksum = CHECKSUM;\n", "")), "at line 15: the header has no file_checksum"),
        (vbf(HEADER.replace("CHECKSUM", "none")), "at line 15: file_checksum is no number: none"),
        (vbf(HEADER.replace("CHECKSUM", "0x12345678")), "at line 15: file_checksum is 0x12345678, the blocks give"),
        (vbf(HEADER.replace(", 0x00000040", "")), "at line 10: erase is no list"),
        (vbf(HEADER.replace("0x00000040", "-1")), "at line 10: erase is no list"),
        (vbf(body=BAD_CRC), f"at offset 0x{START + 12:X}: the CRC of the block for 0x00008000 is"),
        (vbf(body=block(0, b"abcd")[:-1]), f"at offset 0x{START:X}: the block of 0x4 bytes for 0x00000000 is cut off"),
        (vbf(body=block(0, b"abcd") + b"\0\0\0"), f"at offset 0x{START + 14:X}: 3 bytes left"),
        (vbf(blocks=[(0xFFFF_FFFE, b"abc")]), f"at offset 0x{START:X}: data beyond 32-bit"),
        (vbf(blocks=[(8, b"abcd"), (6, b"abcd")]), "0x00000008.*is given twice by two blocks"),
        (vbf(blocks=[]), "it holds no data"),
        (vbf(PACKED), "compressed or encrypted"),
        (vbf(PACKED.replace("0x10", "0x110")), "at line 7: data_format_identifier is one byte, not 0x110"),
        (vbf(PACKED.replace("0x10", "packed")), "at line 7: data_format_identifier is no number: packed"),
        (vbf(HEADER.replace("0xA1B2C3D4E5F60718", "none")), "at line 12: sw_signature is no number: none"),
        (vbf(HEADER.replace("2.6", "1.2")), "version of VBF"),
        (vbf(HEADER.replace("0x00010000,", "0xFFFFFFF0,")), "at line 10: erase goes beyond 32-bit"),
        (vbf(SIGNED.replace("0x10002", "0x10003")), "at line 13: the verification block 0x00010003.*lies in no block"),
    ],
)
def test_damaged_vbf_is_refused_with_line_or_offset(tmp_path: Path, raw: bytes, told: str) -> None:
    path = tmp_path / "damaged.vbf"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=told) as refusal:
        read_image(path)
    assert "damaged.vbf" in str(refusal.value)


@pytest.mark.parametrize("version", ["2.1", "2.5", "3.0", "JLR3.0"])
def test_signature_fields_and_verification_block_of_each_version_are_read(tmp_path: Path, version: str) -> None:
    raw = vbf(SIGNED.replace("2.6", version))
    found = read_vbf(raw)
    assert (found.version, found.verification_block) == (version, AddressRange(0x10002, 0x10006))
    path = tmp_path / "signed.vbf"
    path.write_bytes(raw)
    fields = read_firmware(path).fields
    assert (fields["sw_signature"], fields["sw_signature_dev"]) == ("0xA1B2C3D4E5F60718", "0x1122")
    assert fields["verification_block_root_hash"] == "0x99AABB"


def test_packed_blocks_are_named_and_kept_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "packed.vbf"
    path.write_bytes(vbf(PACKED.replace("0x10;", "0x21;")))
    firmware = read_firmware(path)
    assert (firmware.data_format_identifier, firmware.image.segments) == (0x21, ())
    assert firmware.packed == tuple(Segment(*each) for each in BLOCKS)
    assert (firmware.size_bytes, packing_words(0x21)) == (17, "compressed (method 2) and encrypted (method 1)")


def test_packed_blocks_may_be_longer_than_the_memory_they_fill(tmp_path: Path) -> None:
    path = tmp_path / "packed.vbf"
    path.write_bytes(vbf(PACKED, blocks=[(0x8000, b"12345678"), (0x8004, b"abcd")]))
    assert [block.address for block in read_firmware(path).packed] == [0x8000, 0x8004]


@given(st.integers(START, len(vbf()) - 1), st.integers(1, 255))
def test_any_changed_byte_of_the_blocks_is_refused(at: int, flip: int) -> None:
    raw = vbf()
    with pytest.raises(Damaged):
        read_vbf(raw[:at] + bytes([raw[at] ^ flip]) + raw[at + 1 :])


@given(st.integers(0, len(vbf()) - 1))
def test_vbf_cut_off_anywhere_is_refused(length: int) -> None:
    with pytest.raises(Damaged):
        read_vbf(vbf()[:length])


@given(st.binary(max_size=300))
def test_random_bytes_after_the_first_word_are_refused_and_nothing_else(noise: bytes) -> None:
    with pytest.raises(Damaged):
        read_vbf(b"vbf_version = 2.6; header {" + noise)
