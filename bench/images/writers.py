"""Writers of firmware files: Intel HEX, Motorola S-records, TI-TXT and raw binary, through bincopy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import bincopy

from bench.core.errors import InputError
from bench.images.memory import MemoryImage, Segment
from bench.images.readers import FORMATS, format_of_suffix

WRITTEN_FORMATS = ("ihex", "srec", "ti_txt", "binary")
RECORD_BYTES = 32
PAGE_BYTES = 1 << 16
END_RECORD = ":00000001FF\n"
MAX_COUNT = 0xFFFFFF
"""A count record has 24 bits at most; above it there is none."""


def written_format(path: Path, *, hint: str = "choose one with --to") -> str:
    """Return the format that a file of this name gets; `InputError` when its suffix says none that is written."""
    chosen = format_of_suffix(path)
    if chosen not in WRITTEN_FORMATS:
        raise InputError(
            f"{chosen} files are read, not written" if chosen in FORMATS else "the name does not tell the format",
            file=str(path),
            found=path.suffix or "no suffix",
            allowed=".hex, .srec, .txt, .bin and their other suffixes",
            hint=hint,
        )
    return chosen


def encode_image(image: MemoryImage, file_format: str, *, start_address: int | None = None) -> bytes:
    """Return the bytes of a file of `file_format`; as `encode_chunks`."""
    return b"".join(encode_chunks(image, file_format, start_address=start_address))


def encode_chunks(image: MemoryImage, file_format: str, *, start_address: int | None = None) -> Iterator[bytes]:
    """Yield a file of `file_format` (one of `WRITTEN_FORMATS`) in pieces that are small beside the image.

    `start_address` is kept by Intel HEX (a 05 record) and S-records (S7). A binary has one segment and no addresses:
    ValueError when the image has gaps.
    """
    if file_format == "binary":
        if len(image.segments) != 1:
            raise ValueError(f"a binary has one segment, the image has {len(image.segments)}")
        return iter([image.segments[0].data])
    if file_format == "ti_txt":
        return _ti_txt(image)
    return (_intel_hex if file_format == "ihex" else _s_records)(image, start_address)


def _intel_hex(image: MemoryImage, start_address: int | None) -> Iterator[bytes]:
    """Write each 64 KiB page by itself: no record may cross the end of one, its 16-bit address would wrap."""
    for page in _pages(image):
        yield str(_bincopy(page).as_ihex(RECORD_BYTES)).removesuffix(END_RECORD).encode()
    end = bincopy.BinFile()
    end.execution_start_address = start_address
    yield str(end.as_ihex()).encode()


def _s_records(image: MemoryImage, start_address: int | None) -> Iterator[bytes]:
    """Write S3 records, their count, and the start address."""
    records = 0
    for page in _pages(image):
        lines = [line for line in str(_bincopy(page).as_srec(RECORD_BYTES)).splitlines() if line.startswith("S3")]
        records += len(lines)
        yield "".join(f"{line}\n" for line in lines).encode()
    if records <= MAX_COUNT:
        yield f"{bincopy.pack_srec('5' if records <= 0xFFFF else '6', records, 0, None)}\n".encode()
    yield f"{bincopy.pack_srec('7', start_address or 0, 0, None)}\n".encode()


def _ti_txt(image: MemoryImage) -> Iterator[bytes]:
    for page in _pages(image):
        yield str(_bincopy(page).as_ti_txt()).removesuffix("q\n").encode()
    yield b"q\n"


def _pages(image: MemoryImage) -> Iterator[Segment]:
    for segment in image.segments:
        start = segment.address
        while start < segment.range.end:
            end = min(segment.range.end, (start // PAGE_BYTES + 1) * PAGE_BYTES)
            yield Segment(start, segment.data[start - segment.address : end - segment.address])
            start = end


def _bincopy(page: Segment) -> bincopy.BinFile:
    out = bincopy.BinFile()
    out.add_binary(page.data, page.address)
    return out
