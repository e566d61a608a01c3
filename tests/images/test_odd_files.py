"""Text files as other tools write them: order, overlaps, gaps, start addresses, both kinds of address records."""

from __future__ import annotations

from pathlib import Path
from random import Random

import bincopy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images.firmware import Firmware
from bench.images.memory import MemoryImage, Segment
from bench.images.readers import read_firmware
from bench.images.text_files import read_text

END = ":00000001FF"
memories = st.dictionaries(st.integers(0, 30), st.binary(min_size=1, max_size=64), min_size=1, max_size=8)


def ihex(kind: int, address: int, data: bytes = b"") -> str:
    return str(bincopy.pack_ihex(kind, address, len(data), data))


def srec(kind: str, address: int, data: bytes = b"") -> str:
    return str(bincopy.pack_srec(kind, address, len(data), data))


def read(folder: Path, name: str, lines: list[str], end: str = "\n") -> Firmware:
    path = folder / name
    path.write_bytes(end.join(lines).encode() + end.encode())
    return read_firmware(path)


def test_segment_records_give_paragraphs_and_linear_records_upper_halves(tmp_path: Path) -> None:
    lines = [ihex(2, 0, b"\x12\x34"), ihex(0, 0x10, b"ab"), ihex(4, 0, b"\x12\x34"), ihex(0, 0x10, b"cd"), END]
    assert read(tmp_path, "f.hex", lines).image.segments == (Segment(0x12350, b"ab"), Segment(0x1234_0010, b"cd"))


@pytest.mark.parametrize("name", ["bom.hex", "bom.without_suffix"])
def test_byte_order_mark_before_the_first_record_is_passed_over(tmp_path: Path, name: str) -> None:
    lines = ["\ufeff" + ihex(0, 0x10, b"ab"), END]
    assert read(tmp_path, name, lines).image.segments == (Segment(0x10, b"ab"),)
    with pytest.raises(InputError, match=r"offset 0x5: byte 0xC3"):
        read(tmp_path, "umlaut.hex", ["\ufeff:1ü"])


def test_data_before_the_first_address_record_lies_in_the_first_64_kib(tmp_path: Path) -> None:
    lines = [ihex(0, 0xFFFC, b"abcd"), ihex(4, 0, b"\x00\x01"), ihex(0, 0, b"efgh"), END]
    assert read(tmp_path, "f.hex", lines).image.segments == (Segment(0xFFFC, b"abcdefgh"),)


@pytest.mark.parametrize(
    ("name", "lines", "start"),
    [
        ("linear.hex", [ihex(0, 0, b"a"), ihex(5, 0, b"\x00\x01\xcc\xd9"), END], 0x0001_CCD9),
        ("segment.hex", [ihex(3, 0, b"\x12\x00\x00\x34"), ihex(0, 0, b"a"), END], 0x12034),
        ("none.hex", [ihex(0, 0, b"a"), END], None),
        ("s7.srec", [srec("3", 0, b"a"), srec("7", 0x0800_01ED)], 0x0800_01ED),
        ("s8.srec", [srec("2", 0, b"a"), srec("8", 0x1_2345)], 0x1_2345),
        ("s9.srec", [srec("1", 0, b"a"), srec("9", 0x1234)], 0x1234),
        ("zero.srec", [srec("1", 0, b"a"), "S9030000FC"], None),
    ],
)
def test_start_address_is_that_of_the_start_record(
    tmp_path: Path, name: str, lines: list[str], start: int | None
) -> None:
    assert read(tmp_path, name, lines).start_address == start


def test_start_record_of_wrong_length_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 2: a start record has 4 bytes, this one 2"):
        read(tmp_path, "f.hex", [ihex(0, 0, b"a"), ihex(5, 0, b"\x00\x01"), END])


def test_srec_with_header_mixed_address_sizes_and_count_is_read(tmp_path: Path) -> None:
    lines = [srec("0", 0, b"body"), srec("3", 0x2_0000, b"cd"), srec("1", 0x10, b"ab"), srec("5", 2), srec("7", 0)]
    image = read(tmp_path, "f.s19", lines, end="\r\n").image
    assert image.segments == (Segment(0x10, b"ab"), Segment(0x2_0000, b"cd"))


@pytest.mark.parametrize(
    ("name", "lines"),
    [
        ("f.hex", [ihex(0, 8, b"efgh"), ihex(0, 0, b"abcd"), ihex(0, 10, b"x"), END]),
        ("f.srec", [srec("1", 8, b"efgh"), srec("1", 0, b"abcd"), srec("1", 10, b"x"), srec("9", 0)]),
        ("f.txt", ["@8", "65 66 67 68", "@0", "61 62 63 64", "@A", "78", "q"]),
    ],
)
def test_overlapping_records_are_refused_with_the_lines_of_both(tmp_path: Path, name: str, lines: list[str]) -> None:
    with pytest.raises(InputError, match=r"0x0000000A\.\.0x0000000B \(1 bytes\) is given twice \(records from line "):
        read(tmp_path, name, lines)


