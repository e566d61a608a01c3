from __future__ import annotations

from pathlib import Path

import bincopy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images import readers
from bench.images.damaged import Damaged
from bench.images.memory import AddressRange, MemoryImage, Segment, fit_to_region
from bench.images.readers import read_image
from bench.images.text_files import TEXT_FORMATS, read_text

BODY_REGION = AddressRange(0x0, 0x40000)
memories = st.lists(
    st.tuples(st.integers(0, 40), st.binary(min_size=1, max_size=80)), min_size=1, max_size=6, unique_by=lambda p: p[0]
)


def firmware(payload: bytes = bytes(range(256)) * 3) -> bincopy.BinFile:
    """Return an image of the shape of a small ARM firmware: code at 0, configuration words far away."""
    image = bincopy.BinFile()
    image.add_binary(payload, 0)
    image.add_binary(b"\x7c\xb0\xee\x17", 0x1000_10C0)
    image.execution_start_address = 0x0001_CCD9
    return image


def written(folder: Path, name: str, text: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def record(kind: int, address: int, data: bytes = b"") -> str:
    return str(bincopy.pack_ihex(kind, address, len(data), data))


END = ":00000001FF"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("f.hex", firmware().as_ihex()),
        ("f.srec", firmware().as_srec()),
        ("f.txt", firmware().as_ti_txt()),
        ("without_suffix", firmware().as_ihex()),
    ],
)
def test_image_read_from_each_text_format_has_code_and_configuration_words(
    tmp_path: Path, name: str, text: str
) -> None:
    image = read_image(written(tmp_path, name, text))
    assert image.segments == (Segment(0, bytes(range(256)) * 3), Segment(0x1000_10C0, b"\x7c\xb0\xee\x17"))


def test_firmware_with_configuration_words_far_away_fits_the_body_region_only_with_crop(tmp_path: Path) -> None:
    image = read_image(written(tmp_path, "firmware.hex", firmware().as_ihex()))
    with pytest.raises(InputError, match=r"0x100010C0\.\.0x100010C4 \(4 bytes\)"):
        fit_to_region(image, BODY_REGION, crop=False)
    fitted = fit_to_region(image, BODY_REGION, crop=True)
    assert fitted.data == bytes(range(256)) * 3
    assert fitted.left_out == (AddressRange(0x1000_10C0, 0x1000_10C4),)


@given(memories)
def test_hex_srec_and_ti_txt_are_read_as_bincopy_reads_them(memory: list[tuple[int, bytes]]) -> None:
    peer = bincopy.BinFile()
    for page, data in memory:
        peer.add_binary(data, page * 0x1_0000 + page)
    expected = MemoryImage.of(Segment(s.address, bytes(s.data)) for s in peer.segments)
    texts = {"ihex": peer.as_ihex(), "ti_txt": peer.as_ti_txt(), "srec": peer.as_srec() + "S70500000000FA"}
    for file_format, text in texts.items():
        assert read_text(text.encode(), file_format, limit_bytes=10_000).image == expected


def test_raw_binary_starts_at_the_given_base(tmp_path: Path) -> None:
    image = read_image(written(tmp_path, "f.bin", b"\x00\x01\x02"), binary_base=0x8000)
    assert image.segments == (Segment(0x8000, b"\x00\x01\x02"),)


def test_raw_binary_beyond_32_bit_addresses_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit"):
        read_image(written(tmp_path, "f.bin", b"abc"), binary_base=0xFFFF_FFFE)


def test_records_out_of_order_with_extended_segment_addresses_are_put_in_order(tmp_path: Path) -> None:
    lines = [record(2, 0, b"\x10\x00"), record(0, 4, b"efgh"), record(0, 0, b"abcd"), END]
    image = read_image(written(tmp_path, "f.hex", "\r\n".join(lines)))
    assert image.segments == (Segment(0x10000, b"abcdefgh"),)


def damaged(lines: list[str]) -> str:
    return "\n".join(lines) + "\n"


