"""ELF: PT_LOAD segments at their physical addresses, told against pyelftools; damaged files by offset."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images.damaged import Damaged, Unsuited
from bench.images.elf import read_elf
from bench.images.memory import Segment
from bench.images.readers import read_firmware, read_image

PT_LOAD, PT_NOTE, ARM = 1, 4, 40
Header = tuple[int, int, bytes, int]
"""p_type, p_paddr, data, p_memsz beyond the data."""
FIRMWARE: list[Header] = [(PT_LOAD, 0x460, b"data", 0), (PT_NOTE, 0, b"note", 0), (PT_LOAD, 0x0, b"vectors!", 0x40),
                          (PT_LOAD, 0x2000_0000, b"", 0x93C)]  # fmt: skip


def elf(headers: list[Header], *, bits: int = 32, order: str = "<", kind: int = 2) -> bytes:
    """Return an ELF file: header, program headers, then the data; p_vaddr differs from p_paddr on purpose."""
    head, entry_bytes = (52, 32) if bits == 32 else (64, 56)
    rest = "HHIIIIIHHHHHH" if bits == 32 else "HHIQQQIHHHHHH"
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    phoff = head if headers else 0
    out = ident + struct.pack(order + rest, kind, ARM, 1, 0x34F, phoff, 0, 0, head, entry_bytes, len(headers), 0, 0, 0)
    at, data = head + entry_bytes * len(headers), b""
    for p_type, paddr, piece, more in headers:
        sizes = (len(piece), len(piece) + more)
        if bits == 32:
            out += struct.pack(order + "8I", p_type, at + len(data), paddr ^ 0x1000, paddr, *sizes, 5, 4)
        else:
            out += struct.pack(order + "2I6Q", p_type, 5, at + len(data), paddr ^ 0x1000, paddr, *sizes, 4)
        data += piece
    return out + data


@pytest.mark.parametrize("bits", [32, 64])
@pytest.mark.parametrize("order", ["<", ">"])
def test_segments_are_taken_at_their_physical_addresses_in_every_class_and_byte_order(
    tmp_path: Path, bits: int, order: str
) -> None:
    path = tmp_path / "firmware.elf"
    path.write_bytes(elf(FIRMWARE, bits=bits, order=order))
    firmware = read_firmware(path)
    assert firmware.image.segments == (Segment(0, b"vectors!"), Segment(0x460, b"data"))
    assert firmware.start_address == 0x34F
    assert firmware.fields == {
        "class": f"ELF{bits}", "byte_order": {"<": "little", ">": "big"}[order], "machine": "ARM",
    }  # fmt: skip


@given(
    st.lists(st.tuples(st.integers(0, 60), st.binary(max_size=40)), min_size=1, max_size=5, unique_by=lambda p: p[0]),
    st.sampled_from([32, 64]),
    st.sampled_from(["<", ">"]),
)
def test_segments_are_those_that_pyelftools_reads(pages: list[tuple[int, bytes]], bits: int, order: str) -> None:
    raw = elf([(PT_LOAD, page * 64, data, page) for page, data in pages], bits=bits, order=order)
    peer = [
        Segment(each["p_paddr"], each.data())
        for each in ELFFile(io.BytesIO(raw)).iter_segments()
        if each["p_type"] == "PT_LOAD" and each["p_filesz"]
    ]
    assert list(read_elf(raw).segments) == peer


def test_elf_without_suffix_is_known_by_its_magic(tmp_path: Path) -> None:
    path = tmp_path / "firmware"
    path.write_bytes(elf(FIRMWARE))
    assert read_image(path).size_bytes == 12


def changed(at: int, value: int, raw: bytes = elf(FIRMWARE)) -> bytes:
    return raw[:at] + bytes([value]) + raw[at + 1 :]


LOADS_HIGH = elf([(PT_LOAD, 0xFFFF_FFFE, b"abcd", 0)])
P_FILESZ_OF_FIRST = 52 + 16


@pytest.mark.parametrize(
    ("raw", "told"),
    [
        (elf(FIRMWARE)[:10], "at offset 0xA: the ELF header is cut off"),
        (elf(FIRMWARE)[:40], "at offset 0x28: the ELF header is cut off"),
        (changed(0, 0x7E), "at offset 0x0: the ELF magic is missing"),
        (changed(4, 3), "at offset 0x4: EI_CLASS is 3, allowed are 1"),
        (changed(5, 0), "at offset 0x5: EI_DATA is 0, allowed are 1"),
        (changed(6, 2), "at offset 0x6: EI_VERSION is 2"),
        (changed(42, 16), "at offset 0x2A: e_phentsize is 16, a program header has 32 bytes"),
        (elf(FIRMWARE)[:70], "at offset 0x34: program header 0 lies beyond"),
        (elf(FIRMWARE)[:-1], "at offset 0x74: program header 2: its 0x8 bytes at 0xBC go beyond"),
        (changed(P_FILESZ_OF_FIRST, 5), "at offset 0x34: program header 0: p_filesz 0x5 is above p_memsz 0x4"),
        (LOADS_HIGH, "at offset 0x34: program header 0: data beyond 32-bit addresses, at 0xFFFFFFFE"),
        (elf([(PT_LOAD, 2, b"abcd", 0), (PT_LOAD, 0, b"efgh", 0)]), r"0x00000002.*twice \(program headers 0 and 1\)"),
        (elf([(PT_LOAD, 0, b"", 64)]), "it holds no data"),
    ],
)
def test_damaged_elf_is_refused_with_the_offset(tmp_path: Path, raw: bytes, told: str) -> None:
    path = tmp_path / "damaged.elf"
    path.write_bytes(raw)
    with pytest.raises(InputError, match=told) as refusal:
        read_image(path)
    assert "damaged.elf" in str(refusal.value)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (elf(FIRMWARE, kind=1), "ET_REL, not linked"),
        (elf(FIRMWARE, kind=4), "ET_CORE"),
        (elf(FIRMWARE, kind=99), "e_type 99"),
        (elf([]), "0 program headers"),
    ],
)
def test_elf_that_is_no_executable_is_refused_with_what_it_is(tmp_path: Path, raw: bytes, found: str) -> None:
    path = tmp_path / "object.elf"
    path.write_bytes(raw)
    with pytest.raises(InputError, match="no executable") as refusal:
        read_image(path)
    assert found in str(refusal.value)
    assert "link it first" in str(refusal.value)


def test_headers_that_load_the_same_bytes_over_and_over_are_refused() -> None:
    raw = bytearray(elf([(PT_LOAD, n * 0x1000, b"x" * 200, 0) for n in range(9)]))
    for n in range(9):
        at = 52 + n * 32
        raw[at + 4 : at + 8] = bytes(4)
        raw[at + 16 : at + 24] = struct.pack("<2I", 600, 600)
    with pytest.raises(Damaged, match="more bytes than the file has"):
        read_elf(bytes(raw))


@given(st.integers(0, len(elf(FIRMWARE)) - 1), st.integers(0, 255), st.sampled_from([32, 64]))
def test_elf_with_any_byte_changed_is_read_or_refused_and_nothing_else(at: int, value: int, bits: int) -> None:
    try:
        found = read_elf(changed(at, value, elf(FIRMWARE, bits=bits)))
    except (Damaged, Unsuited):
        return
    assert sum(len(segment.data) for segment in found.segments) <= len(elf(FIRMWARE, bits=bits))


def test_sign_extended_addresses_of_a_64_bit_file_are_32_bit_ones() -> None:
    raw = bytearray(elf([(PT_LOAD, 0xFFFF_FFFF_BE00_0000, b"code", 0)], bits=64))
    struct.pack_into("<Q", raw, 24, 0xFFFF_FFFF_BE00_0004)
    found = read_elf(bytes(raw))
    assert (found.segments, found.entry) == ((Segment(0xBE00_0000, b"code"),), 0xBE00_0004)


def test_entry_beyond_32_bit_addresses_is_refused() -> None:
    raw = bytearray(elf([(PT_LOAD, 0x1000, b"code", 0)], bits=64))
    struct.pack_into("<Q", raw, 24, 1 << 32)
    with pytest.raises(Damaged, match="e_entry is beyond") as refusal:
        read_elf(bytes(raw))
    assert refusal.value.offset == 24