@given(memories, st.randoms(use_true_random=False))
def test_records_in_any_order_and_with_gaps_give_the_original_memory(pages: dict[int, bytes], shuffled: Random) -> None:
    original = MemoryImage.of(Segment(page * 0x4000 + page, data) for page, data in pages.items())
    pieces = [Segment(s.address + n, s.data[n : n + 7]) for s in original.segments for n in range(0, len(s.data), 7)]
    shuffled.shuffle(pieces)
    linear, segment = [], []
    for piece in pieces:
        upper, lower = divmod(piece.address, 0x1_0000)
        linear += [ihex(4, 0, upper.to_bytes(2, "big")), ihex(0, lower, piece.data)]
        segment += [ihex(2, 0, (piece.address >> 4).to_bytes(2, "big")), ihex(0, piece.address & 0xF, piece.data)]
    records = [srec("3", piece.address, piece.data) for piece in pieces]
    for file_format, lines in (
        ("ihex", [*linear, END]),
        ("ihex", [*segment, END]),
        ("srec", [*records, srec("7", 0)]),
    ):
        raw = "\n".join(lines).encode()
        assert read_text(raw, file_format, limit_bytes=10_000).image == original


OPTIBOOT_SHAPE = [
    ihex(0, 0x7E00, b"boot"),
    ihex(0, 0x7FF0, b"runs to the end!"),
    ihex(0, 0x8000, b"and beyond"),
    ihex(0, 0x7FFE, b"\x04\x04"),
    ihex(3, 0, b"\x00\x00\x7e\x00"),
    END,
]
"""As Arduino's optiboot_atmega328.hex: the version word is written over code."""


def test_address_given_twice_is_refused_unless_the_later_record_shall_win(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 4: 0x00007FFE..0x00008000 \(2 bytes\) is given twice") as refusal:
        read(tmp_path, "optiboot.hex", OPTIBOOT_SHAPE)
    assert "--later-wins" in str(refusal.value)
    firmware = read_firmware(tmp_path / "optiboot.hex", later_wins=True)
    assert firmware.image.segments == (Segment(0x7E00, b"boot"), Segment(0x7FF0, b"runs to the en\x04\x04and beyond"))
    assert firmware.start_address == 0x7E00


@given(st.lists(st.tuples(st.integers(0, 60), st.binary(min_size=1, max_size=20)), min_size=1, max_size=30))
def test_later_records_win_as_if_written_one_after_the_other(writes: list[tuple[int, bytes]]) -> None:
    memory: dict[int, int] = {}
    for address, data in writes:
        memory |= {address + n: byte for n, byte in enumerate(data)}
    raw = "\n".join([*(ihex(0, address, data) for address, data in writes), END]).encode()
    image = read_text(raw, "ihex", limit_bytes=10_000, later_wins=True).image
    assert {s.address + n: byte for s in image.segments for n, byte in enumerate(s.data)} == memory


def test_srec_that_ends_with_a_right_count_is_whole(tmp_path: Path) -> None:
    lines = [srec("3", 0x100, b"abcd"), srec("3", 0x104, b"efgh"), srec("5", 2)]
    assert read(tmp_path, "f.s37", lines).image.segments == (Segment(0x100, b"abcdefgh"),)
    with pytest.raises(InputError, match=r"line 1: the end record .* is missing"):
        read(tmp_path, "f.s37", lines[:1])


def test_text_with_cr_alone_lower_case_and_blank_lines_is_read(tmp_path: Path) -> None:
    lines = [ihex(0, 0, b"\xab\xcd").lower(), "", "  " + ihex(0, 2, b"\xef") + "  ", END]
    assert read(tmp_path, "f.hex", lines, end="\r").image.segments == (Segment(0, b"\xab\xcd\xef"),)
    lines = ["@F0", "0a 0B", "@1F0", "cc", "q"]
    assert read(tmp_path, "f.txt", lines).image.segments == (Segment(0xF0, b"\n\x0b"), Segment(0x1F0, b"\xcc"))


def test_short_line_of_ti_txt_within_a_section_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="line 3: the line before has less than 16 bytes"):
        read(tmp_path, "f.txt", ["@F0", "01 02", "03 04", "q"])


def test_records_backwards_and_one_byte_each_are_joined_in_time_that_grows_with_their_number(tmp_path: Path) -> None:
    lines = [ihex(0, n, bytes((n & 0xFF,))) for n in range(0xFFFF, -1, -1)]
    image = read(tmp_path, "f.hex", [*lines, END]).image
    assert image.segments == (Segment(0, bytes(range(256)) * 256),)
    assert read_firmware(tmp_path / "f.hex", later_wins=True).image == image


def test_segments_at_both_ends_of_the_address_space_take_no_memory_between(tmp_path: Path) -> None:
    lines = [ihex(4, 0, b"\xff\xff"), ihex(0, 0xFFFC, b"last"), ihex(4, 0, b"\x00\x00"), ihex(0, 0, b"first"), END]
    image = read(tmp_path, "f.hex", lines).image
    assert image.segments == (Segment(0, b"first"), Segment(0xFFFF_FFFC, b"last"))


@pytest.mark.parametrize(("limit", "told"), [("MAX_RUNS", "separate stretches"), ("MAX_SEGMENTS", "separate segments")])
def test_file_of_too_many_scattered_records_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, told: str
) -> None:
    monkeypatch.setattr(f"bench.images.text_files.{limit}", 100)
    with pytest.raises(InputError, match=told):
        read(tmp_path, "f.hex", [*(ihex(0, 2 * n, b"x") for n in range(102)), END])
