"""Files of foreign tool chains as logical blocks: all they say, nothing filled, what contradicts itself refused."""

from __future__ import annotations

import binascii
import zipfile
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import bincopy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images.blocks import BlockKind, BlockSegment, CheckState, SoftwareBlock, SoftwareFile, plain_segment
from bench.images.damaged import Damaged, Unsuited
from bench.images.firmware import Firmware
from bench.images.flash_session import OdxValue
from bench.images.memory import AddressRange, MemoryImage, Segment
from bench.images.readers import flash_sessions
from bench.images.software import problems, read_software, software_of
from bench.images.vbf import read_vbf
from tests.foreign import odx_unit, vbf_loader
from tests.foreign.files import (
    MAKER_B,
    OdxBlock,
    VbfFile,
    application,
    data_for,
    odx_blocks,
    pdx,
    plain_image,
    secondary_bootloader,
)

VBF_FILES = [secondary_bootloader(), application("AB"), data_for("AB")]


def read(folder: Path, name: str, raw: bytes, session: str | None = None) -> SoftwareFile:
    path = folder / name
    path.write_bytes(raw)
    return read_software(path, session=session)


def of_vbf(raw: bytes) -> SoftwareFile:
    vbf = read_vbf(raw)
    return software_of(Firmware("vbf", MemoryImage(), vbf=vbf), Path("f.vbf"))


@pytest.mark.parametrize("made", VBF_FILES, ids=lambda made: made.kind)
def test_vbf_gives_back_all_that_its_ecu_asks_for(tmp_path: Path, made: VbfFile) -> None:
    found = read(tmp_path, "part.vbf", made.raw)
    (block,) = found.blocks
    assert (found.part_number, found.version, found.part_type) == (made.part_number, made.version, made.kind)
    assert (found.ecu_address, found.frame_format, found.network) == (vbf_loader.REQUEST, "CAN_STANDARD", "CAN_HS")
    assert found.start_address == made.call
    assert [(each.address, each.data, each.plain()) for each in block.segments] == [
        (address, data, data) for address, data in made.blocks
    ]
    assert [each.crc16 for each in block.segments] == [binascii.crc_hqx(data, 0xFFFF) for _at, data in made.blocks]
    assert [(each.start, each.size_bytes) for each in block.erase] == list(made.erase)
    signature = block.signature("sw_signature_dev")
    assert signature is not None
    assert (signature.data, block.signature("sw_signature")) == (made.signature, None)
    assert found.checksums[0].value == zlib.crc32(made.raw.partition(b"\n}")[2]).to_bytes(4, "big")
    assert found.is_bootloader == (made.kind == "SBL")


def test_pdx_gives_back_all_that_its_ecu_asks_for(tmp_path: Path) -> None:
    made = odx_blocks("2.0.0")
    found = read(tmp_path, "unit.pdx", pdx(made, "2.0.0"))
    assert [(each.name, each.values[0].text) for each in found.expected_idents] == [("HARDWARE", "HW-4711")]
    assert [each.kind for each in found.blocks] == [BlockKind.DATA, BlockKind.CODE]
    for block, original in zip(found.blocks, made, strict=True):
        (segment,) = block.segments
        assert (block.name, block.logical_block_index) == (original.name, original.index)
        assert (segment.address, segment.data) == (original.address, original.packed), "as packed in the file"
        assert (segment.data_format_identifier, segment.uncompressed_size) == (0x10, len(original.data))
        assert segment.plain() == original.data
        assert [(each.algorithm, each.value, each.state) for each in block.checksums] == [
            ("CRC32", zlib.crc32(original.data).to_bytes(4, "big"), CheckState.RIGHT)
        ]
        (signature,) = block.signatures
        assert signature.method == "ED25519"
        MAKER_B.public_key().verify(signature.data or b"", original.data)
        assert [(each.name, each.values[0].text) for each in block.own_idents] == [("VERSION", "2.0.0")]


