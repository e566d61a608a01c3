"""Any file of any kind, damaged at a random place: refused, or it says the same; never other content, never a crash."""

from __future__ import annotations

import binascii
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.images.memory import MemoryImage, Segment
from bench.images.readers import read_image
from bench.images.writers import encode_image

IMAGE = MemoryImage.of([Segment(0xFFF8, bytes(range(0x30))), Segment(0x2_0000, b"second"), Segment(0x9_0000, b"!")])
MORE = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def vbf() -> bytes:
    blocks = b"".join(
        struct.pack(">II", each.address, len(each.data))
        + each.data
        + struct.pack(">H", binascii.crc_hqx(each.data, 0xFFFF))
        for each in IMAGE.segments
    )
    return f"vbf_version = 2.6; header {{ file_checksum = 0x{zlib.crc32(blocks):08X}; }}".encode() + blocks


def elf() -> bytes:
    out = b"\x7fELF\x01\x01\x01" + bytes(9)
    out += struct.pack("<HHIIIIIHHHHHH", 2, 40, 1, 0x100, 52, 0, 0, 52, 32, len(IMAGE.segments), 0, 0, 0)
    at, data = 52 + 32 * len(IMAGE.segments), b""
    for each in IMAGE.segments:
        out += struct.pack("<8I", 1, at + len(data), each.address, each.address, len(each.data), len(each.data), 5, 4)
        data += each.data
    return out + data


GOOD = {
    ".hex": encode_image(IMAGE, "ihex", start_address=0x1234),
    ".srec": encode_image(IMAGE, "srec", start_address=0x1234),
    ".txt": encode_image(IMAGE, "ti_txt"),
    ".vbf": vbf(),
    ".elf": elf(),
}


@st.composite
def damages(draw: st.DrawFn) -> tuple[str, bytes]:
    """Draw a suffix and a file with a bit flipped, a byte changed, a stretch deleted or doubled, or its end cut off."""
    suffix = draw(st.sampled_from(sorted(GOOD)))
    raw = GOOD[suffix]
    at = draw(st.integers(0, len(raw) - 1))
    end = min(len(raw), at + draw(st.integers(1, 12)))
    how = draw(st.sampled_from(["flip", "change", "delete", "double", "cut"]))
    new = {
        "flip": bytes((raw[at] ^ 1 << draw(st.integers(0, 7)),)) + raw[at + 1 :],
        "change": draw(st.binary(min_size=1, max_size=1)) + raw[at + 1 :],
        "delete": raw[end:],
        "double": raw[at:end] + raw[at:],
        "cut": b"",
    }
    return suffix, raw[:at] + new[how]


def read_or_refusal(path: Path) -> tuple[MemoryImage | None, str]:
    try:
        return read_image(path), ""
    except InputError as refusal:
        return None, str(refusal)


@pytest.mark.parametrize("suffix", sorted(GOOD))
def test_undamaged_files_hold_the_image(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"good{suffix}"
    path.write_bytes(GOOD[suffix])
    assert read_image(path) == IMAGE


@MORE
@given(damages())
def test_damaged_file_is_read_or_refused_as_wrong_input(tmp_path: Path, damage: tuple[str, bytes]) -> None:
    path = tmp_path / f"damaged{damage[0]}"
    path.write_bytes(damage[1])
    image, told = read_or_refusal(path)
    assert image is not None or path.name in told


@MORE
@given(st.sampled_from([".hex", ".srec", ".vbf"]), st.data())
def test_one_wrong_byte_or_cut_of_a_format_with_checksums_never_gives_other_content(
    tmp_path: Path, suffix: str, data: st.DataObject
) -> None:
    raw = GOOD[suffix]
    at = data.draw(st.integers(0, len(raw) - 1))
    if suffix == ".srec" and raw[max(0, at - 1) : at] == b"S":
        return  # the checksum of an S-record covers neither its type nor, so, the width of its address
    changed = raw[:at] + data.draw(st.binary(max_size=1)) + raw[at + 1 :]
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(data.draw(st.sampled_from([changed, raw[:at]])))
    image, told = read_or_refusal(path)
    assert told or image == IMAGE
