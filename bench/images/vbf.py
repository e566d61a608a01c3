"""VBF, the versatile binary format: an ASCII header, then binary blocks.

    vbf_version = 2.6;
    header { sw_part_number = "…"; …; file_checksum = 0x…; }<block><block>…

Each block, big-endian: start address 4, length 4, data, CRC-16 of the data 2 (CCITT: polynomial 0x1021, start 0xFFFF).
`file_checksum` is the CRC-32 over all bytes after the header's closing brace. Values of the header are kept as text.
`data_format_identifier` is that of RequestDownload (ISO 14229-1): upper nibble compression, lower nibble encryption.
Blocks that are compressed or encrypted are kept as they are: what memory they fill, only the ECU knows.
"""

from __future__ import annotations

import binascii
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from bench.images.damaged import Damaged, Unsuited
from bench.images.memory import ADDRESS_SPACE_BYTES, AddressRange, Overlap, Segment

MAX_HEADER_BYTES = 1 << 16
MAX_BLOCKS = 1 << 16
BLOCK_HEAD_BYTES = 8
CRC_BYTES = 2
NUMBERS = (
    "call", "data_format_identifier", "sw_signature", "sw_signature_dev",
    "verification_block_start", "verification_block_length", "verification_block_root_hash", "public_key_hash",
)  # fmt: skip
"""Fields whose values are numbers, and are refused with their line where they are not."""
BYTES = ("sw_signature", "sw_signature_dev", "public_key_hash", "verification_block_root_hash")
"""Fields that hold bytes, written as one hexadecimal number: leading zeros count."""
_VERSION = re.compile(r"(?:[A-Za-z]+)?(?:2\.\d|3\.0)")
_TOKEN = re.compile(r'(?P<skip>\s+|//[^\n]*|/\*.*?\*/)|"[^"\n]*"|[\w.+-]+|[{}=;,]', re.S)


@dataclass(frozen=True, slots=True)
class Vbf:
    """A VBF file: `fields` as in the header (quotes taken off, but in lists), `blocks` in the file's order."""

    version: str
    fields: dict[str, str]
    erase: tuple[AddressRange, ...]
    blocks: tuple[Segment, ...]
    file_checksum: int = 0

    def data_of(self, key: str) -> bytes | None:
        """Return the bytes of one of `BYTES`; None where the header has no such field."""
        return bytes_of(self.fields[key]) if key in self.fields else None

    def number_of(self, key: str) -> int | None:
        """Return a field as a number; None where the header has no such field, or it is none."""
        return _number(self.fields.get(key, ""))

    @property
    def ecu_addresses(self) -> tuple[int, ...]:
        """Return the addresses of the ECUs that the file is for: one number, or a list of them."""
        words = re.findall(r"\w+", self.fields.get("ecu_address", ""))
        return tuple(number for number in map(_number, words) if number is not None)

    @property
    def call_address(self) -> int | None:
        """Return where a secondary bootloader is started (`call`)."""
        return _number(self.fields.get("call", ""))

    @property
    def data_format_identifier(self) -> int:
        """Return how the blocks are packed; 0 is plain."""
        return _number(self.fields.get("data_format_identifier", "0")) or 0

    @property
    def verification_block(self) -> AddressRange | None:
        """Return where the table of hashes lies that a signature covers (`verification_block_start`, `_length`)."""
        start = _number(self.fields.get("verification_block_start", ""))
        length = _number(self.fields.get("verification_block_length", ""))
        return None if start is None or length is None else AddressRange(start, start + length)


def read_vbf(raw: bytes) -> Vbf:
    """Read a VBF file; `Damaged` with line (header) or offset (blocks), `Unsuited` for versions that are not read."""
    header = _Header(raw)
    header.read()
    if not _VERSION.fullmatch(header.version):
        raise Unsuited("this version of VBF is not read", found=header.version[:40], allowed="2.0 to 2.9, 3.0")
    header.check_numbers()
    stated = header.checksum()
    found = Vbf(header.version, header.fields, header.erase(), tuple(_blocks(raw, header.end)), stated)
    actual = zlib.crc32(memoryview(raw)[header.end :])
    if stated != actual:
        why = f"file_checksum is 0x{stated:08X}, the blocks give 0x{actual:08X}"
        raise Damaged(why, header.lines["file_checksum"])
    if found.data_format_identifier == 0:
        _check_overlaps(found.blocks)
        _check_verification_block(found, header)
    return found


def _blocks(raw: bytes, start: int) -> Iterator[Segment]:
    at, count = start, 0
    while at < len(raw):
        count += 1
        if count > MAX_BLOCKS:
            raise Damaged(f"more than {MAX_BLOCKS} blocks", offset=at)
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
        stated = int.from_bytes(raw[body + length : body + length + CRC_BYTES], "big")
        _check_crc(data, address, stated, body + length)
        yield Segment(address, data)
        at = body + length + CRC_BYTES


def _check_crc(data: bytes, address: int, stated: int, at: int) -> None:
    actual = binascii.crc_hqx(data, 0xFFFF)
    if stated != actual:
        why = f"the CRC of the block for 0x{address:08X} is 0x{stated:04X}, its data give 0x{actual:04X}"
        raise Damaged(why, offset=at)


def _check_overlaps(blocks: tuple[Segment, ...]) -> None:
    ordered = sorted((block for block in blocks if block.data), key=lambda block: block.address)
    for n, block in enumerate(ordered[1:], 1):
        if block.address < ordered[n - 1].range.end:
            raise Damaged(f"{Overlap(ordered[n - 1], block)} by two blocks")


def _check_verification_block(found: Vbf, header: _Header) -> None:
    table = found.verification_block
    if table is not None and not any(b.address <= table.start and table.end <= b.range.end for b in found.blocks):
        raise Damaged(f"the verification block {table} lies in no block", header.lines["verification_block_start"])


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

    def check_numbers(self) -> None:
        """`Damaged` with the line of a field that must be a number and is none."""
        for key in NUMBERS:
            if key in self.fields and _number(self.fields[key]) is None:
                raise Damaged(f"{key} is no number: {self.fields[key][:40]}", self.lines[key])
        for key in BYTES:
            if key in self.fields and bytes_of(self.fields[key]) is None:
                why = f"{key} is not whole bytes in hexadecimal: {self.fields[key][:40]}"
                raise Damaged(why, self.lines[key])
        address = self.fields.get("ecu_address", "0")
        if any(_number(word) is None for word in re.findall(r"\w+", address)):
            raise Damaged(f"ecu_address is no number: {address[:40]}", self.lines["ecu_address"])
        packed = _number(self.fields.get("data_format_identifier", "0")) or 0
        if packed > 0xFF:
            raise Damaged(f"data_format_identifier is one byte, not 0x{packed:X}", self.lines["data_format_identifier"])

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
        pairs = list(zip(known[::2], known[1::2], strict=True))
        beyond = next((a for a, length in pairs if a + length > ADDRESS_SPACE_BYTES), None)
        if beyond is not None:
            raise Damaged(f"erase goes beyond 32-bit addresses, at 0x{beyond:X}", self.lines["erase"])
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


def bytes_of(text: str) -> bytes | None:
    """Return what `0x00A1…` spells, leading zeros kept; None when it is not whole bytes."""
    if text[:2].lower() != "0x" or len(text) % 2 or not re.fullmatch(r"[0-9A-Fa-f]*", text[2:]):
        return None
    return bytes.fromhex(text[2:])


def _number(text: str) -> int | None:
    try:
        value = int(text, 0)
    except ValueError:
        return None
    return value if value >= 0 else None
