"""Writing and comparing memory images."""

from __future__ import annotations

from pathlib import Path

import bincopy
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images.differences import Difference, Kind, differences
from bench.images.memory import AddressRange, MemoryImage, Segment
from bench.images.readers import read_firmware
from bench.images.shaping import filled
from bench.images.writers import encode_image, written_format

cells = st.dictionaries(st.integers(0, 60), st.integers(0, 3), max_size=40)
pages = st.dictionaries(st.integers(0, 0xFFFF), st.binary(min_size=1, max_size=90), min_size=1, max_size=5)


def from_cells(memory: dict[int, int]) -> MemoryImage:
    return MemoryImage.of(Segment(address, bytes((value,))) for address, value in memory.items())


@pytest.mark.parametrize(("file_format", "suffix"), [("ihex", ".hex"), ("srec", ".s37"), ("ti_txt", ".txt")])
@pytest.mark.parametrize("start", [None, 0x0800_01ED])
def test_written_file_is_read_back_as_the_same_image(
    tmp_path: Path, file_format: str, suffix: str, start: int | None
) -> None:
    image = MemoryImage.of([Segment(0, bytes(range(256)) * 300), Segment(0xFFFF_FFF0, b"the very end 123")])
    path = tmp_path / f"f{suffix}"
    path.write_bytes(encode_image(image, file_format, start_address=start))
    again = read_firmware(path)
    assert (again.file_format, again.image) == (file_format, image)
    assert again.start_address == (None if file_format == "ti_txt" else start)


@given(pages, st.sampled_from(["ihex", "srec", "ti_txt"]))
def test_written_text_is_read_by_bincopy_as_the_same_image(memory: dict[int, bytes], file_format: str) -> None:
    image = MemoryImage.of(Segment(page * 0x1_0000 - page % 64 + 64, data) for page, data in memory.items())
    peer = bincopy.BinFile()
    text = encode_image(image, file_format).decode()
    {"ihex": peer.add_ihex, "srec": peer.add_srec, "ti_txt": peer.add_ti_txt}[file_format](text)
    assert MemoryImage.of(Segment(s.address, bytes(s.data)) for s in peer.segments) == image


def test_no_intel_hex_record_crosses_the_end_of_64_kib() -> None:
    image = MemoryImage.of([Segment(0xFFF5, b"x" * 64)])
    records = [bincopy.unpack_ihex(line) for line in encode_image(image, "ihex").decode().splitlines()]
    data = [(address, len(piece)) for kind, address, _size, piece in records if kind == bincopy.IHEX_DATA]
    assert data[0] == (0xFFF5, 11)
    assert all(address + size <= 0x1_0000 for address, size in data)


def test_binary_of_an_image_with_gaps_is_refused() -> None:
    with pytest.raises(ValueError, match="has 2"):
        encode_image(MemoryImage.of([Segment(0, b"a"), Segment(2, b"b")]), "binary")


def test_filling_a_gap_over_the_size_limit_is_refused() -> None:
    image = MemoryImage.of([Segment(0, b"a"), Segment(0x1000_0000, b"b")])
    with pytest.raises(InputError, match="too large") as refusal:
        filled(image, 0xFF, file="f.hex")
    assert "--crop" in str(refusal.value)


@pytest.mark.parametrize(("name", "told"), [("f.elf", "elf files are read, not written"), ("f", "no suffix")])
def test_name_that_tells_no_written_format_is_refused(name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        written_format(Path(name))


@given(cells, cells)
def test_differences_name_every_address_that_differs_and_no_other(a: dict[int, int], b: dict[int, int]) -> None:
    told: dict[int, Kind] = {}
    for each in differences(from_cells(a), from_cells(b)):
        assert (each.a, each.b) == (a.get(each.range.start), b.get(each.range.start))
        told |= dict.fromkeys(range(each.range.start, each.range.end), each.kind)
    expected = {n: Kind.CHANGED for n in a.keys() & b.keys() if a[n] != b[n]}
    expected |= dict.fromkeys(a.keys() - b.keys(), Kind.ONLY_A) | dict.fromkeys(b.keys() - a.keys(), Kind.ONLY_B)
    assert told == expected


def test_a_long_difference_is_one_range_over_steps_and_edges() -> None:
    a = MemoryImage.of([Segment(0x10, b"a" * 10_000), Segment(0x8000, b"same" * 2000)])
    b = MemoryImage.of([Segment(0x10, b"b" * 10_000), Segment(0x8000, b"same" * 2000)])
    assert differences(a, b) == (Difference(AddressRange(0x10, 0x10 + 10_000), Kind.CHANGED, 0x61, 0x62),)


@pytest.mark.parametrize(("at", "size"), [(4095, 2), (4096, 4096), (0, 4096), (8191, 1)])
def test_a_difference_at_the_edge_of_a_step_is_told_exactly(at: int, size: int) -> None:
    a = bytes(12_288)
    b = a[:at] + b"\x01" * size + a[at + size :]
    found = differences(MemoryImage.of([Segment(0, a)]), MemoryImage.of([Segment(0, b)]))
    assert [each.range for each in found] == [AddressRange(at, at + size)]
