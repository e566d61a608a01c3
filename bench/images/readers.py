"""Readers of firmware files: Intel HEX, Motorola S-records, TI-TXT, ELF, VBF and raw binary.

bincopy decodes each record (syntax, size, checksum); addresses, order and overlaps are judged here, so that every
mistake is told with the line it stands in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import bincopy

from bench.config import read_bytes
from bench.core.errors import InputError
from bench.images.damaged import Damaged, Unsuited
from bench.images.elf import MAGIC, read_elf
from bench.images.memory import ADDRESS_SPACE_BYTES, AddressRange, MemoryImage, Overlap, Segment
from bench.images.vbf import read_vbf

MAX_IMAGE_BYTES = 16 * 1024 * 1024
"""The largest memory image that is read."""
MAX_TEXT_BYTES = 4 * MAX_IMAGE_BYTES
"""A text format spends two digits a byte, and an address and a checksum a line."""
TI_TXT_LINE_BYTES = 16

_SUFFIXES = {
    ".hex": "ihex", ".ihex": "ihex", ".ihx": "ihex", ".ihe": "ihex",
    ".srec": "srec", ".s19": "srec", ".s28": "srec", ".s37": "srec", ".mot": "srec", ".sre": "srec",
    ".txt": "ti_txt", ".ti-txt": "ti_txt",
    ".elf": "elf", ".axf": "elf", ".out": "elf", ".vbf": "vbf",
    ".bin": "binary", ".img": "binary", ".raw": "binary",
}  # fmt: skip
FORMATS = ("ihex", "srec", "ti_txt", "elf", "vbf", "binary")


class _Piece(NamedTuple):
    """The data of one record and the line it stands in."""

    line: int
    address: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware file: its memory image and what else the file says.

    `start_address` is where execution begins (records 03 and 05 of Intel HEX, S7 to S9 unless zero, `e_entry`, `call`);
    `fields` are the texts of the file's own header; `erase` is VBF's erase table.
    """

    file_format: str
    image: MemoryImage
    start_address: int | None = None
    fields: dict[str, str] = field(default_factory=dict)
    erase: tuple[AddressRange, ...] = ()


def read_image(path: Path, *, binary_base: int = 0, file_format: str | None = None) -> MemoryImage:
    """Read a firmware file into a memory image; as `read_firmware`."""
    return read_firmware(path, binary_base=binary_base, file_format=file_format).image


def read_firmware(path: Path, *, binary_base: int = 0, file_format: str | None = None) -> Firmware:
    """Read a firmware file.

    The format is the file's suffix, else told from its first bytes, or `file_format` (one of `FORMATS`).
    `binary_base` is where a raw binary starts; the other formats have addresses of their own.
    `InputError` names file and line (or offset) of what is damaged.
    """
    raw = read_bytes(path, limit_bytes=MAX_TEXT_BYTES, what="firmware image")
    if not raw:
        raise InputError("firmware image is empty", file=str(path))
    chosen = file_format or format_of_suffix(path) or _sniffed(raw)
    if chosen not in FORMATS:
        raise InputError("unknown image format", file=str(path), found=chosen, allowed=", ".join(FORMATS))
    if chosen == "binary":
        return Firmware(chosen, _binary(raw, binary_base, path))
    try:
        firmware = _BINARY_READERS[chosen](raw) if chosen in _BINARY_READERS else _text_firmware(raw, chosen, path)
    except Damaged as bad:
        raise InputError(f"firmware image is damaged{bad.where}: {bad}", file=str(path)) from None
    except Unsuited as bad:
        raise InputError(bad.problem, file=str(path), found=bad.found, allowed=bad.allowed, hint=bad.hint) from None
    _check_size(firmware.image.size_bytes, path)
    return firmware


_CONTAINERS = {b"\x7fELF": "ELF", b"vbf_version": "VBF", b"MZ": "PE", b"PK": "zip", b"\x1f\x8b": "gzip"}
"""What looks like a raw binary and is none; flashed as it is, it would run as garbage."""


def format_of_suffix(path: Path) -> str | None:
    """Return the format that the file's suffix stands for."""
    return _SUFFIXES.get(path.suffix.lower())


def _sniffed(raw: bytes) -> str:
    if raw.startswith(MAGIC):
        return "elf"
    if raw.startswith(b"vbf_version"):
        return "vbf"
    return {b":": "ihex", b"S": "srec", b"@": "ti_txt"}.get(raw[:1], "binary")


