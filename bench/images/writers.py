"""Writers of firmware files: Intel HEX, Motorola S-records, TI-TXT and raw binary, through bincopy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import bincopy

from bench.core.errors import InputError
from bench.images.memory import AddressRange, MemoryImage, Segment
from bench.images.readers import FORMATS, MAX_IMAGE_BYTES, format_of_suffix

WRITTEN_FORMATS = ("ihex", "srec", "ti_txt", "binary")
RECORD_BYTES = 32
PAGE_BYTES = 1 << 16


def written_format(path: Path) -> str:
    """Return the format that a file of this name gets; `InputError` when its suffix says none that is written."""
    chosen = format_of_suffix(path)
    if chosen not in WRITTEN_FORMATS:
        raise InputError(
            f"{chosen} files are read, not written" if chosen in FORMATS else "the name does not tell the format",
            file=str(path),
            found=path.suffix or "no suffix",
            allowed=".hex, .srec, .txt, .bin and their other suffixes",
            hint="choose one with --to",
        )
    return chosen


def encode_image(image: MemoryImage, file_format: str, *, start_address: int | None = None) -> bytes:
    """Return the bytes of a file of `file_format` (one of `WRITTEN_FORMATS`).

    `start_address` is kept by Intel HEX (a 05 record) and S-records (S7). A binary has one segment and no addresses:
    ValueError when the image has gaps.
    """
    if file_format == "binary":
        if len(image.segments) != 1:
            raise ValueError(f"a binary has one segment, the image has {len(image.segments)}")
        return image.segments[0].data
    if file_format == "ihex":
        return _intel_hex(image, start_address).encode()
    out = _bincopy(image.segments)
    if file_format == "ti_txt":
        return str(out.as_ti_txt()).encode()
    out.execution_start_address = start_address or 0
    return str(out.as_srec(RECORD_BYTES)).encode()


def _intel_hex(image: MemoryImage, start_address: int | None) -> str:
    """Write each 64 KiB page by itself: no record may cross the end of one, its 16-bit address would wrap."""
    lines: list[str] = []
    for page in _pages(image):
        lines += str(_bincopy([page]).as_ihex(RECORD_BYTES)).splitlines()[:-1]
    end = bincopy.BinFile()
    end.execution_start_address = start_address
    return "\n".join(lines) + "\n" + str(end.as_ihex())


def _pages(image: MemoryImage) -> Iterator[Segment]:
    for segment in image.segments:
        start = segment.address
        while start < segment.range.end:
            end = min(segment.range.end, (start // PAGE_BYTES + 1) * PAGE_BYTES)
            yield Segment(start, segment.data[start - segment.address : end - segment.address])
            start = end


def _bincopy(segments: Iterable[Segment]) -> bincopy.BinFile:
    out = bincopy.BinFile()
    for segment in segments:
        out.add_binary(segment.data, segment.address)
    return out


def filled(image: MemoryImage, value: int, region: AddressRange | None = None, *, file: str) -> MemoryImage:
    """Fill the gaps between the segments, or all of `region`; `InputError` when that gives more than can be read."""
    ranges = image.ranges
    whole = region or AddressRange(ranges[0].start, ranges[-1].end)
    if whole.size_bytes > MAX_IMAGE_BYTES:
        raise InputError(
            "the image with its gaps filled is too large",
            file=file,
            found=str(whole),
            allowed=f"up to {MAX_IMAGE_BYTES} bytes",
            hint="choose a part with --crop START-END",
        )
    return MemoryImage.of([image.fill(whole.start, whole.end, value)])
