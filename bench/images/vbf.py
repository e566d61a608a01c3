"""VBF, the versatile binary format: an ASCII header, then binary blocks.

    vbf_version = 2.6;
    header { sw_part_number = "…"; …; file_checksum = 0x…; }<block><block>…

Each block, big-endian: start address 4, length 4, data, CRC-16 of the data 2 (CCITT: polynomial 0x1021, start 0xFFFF).
`file_checksum` is the CRC-32 over all bytes after the header's closing brace. Values of the header are kept as text.
"""

from __future__ import annotations

import binascii
import re
import zlib
from dataclasses import dataclass

from bench.images.damaged import Damaged, Unsuited
from bench.images.memory import ADDRESS_SPACE_BYTES, AddressRange, Overlap, Segment

MAX_HEADER_BYTES = 1 << 16
BLOCK_HEAD_BYTES = 8
CRC_BYTES = 2
_TOKEN = re.compile(r'(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|"[^"\n]*"|[\w.+-]+|[{}=;,]', re.S)


@dataclass(frozen=True, slots=True)
class Vbf:
    """A VBF file: `fields` as in the header (quotes taken off, but in lists), `segments` in the file's order."""

    version: str
    fields: dict[str, str]
    erase: tuple[AddressRange, ...]
    segments: tuple[Segment, ...]

    @property
    def call_address(self) -> int | None:
        """Return where a secondary bootloader is started (`call`)."""
        return _number(self.fields.get("call", ""))


def read_vbf(raw: bytes) -> Vbf:
    """Read a VBF file; `Damaged` with line (header) or offset (blocks), `Unsuited` when the blocks are not plain."""
    header = _Header(raw)
    header.read()
    if _number(header.fields.get("data_format_identifier", "0x00")) != 0:
        raise Unsuited(
            "the blocks of this VBF file are compressed or encrypted",
            found=f"data_format_identifier = {header.fields['data_format_identifier']}",
            allowed="0x00",
            hint="give the file as it was before packing",
        )
    segments = tuple(_blocks(raw, header.end))
    told, actual = header.checksum(), zlib.crc32(raw[header.end :])
    if told != actual:
        why = f"file_checksum is 0x{told:08X}, the blocks give 0x{actual:08X}"
        raise Damaged(why, header.lines["file_checksum"])
    return Vbf(header.version, header.fields, header.erase(), segments)


def _blocks(raw: bytes, start: int) -> list[Segment]:
    found: list[Segment] = []
    at = start
    while at < len(raw):
        if len(raw) - at < BLOCK_HEAD_BYTES:
            raise Damaged(f"{len(raw) - at} bytes left, a block begins with {BLOCK_HEAD_BYTES}", offset=at)
        address, length = (int.from_bytes(raw[at + n : at + n + 4], "big") for n in (0, 4))
        body = at + BLOCK_HEAD_BYTES
        if len(raw) < body + length + CRC_BYTES:
            why = f"the block of 0x{length:X} bytes for 0x{address:08X} is cut off"
            raise Damaged(why, offset=at)
        if address + length > ADDRESS_SPACE_BYTES:
            raise Damaged(f"data beyond 32-bit addresses, at 0x{address:X}", offset=at)
        data = raw[body : body + length]
        told = int.from_bytes(raw[body + length : body + length + CRC_BYTES], "big")
        _check_crc(data, address, told, body + length)
        found.append(Segment(address, data))
        at = body + length + CRC_BYTES
    _check_overlaps(found)
    return found


def _check_crc(data: bytes, address: int, told: int, at: int) -> None:
    actual = binascii.crc_hqx(data, 0xFFFF)
    if told != actual:
        why = f"the CRC of the block for 0x{address:08X} is 0x{told:04X}, its data give 0x{actual:04X}"
        raise Damaged(why, offset=at)


def _check_overlaps(blocks: list[Segment]) -> None:
    ordered = sorted((block for block in blocks if block.data), key=lambda block: block.address)
    for n, block in enumerate(ordered[1:], 1):
        if block.address < ordered[n - 1].range.end:
            raise Damaged(f"{Overlap(ordered[n - 1], block)} by two blocks")


class _Header:
    """The ASCII part, read token by token up to the brace that closes it."""

    def __init__(self, raw: bytes) -> None:
        self._text = raw[:MAX_HEADER_BYTES].decode("latin-1")
        self.version, self.end = "", 0
        self.fields: dict[str, str] = {}
        self.lines: dict[str, int] = {}
        self._lists: dict[str, list[str]] = {}

    def read(self) -> None:
        """Fill `version`, `fields`, `lines`, and `end`: the offset of the first block."""
        self._expect("vbf_version")
        self._expect("=")
        self.version = self._next().strip('"')
        self._expect(";")
        self._expect("header")
        self._expect("{")
        while (key := self._next()) != "}":
            if key in self.fields:
                raise Damaged(f"{key} is given twice", self._line())
            self.lines[key] = self._line()
            self._expect("=")
            self.fields[key] = self._value(key)

    def checksum(self) -> int:
        """Return `file_checksum`."""
        if "file_checksum" not in self.fields:
            raise Damaged("the header has no file_checksum", self._line())
        value = _number(self.fields["file_checksum"])
        if value is None:
            raise Damaged(f"file_checksum is no number: {self.fields['file_checksum']}", self.lines["file_checksum"])
        return value

    def erase(self) -> tuple[AddressRange, ...]:
        """Return the erase table: pairs of address and length."""
        words = [word for word in self._lists.get("erase", []) if word not in "{},"]
        numbers = [_number(word) for word in words]
        known = [number for number in numbers if number is not None]
        if len(known) != len(numbers) or len(known) % 2 or ("erase" in self.fields and not known):
            raise Damaged("erase is no list of { address, length }", self.lines["erase"])
        pairs = zip(known[::2], known[1::2], strict=True)
        return tuple(AddressRange(address, address + length) for address, length in pairs)

    def _value(self, key: str) -> str:
        first = self._next()
        if first != "{":
            self._expect(";")
            return first.strip('"')
        words, depth = [first], 1
        while depth:
            words.append(self._next())
            depth += {"{": 1, "}": -1}.get(words[-1], 0)
        self._expect(";")
        self._lists[key] = words
        return " ".join(words).replace(" ,", ",")

    def _expect(self, wanted: str) -> None:
        found = self._next()
        if found != wanted:
            raise Damaged(f"expected {wanted!r}, found {found[:40]!r}", self._line())

    def _next(self) -> str:
        while (match := _TOKEN.match(self._text, self.end)) is not None:
            self.end = match.end()
            if match["skip"] is None:
                return match[0]
        if self.end >= len(self._text):
            why = f"the header is cut off, or longer than {MAX_HEADER_BYTES} bytes: its closing brace is missing"
            raise Damaged(why, self._line())
        raise Damaged(f"unexpected {self._text[self.end]!r} in the header", self._line())

    def _line(self) -> int:
        return self._text.count("\n", 0, self.end) + 1


def _number(text: str) -> int | None:
    try:
        value = int(text, 0)
    except ValueError:
        return None
    return value if value >= 0 else None