FLIPPED = record(0, 0, b"abcd").replace("61", "62", 1)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("crc.hex", damaged([record(0, 8, b"x"), FLIPPED, END]), "line 2: its checksum is 0x72, its bytes give 0x71"),
        (
            "cut.hex",
            damaged([record(0, 0, b"abcd"), record(0, 4, b"efgh")[:-4]]),
            "line 2: .*length: it says 4, it has 2",
        ),
        ("noend.hex", damaged([record(0, 0, b"abcd")]), "line 1: the end record is missing"),
        ("after.hex", damaged([record(0, 0, b"a"), END, record(0, 1, b"b")]), "line 3: there are records after"),
        ("twice.hex", damaged([record(0, 0, b"abcd"), record(0, 2, b"ef"), END]), "line 2: 0x00000002.*given twice"),
        ("type.hex", damaged([record(9, 0, b"a"), END]), "line 1: unknown record type 09"),
        ("wrap.hex", damaged([record(2, 0, b"\x10\x00"), record(0, 0xFFFE, b"abcd"), END]), "line 2: .*wraps"),
        ("high.hex", damaged([record(4, 0, b"\xff\xff"), record(0, 0xFFFE, b"abc"), END]), "line 2: data beyond 32"),
        ("address.hex", damaged([record(4, 0, b"\x01"), END]), "line 1: an address record has 2 bytes"),
        ("digits.hex", ":zz\n", "line 1: "),
        ("blank.hex", "\n\n", "the end record is missing"),
        ("nothing.hex", END, "it holds no data"),
        ("crc.srec", damaged(["S1050000616238", "S9030000FC"]), "line 1: its checksum is 0x38, its bytes give 0x37"),
        (
            "count.srec",
            damaged(["S1050000616237", "S5030002FA", "S9030000FC"]),
            "line 2: the count record",
        ),
        ("noend.srec", damaged(["S1050000616237"]), "end record .* is missing"),
        ("kind.srec", damaged(["SX050000616237"]), "line 1: "),
        ("noend.txt", damaged(["@0000", "01 02"]), "line 2: the end mark q is missing"),
        ("early.txt", damaged(["01 02", "q"]), "line 1: data stands before"),
        ("digits.txt", damaged(["@0000", "0g", "q"]), "line 2: not pairs"),
        ("address.txt", damaged(["@xyz", "01", "q"]), "line 1: 'xyz' is not a hex"),
        ("long.txt", damaged(["@0", "00" * 17, "q"]), "line 2: 17 bytes in a line"),
        ("after.txt", damaged(["@0", "00", "q", "00"]), "line 4: there is text after"),
        ("raw.hex", b":00\xff", "offset 0x3: byte 0xFF is not text"),
    ],
)
def test_damaged_file_is_refused_with_file_and_line(tmp_path: Path, name: str, text: str | bytes, told: str) -> None:
    with pytest.raises(InputError, match=told) as refusal:
        read_image(written(tmp_path, name, text))
    assert name in str(refusal.value)


@given(st.binary(max_size=200), st.sampled_from(TEXT_FORMATS))
def test_random_text_is_refused_and_nothing_else(noise: bytes, file_format: str) -> None:
    with pytest.raises(Damaged) as refusal:
        read_text(noise, file_format, limit_bytes=10_000)
    bad = refusal.value
    assert bad.offset is not None or bad.line is None or 0 <= bad.line <= noise.count(b"\n") + noise.count(b"\r") + 1


def test_empty_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="empty"):
        read_image(written(tmp_path, "f.hex", b""))


def test_missing_file_is_refused_and_the_folders_files_are_named(tmp_path: Path) -> None:
    written(tmp_path, "other.hex", END)
    with pytest.raises(InputError, match=r"other\.hex"):
        read_image(tmp_path / "f.hex")


def test_image_over_the_size_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_IMAGE_BYTES", 700)
    with pytest.raises(InputError, match="too large") as refusal:
        read_image(written(tmp_path, "f.hex", firmware().as_ihex()))
    assert "more than 700 bytes, at line 22" in str(refusal.value)


def test_unknown_format_name_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="ihex, srec, ti_txt, elf, vbf, odx, binary"):
        read_image(written(tmp_path, "f.hex", END), file_format="coff")