def test_a_file_that_fills_little_of_a_region_stays_little(tmp_path: Path) -> None:
    records = bincopy.BinFile()
    records.add_binary(b"vectors!", 0)
    records.add_binary(bytes(range(200)), 0x3E000)
    for name, text in (("f.hex", records.as_ihex()), ("f.s19", records.as_srec()), ("f.txt", records.as_ti_txt())):
        found = read(tmp_path, name, str(text).encode())
        assert [(each.address, each.data) for each in found.blocks[0].segments] == [
            (0, b"vectors!"),
            (0x3E000, bytes(range(200))),
        ]
        assert found.size_bytes == 208
        assert found.blocks[0].aligned(16).size_bytes == 16 + 208


def test_a_binary_is_one_segment(tmp_path: Path) -> None:
    path = tmp_path / "plain.bin"
    path.write_bytes(plain_image())
    (block,) = read_software(path, binary_base=0x4000).blocks
    assert [(each.address, each.data) for each in block.segments] == [(0x4000, plain_image())]


pieces = st.lists(st.tuples(st.integers(0, 3000), st.binary(min_size=1, max_size=40)), min_size=1, max_size=12)


@given(pieces, st.sampled_from([1, 2, 8, 64, 256]))
def test_alignment_keeps_every_byte_and_adds_only_erased_ones_within_a_unit(
    parts: list[tuple[int, bytes]], unit: int
) -> None:
    image = MemoryImage()
    for address, data in parts:
        image = image.overlay(MemoryImage.of([Segment(address, data)]))
    block = SoftwareBlock("f", BlockKind.UNSPECIFIED, tuple(plain_segment(each) for each in image.segments))
    grown = block.aligned(unit)
    cells = {at: byte for each in image.segments for at, byte in enumerate(each.data, each.address)}
    found = {at: byte for each in grown.segments for at, byte in enumerate(each.data, each.address)}
    assert {at: byte for at, byte in found.items() if at in cells} == cells
    assert all(byte == 0xFF for at, byte in found.items() if at not in cells)
    assert {at // unit for at in found} == {at // unit for at in cells}
    assert all(each.address % unit == 0 and len(each.data) % unit == 0 for each in grown.segments)


def test_what_is_sent_as_it_stands_is_not_aligned() -> None:
    (vbf_block,) = of_vbf(application("AB").raw).blocks
    packed = replace(vbf_block, segments=(BlockSegment(0, b"abc", None, 0x10),))
    for block in (vbf_block, packed):
        with pytest.raises(ValueError, match="as they stand"):
            block.aligned(8)
    with pytest.raises(ValueError, match="power of two"):
        replace(vbf_block, segments=(plain_segment(Segment(0, b"abc")),)).aligned(24)


# What contradicts itself


@pytest.mark.parametrize(
    ("erase", "missed"),
    [
        (((vbf_loader.EXE, 0x1000),), r"0x00011000..0x00014E30 \(15920 bytes\), 0x00020000..0x00021388"),
        (((vbf_loader.EXE, 0x10000), (vbf_loader.EXE + 0x10004, 0x2000)), r"0x00020000..0x00020004 \(4 bytes\)"),
        (((0, 0x100),), "0x00010000"),
    ],
)
def test_erase_list_that_misses_data_is_refused_with_the_ranges(
    tmp_path: Path, erase: tuple[tuple[int, int], ...], missed: str
) -> None:
    raw = replace(application("AB"), erase=erase).raw
    with pytest.raises(InputError, match="erase list does not cover") as refusal:
        read(tmp_path, "exe.vbf", raw)
    text = str(refusal.value)
    assert "exe.vbf" in text
    assert refusal.value.allowed is not None
    assert f"0x{erase[0][0]:08X}" in refusal.value.allowed
    with pytest.raises(InputError, match=missed):
        read(tmp_path, "exe.vbf", raw)


def test_erase_ranges_may_touch_and_come_in_any_order(tmp_path: Path) -> None:
    erase = ((vbf_loader.EXE + 0x8000, 0x10000), (vbf_loader.EXE, 0x8000))
    assert len(read(tmp_path, "exe.vbf", replace(application("AB"), erase=erase).raw).blocks[0].erase) == 2


def with_checksum(raw: bytes, folder: Path, old: str, new: str) -> bytes:
    path = folder / "made.pdx"
    path.write_bytes(raw)
    with zipfile.ZipFile(path) as container:
        members = {name: container.read(name) for name in container.namelist()}
    assert old.encode() in members["unit.odx-f"]
    members["unit.odx-f"] = members["unit.odx-f"].replace(old.encode(), new.encode())
    with zipfile.ZipFile(path, "w") as container:
        for name, data in members.items():
            container.writestr(name, data)
    return path.read_bytes()


def test_checksum_of_an_unknown_algorithm_is_named_and_not_skipped(tmp_path: Path) -> None:
    raw = with_checksum(pdx(odx_blocks("2.0.0"), "2.0.0"), tmp_path, "CRC32<", "MAKER_SUM_7<")
    check = read(tmp_path, "unit.pdx", raw).blocks[0].checksums[0]
    assert (check.algorithm, check.state) == ("MAKER_SUM_7", CheckState.UNCHECKED)
    assert "'MAKER_SUM_7' is not known; known are CRC32" in check.reason


def test_checksum_that_the_data_do_not_have_is_refused(tmp_path: Path) -> None:
    made = odx_blocks("2.0.0")
    right = f"{zlib.crc32(made[0].data):08X}"
    raw = with_checksum(pdx(made, "2.0.0"), tmp_path, right, "00C0FFEE")
    with pytest.raises(InputError, match="expected checksum is not that of the data") as refusal:
        read(tmp_path, "unit.pdx", raw)
    error = refusal.value
    assert error.key == "CS_CALIBRATION"
    assert error.allowed == "00C0FFEE"
    assert f"the data give {right}" in str(error.found)


@pytest.mark.parametrize("name", ["SHA-256", "sha_256", "CRC16-CCITT", "MD5"])
def test_algorithms_that_makers_name_are_computed(tmp_path: Path, name: str) -> None:
    raw = with_checksum(pdx(odx_blocks("2.0.0"), "2.0.0"), tmp_path, "CRC32<", f"{name}<")
    with pytest.raises(InputError, match="expected checksum"):
        read(tmp_path, "unit.pdx", raw)


def test_what_cannot_be_unpacked_is_said_to_be_unchecked(tmp_path: Path) -> None:
    raw = with_checksum(pdx(odx_blocks("2.0.0"), "2.0.0"), tmp_path, ">10<", ">11<")
    found = read(tmp_path, "unit.pdx", raw)
    assert [each.segments[0].plain() for each in found.blocks] == [None, None]
    assert {each.state for each in found.all_checksums} == {CheckState.UNCHECKED}
    assert "not whole in the plain data" in found.all_checksums[0].reason


def test_method_that_is_more_than_a_byte_is_kept_as_it_is(tmp_path: Path) -> None:
    old = '<ENCRYPT-COMPRESS-METHOD TYPE="A_BYTEFIELD">10<'
    new = '<ENCRYPT-COMPRESS-METHOD TYPE="A_BYTEFIELD">0102<'
    raw = with_checksum(pdx(odx_blocks("2.0.0"), "2.0.0"), tmp_path, old, new)
    (segment,) = read(tmp_path, "unit.pdx", raw).blocks[0].segments
    assert (segment.data_format_identifier, segment.method, segment.is_packed) == (None, "0102", True)


def test_signature_that_is_no_byte_field_is_refused(tmp_path: Path) -> None:
    made = odx_blocks("2.0.0")
    signature = made[0].signature.hex().upper()
    raw = with_checksum(pdx(made, "2.0.0"), tmp_path, signature, "no signature")
    with pytest.raises(InputError, match=r"odxtools does not accept the FLASH document: .*base 16"):
        read(tmp_path, "unit.pdx", raw)


@pytest.mark.parametrize(
    ("field", "told"),
    [
        ("sw_signature = 0xABC;", "sw_signature is not whole bytes"),
        ("public_key_hash = 12;", "public_key_hash is not whole bytes"),
        ("public_key_hash = none;", "public_key_hash is no number"),
    ],
)
def test_vbf_fields_that_are_no_bytes_are_refused_with_their_line(tmp_path: Path, field: str, told: str) -> None:
    raw = secondary_bootloader().raw.replace(b"  network", f"  {field}\n  network".encode())
    with pytest.raises(InputError, match=f"at line 6: {told}"):
        read(tmp_path, "sbl.vbf", raw)
    raw = secondary_bootloader().raw.replace(b"ecu_address = 0x7E0", b"ecu_address = body")
    with pytest.raises(InputError, match="at line 7: ecu_address is no number: body"):
        read(tmp_path, "sbl.vbf", raw)


def test_leading_zeros_of_a_signature_and_lists_of_ecus_are_kept(tmp_path: Path) -> None:
    fields = b"  sw_signature = 0x00A1;\n  public_key_hash = 0x0001;\n  sw_part_number_DID = 0xF12B;\n  network"
    raw = secondary_bootloader().raw.replace(b"  network", fields).replace(b"= 0x7E0;", b"= { 0x7E0, 0x7A0 };")
    found = read(tmp_path, "sbl.vbf", raw)
    signature = found.blocks[0].signature("sw_signature")
    assert signature is not None
    assert (signature.data, found.public_key_hash, found.part_number_did) == (b"\x00\xa1", b"\x00\x01", 0xF12B)
    assert (found.ecu_addresses, found.ecu_address) == ((0x7E0, 0x7A0), None)


def test_packed_vbf_keeps_its_bytes_and_says_that_their_memory_is_unknown(tmp_path: Path) -> None:
    raw = application("AB").raw.replace(b"  network", b"  data_format_identifier = 0x10;\n  network")
    (block,) = read(tmp_path, "exe.vbf", raw).blocks
    assert {(each.data_format_identifier, each.memory, each.plain()) for each in block.segments} == {(0x10, None, None)}
    assert [each.data for each in block.segments] == [data for _at, data in application("AB").blocks]
    assert block.plain() is None


def test_block_without_bytes_is_nothing_to_send_and_files_are_values(tmp_path: Path) -> None:
    made = replace(application("AB"), blocks=((vbf_loader.EXE, b""), (vbf_loader.EXE, b"abcd")))
    first, again = read(tmp_path, "exe.vbf", made.raw), read(tmp_path, "exe.vbf", made.raw)
    assert [each.data for each in first.blocks[0].segments] == [b"abcd"]
    assert first == again
    assert len({first, again}) == 1


def test_checksums_and_signatures_of_a_session_with_target_offset(tmp_path: Path, odx: SimpleNamespace) -> None:
    hexes, where = odx.hex_text((0x8000, b"application code")), odx.segment("s", 0x8000, last=0x800F)
    made = odx.block("code", "code", where, offset=odx.pos_offset(0x10000))
    document = odx.document(odx.session("APP", "code"), made, odx.flashdata("code", "INTEL-HEX", hexes))
    right = f"{zlib.crc32(b'application code'):08X}"
    found = read(tmp_path, "one.pdx", odx.pdx(document.replace("12345678", right)))
    assert found.signatures[0].method == "ED25519"
    (check,) = found.blocks[0].checksums
    assert (check.range, check.state) == (AddressRange(0x18000, 0x18010), CheckState.RIGHT)
    with pytest.raises(InputError, match="expected checksum is not"):
        read(tmp_path, "one.pdx", odx.pdx(document))


def test_idents_say_how_they_are_read_and_memory_has_its_sectors(tmp_path: Path, odx: SimpleNamespace) -> None:
    data = odx.flashdata("code", "BINARY", "0102")
    document = odx.document(odx.session("APP", "code"), odx.block("code", "code", odx.segment("s", 0, size=2)), data)
    idents = """<IDENT-DESCS><IDENT-DESC><DIAG-COMM-SNREF SHORT-NAME="Read_F191"/>
      <IDENT-IF-SNREF SHORT-NAME="hardware"/><OUT-PARAM-IF-SNREF SHORT-NAME="number"/></IDENT-DESC></IDENT-DESCS>"""
    physical = """<PHYS-MEM ID="pm"><SHORT-NAME>pm</SHORT-NAME><PHYS-SEGMENTS>
      <PHYS-SEGMENT ID="ps" xsi:type="ADDRDEF-PHYS-SEGMENT"><SHORT-NAME>flash</SHORT-NAME><FILLBYTE>FF</FILLBYTE>
      <BLOCK-SIZE>4096</BLOCK-SIZE><START-ADDRESS>8000</START-ADDRESS><END-ADDRESS>FFFF</END-ADDRESS></PHYS-SEGMENT>
      </PHYS-SEGMENTS></PHYS-MEM>"""
    document = document.replace("<ECU-MEM-REF", idents + "<ECU-MEM-REF").replace("</MEM>", "</MEM>" + physical)
    path = tmp_path / "one.pdx"
    path.write_bytes(odx.pdx(document))
    software = software_of(Firmware("odx", MemoryImage(), session=flash_sessions(path)[0]), path)
    read_by = software.expected_idents[0].read_by
    assert read_by is not None
    assert (read_by.diag_comm, read_by.out_param) == ("Read_F191", "number")
    (part,) = software.physical
    assert (part.start, part.end, part.block_bytes, part.fill_byte) == (0x8000, 0x10000, 4096, 0xFF)


# Damage


SMALL = VbfFile("1", "A", "EXE", ((0x8000, b"first"), (0x9000, b"second")), erase=((0x8000, 0x2000),))


def test_text_that_is_not_of_its_type_is_refused() -> None:
    for text, kind in (("xyz", "A_BYTEFIELD"), ("abc", "A_UINT32"), ("-1", "A_UINT32")):
        with pytest.raises(Damaged, match=f"is no {kind}"):
            OdxValue(text, kind).data()
    assert OdxValue("258", "A_UINT32").data(2) == b"\x01\x02"
    assert OdxValue("é", "A_UNICODE2STRING").data() == b"\x00\xe9"


@given(st.data())
@settings(max_examples=200)
def test_mutated_vbf_is_refused_or_has_the_same_data(data: st.DataObject) -> None:
    raw = SMALL.raw
    at = data.draw(st.integers(0, len(raw) - 1))
    how = data.draw(st.sampled_from(["flip", "delete", "cut", "insert"]))
    rest = raw[at + 1 :]
    byte = data.draw(st.integers(0, 255))
    new = {"flip": bytes([byte]) + rest, "delete": rest, "cut": b"", "insert": bytes([byte]) + raw[at:]}[how]
    try:
        found = of_vbf_file(raw[:at] + new)
    except InputError:
        return
    if found.blocks[0].segments and not found.blocks[0].segments[0].is_packed:
        assert [(each.address, each.data) for each in found.blocks[0].segments] == list(SMALL.blocks)


def of_vbf_file(raw: bytes) -> SoftwareFile:
    try:
        return of_vbf(raw)
    except (Damaged, Unsuited) as error:
        raise InputError(str(error)) from None


FEW = tuple(replace(block, data=block.data[:64]) for block in odx_blocks("2.0.0"))


@given(st.data())
@settings(max_examples=40, deadline=None)
def test_mutated_pdx_never_passes_a_wrong_checksum(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    raw, path = pdx(FEW, "2.0.0"), tmp_path_factory.mktemp("pdx") / "unit.pdx"
    at = data.draw(st.integers(0, len(raw) - 1))
    rest = raw[at + 1 :] if data.draw(st.booleans()) else b""
    path.write_bytes(raw[:at] + bytes([raw[at] ^ data.draw(st.integers(1, 255))]) + rest)
    try:
        found = read_software(path)
    except InputError:
        return
    for block in found.blocks:
        for check in (each for each in block.checksums if each.state is CheckState.RIGHT):
            assert check.range is not None
            memory = MemoryImage.of(Segment(each.address, each.plain() or b"") for each in block.segments)
            assert zlib.crc32(memory.within(check.range).segments[0].data).to_bytes(4, "big") == check.value
    assert problems(found) == ()


def test_the_unit_has_the_blocks_that_the_tests_are_about() -> None:
    assert {OdxBlock(each.name, each.index, each.data).address for each in FEW} == {
        odx_unit.CALIBRATION,
        odx_unit.APPLICATION,
    }
