"""ODX-F and PDX: sessions, addresses, packed data, and what is refused."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.cli import exit_code_of
from bench.core.errors import InputError
from bench.images.flash_session import FlashSession, OdxValue
from bench.images.memory import AddressRange, Segment
from bench.images.readers import flash_sessions, read_firmware, read_image


@pytest.fixture
def path(tmp_path: Path, two_sessions: bytes, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bcm.pdx"
    path.write_bytes(two_sessions)
    return path


def one(odx: SimpleNamespace, data: str, segments: str = "", extra: str = "", offset: str = "") -> str:
    """Return a document of one session, one block and its data."""
    return str(odx.document(odx.session("APP", "code"), odx.block("code", "code", segments, extra, offset), data))


def read(folder: Path, odx: SimpleNamespace, document: str, files: dict[str, bytes] | None = None) -> FlashSession:
    path = folder / "one.pdx"
    path.write_bytes(odx.pdx(document, files))
    return flash_sessions(path)[0]


def test_sessions_of_a_pdx_have_blocks_segments_idents_checksums_and_security(path: Path) -> None:
    app, data = flash_sessions(path)
    assert (app.name, app.ecu_mem, app.part_number, app.direction) == ("APP", "BCM_MEM", "BCM-17", "DOWNLOAD")
    assert (data.name, data.part_number) == ("DATA", None)
    assert app.expected_idents == {
        "hardware": (OdxValue("BCM-HW-03", "A_ASCIISTRING"), OdxValue("BCM-HW-04", "A_ASCIISTRING"))
    }
    checksum = app.checksums[0]
    assert (checksum.algorithm, checksum.range, checksum.result.text) == (
        "CRC32",
        AddressRange(0x8000, 0x8010),
        "12345678",
    )
    assert app.securities[0].method == OdxValue("ED25519", "A_ASCIISTRING")
    code, table = app.blocks
    assert (code.name, code.kind, code.logical_block_index, code.data_format) == ("code", "CODE", 1, "INTEL-HEX")
    assert code.own_idents == {"version": OdxValue("1.2.0", "A_ASCIISTRING")}
    assert code.securities[0].signature == OdxValue("AABBCC", "A_BYTEFIELD")
    assert [(each.name, each.range, each.data) for each in table.segments] == [
        ("low", AddressRange(0x9000, 0x9003), b"\x00\xff\x80"),
        ("high", AddressRange(0xA000, 0xA002), b"hi"),
    ]


def test_chosen_session_is_the_memory_image(path: Path) -> None:
    image = read_firmware(path, session="APP").image
    assert image.segments == (
        Segment(0x8000, b"application code"),
        Segment(0x9000, b"\x00\xff\x80"),
        Segment(0xA000, b"hi"),
    )


def test_target_offset_moves_a_block_without_segments(path: Path) -> None:
    assert read_firmware(path, session="BCM_MEM.DATA").image.segments == (Segment(0x10100, b"dataset"),)


def test_document_without_container_takes_its_files_from_its_folder(tmp_path: Path, odx: SimpleNamespace) -> None:
    document = one(odx, odx.flashdata("code", "BINARY", "file:set.bin"), odx.segment("s", 0x100, size=4))
    for name in ("one.odx-f", "without_suffix"):
        (tmp_path / name).write_text(document)
        (tmp_path / "set.bin").write_bytes(b"\xfe\xdc\xba\x98")
        assert read_image(tmp_path / name).segments == (Segment(0x100, b"\xfe\xdc\xba\x98"),)


def test_several_sessions_and_none_chosen_are_refused_with_their_names(path: Path) -> None:
    with pytest.raises(InputError, match="one must be chosen") as refusal:
        read_image(path)
    assert "APP, DATA" in str(refusal.value)
    with pytest.raises(InputError, match="no such flash session"):
        read_firmware(path, session="BOOT")


def test_session_of_another_format_is_refused(tmp_path: Path, odx: SimpleNamespace) -> None:
    path = tmp_path / "f.hex"
    path.write_text(odx.hex_text((0, b"a")))
    with pytest.raises(InputError, match="no flash sessions"):
        read_firmware(path, session="APP")


def test_packed_data_are_named_and_kept_as_they_are(tmp_path: Path, odx: SimpleNamespace) -> None:
    data = odx.flashdata("code", "BINARY", "01 02 03\n04 05", method="11")
    segments = odx.segment("a", 0x8000, size=64, packed=2) + odx.segment("b", 0x9000, last=0x90FF, packed=3)
    session = read(tmp_path, odx, one(odx, data, segments))
    assert (session.blocks[0].packed_by, session.image().segments) == ("11", ())
    assert session.packed() == (Segment(0x8000, b"\x01\x02"), Segment(0x9000, b"\x03\x04\x05"))
    assert [each.range.size_bytes for each in session.blocks[0].segments] == [64, 256]
    with pytest.raises(InputError, match="compressed or encrypted") as refusal:
        read_image(tmp_path / "one.pdx")
    assert "method 11" in str(refusal.value)


def test_method_zero_means_plain(tmp_path: Path, odx: SimpleNamespace) -> None:
    data = odx.flashdata("code", "BINARY", "0102", method="00")
    assert read(tmp_path, odx, one(odx, data, odx.segment("a", 0, size=2))).blocks[0].packed_by is None


@pytest.mark.parametrize("kind", ["SIZEDEF", "ADDRDEF"])
def test_filters_choose_a_part_of_the_data(tmp_path: Path, odx: SimpleNamespace, kind: str) -> None:
    end = "<FILTER-SIZE>2</FILTER-SIZE>" if kind == "SIZEDEF" else "<FILTER-END>8003</FILTER-END>"
    chosen = f'<FILTERS><FILTER xsi:type="{kind}-FILTER"><FILTER-START>8002</FILTER-START>{end}</FILTER></FILTERS>'
    data = odx.flashdata("code", "INTEL-HEX", odx.hex_text((0x8000, b"abcdefgh")))
    session = read(tmp_path, odx, one(odx, data, extra=chosen))
    assert session.image().segments == (Segment(0x8002, b"cd"),)


HEX = ":0480000061626364F2\n:00000001FF"


@pytest.mark.parametrize(
    ("data", "segments", "told"),
    [
        (("INTEL-HEX", HEX.replace("61", "62")), (0x8000, 4), "flash data code at line 1: its checksum"),
        (("INTEL-HEX", HEX), (0x8000, 5), r"segment s is 0x00008000..0x00008005 .5 bytes., of which the data have"),
        (("INTEL-HEX", HEX), (0x9000, 4), "of which the data have nothing"),
        (("INTEL-HEX", HEX), (0x8000, 0), "segment s has 0 bytes"),
        (("MOTOROLA-S", HEX), (0x8000, 4), "flash data code at line 1: a record begins with S0"),
        (("BINARY", "0102"), (0x8000, 3), "the segments of code take 3 bytes, its data have 2"),
        (("BINARY", "010"), (0x8000, 1), "not pairs of hexadecimal digits"),
        (("BINARY", "0102"), (0xFFFF_FFFF, 2), "segment s: data beyond 32-bit addresses"),
        (("BINARY", "0102"), None, "BINARY data and no segment"),
        (("BINARY", "file:gone.bin"), (0, 1), "the container has no file 'gone.bin'; it has index.xml, bcm.odx-f"),
        (("USER-DEFINED", "x"), (0, 1), "a format of the maker's own"),
        (("ROT13", "x"), (0, 1), "odxtools does not accept the FLASH document: .*ROT13"),
    ],
)
def test_data_that_cannot_be_used_are_refused_with_block_and_reason(
    tmp_path: Path, odx: SimpleNamespace, data: tuple[str, str], segments: tuple[int, int] | None, told: str
) -> None:
    given_segments = odx.segment("s", segments[0], size=segments[1]) if segments else ""
    with pytest.raises(InputError, match=told) as refusal:
        read(tmp_path, odx, one(odx, odx.flashdata("code", *data), given_segments))
    assert "one.pdx" in str(refusal.value)


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", "a/../../b", "C:\\x.bin", ""])
def test_data_file_outside_the_documents_folder_is_refused(tmp_path: Path, odx: SimpleNamespace, name: str) -> None:
    path = tmp_path / "one.odx-f"
    path.write_text(one(odx, odx.flashdata("code", "BINARY", f"file:{name} "), odx.segment("s", 0, size=1)))
    with pytest.raises(InputError, match="no file beside the document"):
        read_image(path)


def test_two_blocks_at_one_address_are_refused(tmp_path: Path, odx: SimpleNamespace) -> None:
    path = tmp_path / "one.odx-f"
    blocks = odx.block("a", "code", odx.segment("s", 0, size=2)) + odx.block("b", "code", odx.segment("t", 1, size=2))
    path.write_text(odx.document(odx.session("APP", "a", "b"), blocks, odx.flashdata("code", "BINARY", "0102")))
    with pytest.raises(InputError, match=r"flash session APP: 0x00000001.*is given twice"):
        read_image(path)


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("a.pdx", b"PK\x03\x04 cut off", "no whole zip file"),
        ("a.odx-f", b"<ODX><FLASH>", "at line 1: a.odx-f is no XML"),
        ("a.odx-f", b"\x00\x01", "is no XML"),
        ("a.odx-f", b"<!DOCTYPE x [<!ENTITY a 'b'>]><ODX/>", "no document type declaration"),
        ("a.odx-f", b"<ODX/>", "no FLASH document"),
        ("a.odx-f", b"<ODX><FLASH/></ODX>", "odxtools does not accept"),
        ("a.odx-f", b'<ODX><FLASH ID="a"><SHORT-NAME>a</SHORT-NAME></FLASH></ODX>', "no flash session"),
    ],
)
def test_file_that_is_no_odx_f_or_pdx_is_refused(tmp_path: Path, name: str, raw: bytes, told: str) -> None:
    (tmp_path / name).write_bytes(raw)
    with pytest.raises(InputError, match=told):
        read_image(tmp_path / name)


def test_container_that_unpacks_to_more_than_the_limit_is_refused_unread(
    tmp_path: Path, odx: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.images.readers.MAX_TEXT_BYTES", 100_000)
    path = tmp_path / "bomb.pdx"
    path.write_bytes(odx.pdx("<ODX/>", {"zeros.bin": bytes(200_000)}))
    assert path.stat().st_size < 2_000
    monkeypatch.setattr(zipfile.ZipFile, "read", lambda *_: pytest.fail("a member was unpacked"))
    with pytest.raises(InputError, match="too large"):
        read_image(path)


def test_one_flash_data_taken_by_many_blocks_is_bounded(
    tmp_path: Path, odx: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.images.readers.MAX_TEXT_BYTES", 20_000)
    names = [f"b{n}" for n in range(21)]
    blocks = "".join(odx.block(name, "code", odx.segment(name, 0x1000 * n, size=1000)) for n, name in enumerate(names))
    document = odx.document(odx.session("APP", *names), blocks, odx.flashdata("code", "BINARY", "00" * 1000))
    (tmp_path / "one.pdx").write_bytes(odx.pdx(document))
    monkeypatch.setattr("bench.images.odx._members", lambda *_: iter([("one.odx-f", document.encode())]))
    with pytest.raises(InputError, match="too large together"):
        read_image(tmp_path / "one.pdx")


def test_document_of_too_many_elements_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.images.odx.MAX_TAGS", 100)
    (tmp_path / "a.odx-f").write_text(f"<ODX>{'<A/>' * 100}</ODX>")
    with pytest.raises(InputError, match="too many elements"):
        read_image(tmp_path / "a.odx-f")


def test_without_odxtools_the_refusal_names_the_extra(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "odxtools"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "odxtools", None)
    with pytest.raises(InputError, match=r"pip install '\.\[odx\]'"):
        read_image(path)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_damaged_pdx_is_refused_or_says_the_same(tmp_path: Path, two_sessions: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(two_sessions) - 1))
    how = data.draw(st.sampled_from(["flip", "delete", "cut"]))
    path = tmp_path / "damaged.pdx"
    rest = two_sessions[at + 1 :]
    new = {"flip": bytes([two_sessions[at] ^ (1 << data.draw(st.integers(0, 7)))]) + rest, "delete": rest, "cut": b""}
    path.write_bytes(two_sessions[:at] + new[how])
    try:
        found: Any = [(each.name, each.image()) for each in flash_sessions(path)]
    except InputError:
        return
    path.write_bytes(two_sessions)
    assert found == [(each.name, each.image()) for each in flash_sessions(path)]


def test_info_lists_sessions_and_convert_takes_the_chosen_one(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code_of(["image", "info", "bcm.pdx"]) == 0
    shown = capsys.readouterr().out
    assert "APP of BCM_MEM (BCM-17, DOWNLOAD)" in shown
    assert "hardware = BCM-HW-03 or BCM-HW-04" in shown
    assert "CRC32 over 0x00008000..0x00008010 (16 bytes) is 12345678" in shown
    assert "high 0x0000A000..0x0000A002 (2 bytes)" in shown
    assert exit_code_of(["image", "info", "bcm.pdx", "--json", "--session", "DATA"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found["sessions"]] == ["DATA"]
    assert found["sessions"][0]["blocks"][0]["own_idents"]["version"]["text"] == "1.2.0"
    assert found["segments"][0]["start"] == 0x10100
    assert exit_code_of(["image", "convert", "bcm.pdx", "out.hex", "--session", "DATA"]) == 0
    assert read_image(Path("out.hex")).segments == (Segment(0x10100, b"dataset"),)
    assert exit_code_of(["image", "convert", "bcm.pdx", "out.hex"]) == 2
    assert "--session" in capsys.readouterr().err
