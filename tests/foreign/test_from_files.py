"""What the readers make of a maker's files is enough: a plain tester flashes the foreign units from it alone."""

from __future__ import annotations

from pathlib import Path

from bench.images.blocks import BlockKind, BlockSegment, SoftwareFile
from bench.images.software import read_software
from bench.images.software_set import for_one_ecu
from tests.foreign import odx_unit, vbf_loader
from tests.foreign.files import (
    MAKER_B,
    application,
    data_for,
    maker_a,
    odx_blocks,
    pdx,
    public_pem,
    secondary_bootloader,
)
from tests.foreign.memory import Flash
from tests.foreign.test_units import ODX_ADDRESS, VBF_ADDRESS, unlock_vbf, words
from tests.foreign.tester import PlainTester, connect, new_port, unit


def send(ours: PlainTester, segment: BlockSegment, size_bytes: int) -> bytes:
    """Download a segment as it stands in its file; the length is that of memory where the file says it."""
    length = segment.uncompressed_size or len(segment.data)
    begin = bytes((0x34, segment.data_format_identifier or 0, size_bytes << 4 | 4))
    return ours.download(begin + words(segment.address) + words(length, size=size_bytes), segment.data)


def flash_vbf(ours: PlainTester, file: SoftwareFile) -> None:
    (block,) = file.blocks
    for part in block.erase:
        assert ours.ask(b"\x31\x01\xff\x00" + words(part.start, part.size_bytes))[:2] == b"\x71\x01"
    for segment in block.segments:
        assert send(ours, segment, 4) == b"\x77" + words(segment.crc16 or 0, size=2)
    signature = block.signature("sw_signature_dev")
    assert signature is not None
    assert ours.ask(b"\x31\x01\x02\x12" + (signature.data or b""))[4:] == b"\x10\x00"
    if file.start_address is not None:
        assert ours.ask(b"\x31\x01\x03\x01" + words(file.start_address))[4:] == b"\x10\x00"


def test_vbf_loader_is_flashed_from_its_three_files_in_any_order(tmp_path: Path) -> None:
    made = {"a.vbf": data_for("AB"), "b.vbf": application("AB"), "c.vbf": secondary_bootloader()}
    for name, each in made.items():
        (tmp_path / name).write_bytes(each.raw)
    files = for_one_ecu([read_software(tmp_path / name) for name in made])
    assert [each.name for each in files] == ["c.vbf", "b.vbf", "a.vbf"]
    pem, port = public_pem(tmp_path, maker_a()), new_port()
    with unit("vbf_loader", tmp_path / "a", port, "--key", str(pem)), connect(port, VBF_ADDRESS) as ours:
        unlock_vbf(ours)
        for file in files:
            flash_vbf(ours, file)
        assert ours.ask(b"\x31\x01\x02\x05") == b"\x71\x01\x02\x05\x10" + words(0)
    memory = Flash(tmp_path / "a" / "flash.bin", vbf_loader.VbfLoader.regions)
    for each in (each for each in made.values() if each.kind != "SBL"):
        assert all(memory.read(address, len(data)) == data for address, data in each.blocks)


def test_odx_unit_is_flashed_from_its_pdx(tmp_path: Path) -> None:
    (tmp_path / "unit.pdx").write_bytes(pdx(odx_blocks("2.0.0"), "2.0.0"))
    file = read_software(tmp_path / "unit.pdx")
    pem, port = public_pem(tmp_path, MAKER_B), new_port()
    with unit("odx_unit", tmp_path / "b", port, "--key", str(pem)), connect(port, ODX_ADDRESS) as ours:
        ours.until(b"\x10\x02", b"\x50\x02")
        ours.until(b"\x22\xf1\x86", b"\x62\xf1\x86\x02")
        (hardware,) = file.expected_idents
        assert ours.ask(b"\x22\xf1\x91")[3:].decode() in [each.text for each in hardware.values]
        assert ours.ask(b"\x27\x12" + odx_unit.key_of(ours.ask(b"\x27\x11")[2:])) == b"\x67\x12"
        for block in file.blocks:
            index = bytes((block.logical_block_index or 0,))
            assert ours.ask(b"\x31\x01\xff\x00" + index) == b"\x71\x01\xff\x00\x00"
            assert all(send(ours, segment, 3) == b"\x77" for segment in block.segments)
            for check in block.checksums:
                assert check.range is not None
                where = words(check.range.start) + words(check.range.size_bytes, size=3)
                assert ours.ask(b"\x31\x01\x02\x02" + where + check.value)[4:] == b"\x00"
            (signature,) = block.signatures
            length = words(block.memory[0].size_bytes, size=3)
            assert ours.ask(b"\x31\x01\x02\x03" + index + length + (signature.data or b""))[4:] == b"\x00"
        ours.ask(b"\x11\x01")
        (version,) = next(block for block in file.blocks if block.kind is BlockKind.CODE).own_idents
        ours.until(b"\x22\xf1\x95", b"\x62\xf1\x95" + version.values[0].text.encode())
    memory = Flash(tmp_path / "b" / "flash.bin", odx_unit.OdxUnit.regions)
    for block in file.blocks:
        plain = block.plain()
        assert plain is not None
        assert all(memory.read(each.address, len(each.data)) == each.data for each in plain.segments)