def _binary(raw: bytes, base: int, path: Path) -> MemoryImage:
    _check_size(len(raw), path)
    container = next((name for magic, name in _CONTAINERS.items() if raw.startswith(magic)), None)
    if container is not None:
        raise InputError(
            "this file is a container, not a memory image",
            file=str(path),
            found=container,
            allowed=", ".join(FORMATS),
            hint="an ELF or VBF file has the suffix .elf or .vbf; unpack the others first",
        )
    if not 0 <= base <= ADDRESS_SPACE_BYTES - len(raw):
        raise InputError(
            "raw binary does not fit at this base address",
            file=str(path),
            found=f"0x{base:X}",
            allowed=f"0 to 0x{ADDRESS_SPACE_BYTES - len(raw):X}",
        )
    return MemoryImage.of([Segment(base, raw)])


def _check_size(size_bytes: int, path: Path) -> None:
    if size_bytes > MAX_IMAGE_BYTES:
        raise InputError(
            "firmware image is too large",
            file=str(path),
            found=f"{size_bytes} bytes",
            allowed=f"up to {MAX_IMAGE_BYTES} bytes",
        )


def _text_firmware(raw: bytes, file_format: str, path: Path) -> Firmware:
    try:
        lines = raw.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(
            f"firmware image is damaged at offset {error.start}: byte 0x{raw[error.start]:02X} is not text",
            file=str(path),
            hint="a raw binary has the suffix .bin",
        ) from None
    runs = _runs(_PARSERS[file_format](lines))
    _check_size(sum(len(run.data) for run in runs), path)
    start_of = _STARTS.get(file_format)
    return Firmware(file_format, _assembled(runs), start_of(lines) if start_of else None)


def _elf_firmware(raw: bytes) -> Firmware:
    elf = read_elf(raw)
    fields = {"class": f"ELF{elf.bits}", "byte_order": elf.byte_order, "machine": elf.machine}
    return Firmware("elf", _of(elf.segments), elf.entry, fields)


def _vbf_firmware(raw: bytes) -> Firmware:
    vbf = read_vbf(raw)
    return Firmware("vbf", _of(vbf.segments), vbf.call_address, {"vbf_version": vbf.version} | vbf.fields, vbf.erase)


def _of(segments: tuple[Segment, ...]) -> MemoryImage:
    image = MemoryImage.of(segments)
    if not image.segments:
        raise Damaged("it holds no data")
    return image


def _runs(pieces: Iterable[_Piece]) -> list[_Piece]:
    """Join consecutive records into long runs, each keeping the line it starts in."""
    runs: list[_Piece] = []
    line, start, data = 0, 0, bytearray()
    for piece in pieces:
        if piece.address + len(piece.data) > ADDRESS_SPACE_BYTES:
            raise Damaged(f"data beyond 32-bit addresses, at 0x{piece.address:X}", piece.line)
        if not data or piece.address != start + len(data):
            if data:
                runs.append(_Piece(line, start, bytes(data)))
            line, start, data = piece.line, piece.address, bytearray()
        data += piece.data
    if data:
        runs.append(_Piece(line, start, bytes(data)))
    return runs


def _assembled(runs: list[_Piece]) -> MemoryImage:
    if not runs:
        raise Damaged("it holds no data")
    try:
        return MemoryImage.of(Segment(run.address, run.data) for run in runs)
    except Overlap as overlap:
        lines = sorted(run.line for run in runs if run.address in (overlap.first.address, overlap.second.address))
        raise Damaged(f"{overlap} (records from line {lines[0]} on and from line {lines[-1]} on)", lines[-1]) from None


def _numbered(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Yield the lines that hold something, counted from 1."""
    for number, line in enumerate(lines, 1):
        stripped = line.strip()
        if stripped:
            yield number, stripped


# Intel HEX ------------------------------------------------------------------------------------------


def _intel_hex(lines: list[str]) -> Iterator[_Piece]:
    base, window, ended = 0, ADDRESS_SPACE_BYTES, False
    for number, text in _numbered(lines):
        if ended:
            raise Damaged("there are records after the end record", number)
        kind, address, _size, data = _record(bincopy.unpack_ihex, text, number)
        if kind == bincopy.IHEX_DATA:
            if address + len(data) > window:
                raise Damaged("a record wraps round its 64 KiB segment", number)
            yield _Piece(number, base + address, bytes(data))
        elif kind in (bincopy.IHEX_EXTENDED_SEGMENT_ADDRESS, bincopy.IHEX_EXTENDED_LINEAR_ADDRESS):
            if len(data) != 2:
                raise Damaged(f"an address record has 2 bytes, this one {len(data)}", number)
            linear = kind == bincopy.IHEX_EXTENDED_LINEAR_ADDRESS
            base = int.from_bytes(data, "big") << (16 if linear else 4)
            window = ADDRESS_SPACE_BYTES if linear else 1 << 16
        elif kind == bincopy.IHEX_END_OF_FILE:
            ended = True
        elif kind not in (bincopy.IHEX_START_SEGMENT_ADDRESS, bincopy.IHEX_START_LINEAR_ADDRESS):
            raise Damaged(f"unknown record type {kind:02X}", number)
        elif len(data) != 4:
            raise Damaged(f"a start record has 4 bytes, this one {len(data)}", number)
    if not ended:
        raise Damaged("the end record is missing; the file is cut off", len(lines))


def _intel_hex_start(lines: list[str]) -> int | None:
    """Return the address of the last start record: 05 linear, 03 as CS:IP."""
    start: int | None = None
    for _number, text in _numbered(lines):
        if text[7:9] == "05":
            start = int(text[9:17], 16)
        elif text[7:9] == "03":
            start = (int(text[9:13], 16) << 4) + int(text[13:17], 16)
    return start


# Motorola S-records ---------------------------------------------------------------------------------


def _s_records(lines: list[str]) -> Iterator[_Piece]:
    ended, seen = False, 0
    for number, text in _numbered(lines):
        if ended:
            raise Damaged("there are records after the end record", number)
        kind, address, _size, data = _record(bincopy.unpack_srec, text, number)
        if kind in "123":
            seen += 1
            yield _Piece(number, address, bytes(data))
        elif kind in "56" and address != seen:
            raise Damaged(f"the count record says {address} data records, there are {seen}", number)
        elif kind in "789":
            ended = True
    if not ended:
        raise Damaged("the end record (S7, S8 or S9) is missing; the file is cut off", len(lines))


def _s_records_start(lines: list[str]) -> int | None:
    """Return the address of the end record; zero is what tools write that know none."""
    last = [text for _number, text in _numbered(lines)][-1]
    return int(bincopy.unpack_srec(last)[1]) or None


def _record(unpack: Callable[[str], Any], text: str, number: int) -> tuple[Any, int, int, bytes]:
    """Decode one record with bincopy: (type, address, size, data)."""
    try:
        kind, address, size, data = unpack(text)
    except (bincopy.Error, ValueError, IndexError) as error:
        raise Damaged(str(error), number) from None
    return kind, address, size, data


# TI-TXT ---------------------------------------------------------------------------------------------


def _ti_txt(lines: list[str]) -> Iterator[_Piece]:
    address: int | None = None
    ended = False
    for number, text in _numbered(lines):
        if ended:
            raise Damaged("there is text after the end mark q", number)
        if text == "q":
            ended = True
        elif text.startswith("@"):
            address = _hex_address(text[1:], number)
        else:
            data = _hex_bytes(text, number)
            if address is None:
                raise Damaged("data stands before any @address", number)
            yield _Piece(number, address, data)
            address += len(data)
    if not ended:
        raise Damaged("the end mark q is missing; the file is cut off", len(lines))


def _hex_address(text: str, number: int) -> int:
    try:
        return int.from_bytes(bytes.fromhex(text.rjust(len(text) + len(text) % 2, "0")), "big")
    except ValueError:
        raise Damaged(f"{text!r} is not a hexadecimal address", number) from None


def _hex_bytes(text: str, number: int) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        raise Damaged("not pairs of hexadecimal digits", number) from None
    if len(data) > TI_TXT_LINE_BYTES:
        raise Damaged(f"{len(data)} bytes in a line, {TI_TXT_LINE_BYTES} are allowed", number)
    return data


_Parser = Callable[[list[str]], Iterator[_Piece]]
_PARSERS: dict[str, _Parser] = {"ihex": _intel_hex, "srec": _s_records, "ti_txt": _ti_txt}
_STARTS = {"ihex": _intel_hex_start, "srec": _s_records_start}
_BINARY_READERS = {"elf": _elf_firmware, "vbf": _vbf_firmware}
