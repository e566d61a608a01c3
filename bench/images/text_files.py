"""Text files of records: Intel HEX, Motorola S-records and TI-TXT become pieces of memory, line by line.

A record is decoded here, since it is the same three steps in each format (digits, length, sum) and a 64 MiB image has
four million of them; addresses, order and overlaps are judged here too, so that every mistake is told with its line.
"""

from __future__ import annotations

import io
from binascii import Error as NotHexadecimal
from binascii import unhexlify
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from bench.images.damaged import Damaged, Unsuited
from bench.images.memory import ADDRESS_SPACE_BYTES, MemoryImage, Overlap, Segment

TI_TXT_LINE_BYTES = 16
MAX_RUNS = 1 << 20
"""So many stretches of consecutive records at most; real files have a few."""
MAX_SEGMENTS = 1 << 16
"""So many segments at most, once the stretches are put together."""

_IHEX_OVERHEAD_BYTES = 5
_SREC_ADDRESS_BYTES = {b"0": 2, b"1": 2, b"2": 3, b"3": 4, b"5": 2, b"6": 3, b"7": 4, b"8": 3, b"9": 2}


class Piece(NamedTuple):
    """The data of consecutive records and the line they begin in."""

    line: int
    address: int
    data: bytes


class Content(NamedTuple):
    """What a text file holds; `start_address` is None where it names none, `tolerated` says what was left out."""

    image: MemoryImage
    start_address: int | None
    tolerated: tuple[str, ...]


class BehindTheEnd:
    """What stands behind the record that ends a file: refused, or, when `lenient`, left out and counted by kind.

    Tools append symbols there that mean nothing to a loader; objcopy stops reading at the end record too.
    """

    def __init__(self, *, lenient: bool) -> None:
        self._lenient, self._first = lenient, 0
        self._kinds: Counter[str] = Counter()

    def take(self, number: int, kind: bytes, why: str) -> None:
        """Count a line, or refuse it: `Damaged` with `why`."""
        if not self._lenient:
            raise Damaged(why, number, hint=f"if nothing that follows is firmware: otabench image convert {LENIENT}")
        self._first = self._first or number
        self._kinds[kind.decode()] += 1

    def tolerated(self) -> tuple[str, ...]:
        """Return one sentence about all of it, or nothing."""
        if not self._kinds:
            return ()
        kinds = ", ".join(f"{count} of type {kind}" for kind, count in sorted(self._kinds.items()))
        what = "line" if self._kinds.total() == 1 else "lines"
        return (f"{self._kinds.total()} {what} behind the end record left out, from line {self._first} on: {kinds}",)


LENIENT = "--lenient"


def read_text(
    raw: bytes, file_format: str, *, limit_bytes: int, later_wins: bool = False, lenient: bool = False
) -> Content:
    """Read `raw` as `ihex`, `srec` or `ti_txt`; `Damaged` with the line, `Unsuited` above `limit_bytes` of data.

    An address given twice is refused, unless `later_wins`: then the record further down counts. What stands behind
    the end record is refused, unless `lenient`: then it is left out and told in `tolerated`.
    """
    text = raw.removeprefix(BOM_UTF8)  # put there by editors on Windows; no format has it
    if not text.isascii():
        at = next(n for n, byte in enumerate(text) if byte > 0x7F)
        raise Damaged(f"byte 0x{text[at]:02X} is not text", offset=at + len(raw) - len(text))
    behind = BehindTheEnd(lenient=lenient)
    reader = _READERS[file_format](behind)
    runs = _runs(reader.pieces(_lines(text)), limit_bytes)
    return Content(_assembled(runs, later_wins), reader.start_address, behind.tolerated())


def _lines(raw: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield the lines that hold something, counted from 1; lines end with LF, CR LF, or (in the whole file) CR."""
    if b"\n" not in raw:
        raw = raw.replace(b"\r", b"\n")
    for number, line in enumerate(io.BytesIO(raw), 1):
        stripped = line.strip()
        if stripped:
            yield number, stripped


def _runs(pieces: Iterable[Piece], limit_bytes: int) -> list[Piece]:
    """Join consecutive records into long runs, each keeping the line it starts in."""
    runs: list[Piece] = []
    line, start, data, total = 0, 0, bytearray(), 0
    for number, address, chunk in pieces:
        end = address + len(chunk)
        if end > ADDRESS_SPACE_BYTES:
            raise Damaged(f"data beyond 32-bit addresses, at 0x{address:X}", number)
        total += len(chunk)
        if total > limit_bytes:
            found = f"more than {limit_bytes} bytes, at line {number}"
            raise Unsuited("firmware image is too large", found=found, allowed=f"up to {limit_bytes} bytes")
        if not data or address != start + len(data):
            if data:
                runs.append(Piece(line, start, bytes(data)))
            if len(runs) > MAX_RUNS:
                raise Damaged(f"more than {MAX_RUNS} separate stretches of records", number)
            line, start, data = number, address, bytearray()
        data += chunk
    if data:
        runs.append(Piece(line, start, bytes(data)))
    return runs


def _assembled(runs: list[Piece], later_wins: bool) -> MemoryImage:
    if not runs:
        raise Damaged("it holds no data")
    try:
        image = _layered(runs) if later_wins else MemoryImage.of(Segment(run.address, run.data) for run in runs)
    except Overlap as overlap:
        lines = sorted(run.line for run in runs if run.address in (overlap.first.address, overlap.second.address))
        why = f"{overlap} (records from line {lines[0]} on and from line {lines[-1]} on)"
        raise Damaged(why, lines[-1], hint="otabench image convert --later-wins takes the later record") from None
    if len(image.segments) > MAX_SEGMENTS:
        raise Damaged(f"{len(image.segments)} separate segments, {MAX_SEGMENTS} are allowed")
    return image


def _layered(runs: list[Piece]) -> MemoryImage:
    """Put the runs over one another, by halves: so that many runs take no longer than sorting them."""
    if len(runs) == 1:
        return MemoryImage((Segment(runs[0].address, runs[0].data),))
    middle = len(runs) // 2
    return _layered(runs[:middle]).overlay(_layered(runs[middle:]))


def _bytes_of(digits: bytes, number: int) -> bytes:
    try:
        return unhexlify(digits)
    except NotHexadecimal:
        raise Damaged("not pairs of hexadecimal digits", number) from None


class IntelHex:
    """Intel HEX: records 00 to 05; address records may come in any order and both kinds in one file."""

    def __init__(self, behind: BehindTheEnd) -> None:
        self.start_address: int | None = None
        self._behind = behind
        self._base, self._window, self._ended = 0, ADDRESS_SPACE_BYTES, False

    def pieces(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Piece]:
        """Yield the data records; `start_address` is known at the end (03 as CS:IP, 05 linear)."""
        number = 0
        for number, line in lines:
            if self._ended:
                self._behind.take(number, line[7:9].upper() or b"?", "there are records after the end record")
                continue
            record = _ihex_record(line, number)
            if record[3] == 0:
                address, data = record[1] << 8 | record[2], record[4:-1]
                if address + len(data) > self._window:
                    raise Damaged("a record wraps round its 64 KiB segment", number)
                yield Piece(number, self._base + address, data)
            else:
                self._control(record[3], record[4:-1], number)
        if not self._ended:
            raise Damaged("the end record is missing; the file is cut off", number)

    def _control(self, kind: int, data: bytes, number: int) -> None:
        allowed = {1: 0, 2: 2, 3: 4, 4: 2, 5: 4}
        if kind not in allowed:
            raise Damaged(f"unknown record type {kind:02X}", number)
        if len(data) != allowed[kind]:
            name = {1: "an end", 2: "an address", 4: "an address"}.get(kind, "a start")
            raise Damaged(f"{name} record has {allowed[kind]} bytes, this one {len(data)}", number)
        value = int.from_bytes(data, "big")
        if kind == 1:
            self._ended = True
        elif kind == 2:
            self._base, self._window = value << 4, 1 << 16
        elif kind == 4:
            self._base, self._window = value << 16, ADDRESS_SPACE_BYTES
        else:
            self.start_address = value if kind == 5 else (value >> 16 << 4) + (value & 0xFFFF)


def _ihex_record(line: bytes, number: int) -> bytes:
    """Return the bytes of a record, its length and sum checked."""
    if line[:1] != b":":
        raise Damaged("a record begins with ':'", number)
    record = _bytes_of(line[1:], number)
    if len(record) < _IHEX_OVERHEAD_BYTES or record[0] != len(record) - _IHEX_OVERHEAD_BYTES:
        raise Damaged(_wrong_length(record, _IHEX_OVERHEAD_BYTES), number)
    if sum(record) & 0xFF:
        stated, wanted = record[-1], -sum(record[:-1]) & 0xFF
        raise Damaged(f"its checksum is 0x{stated:02X}, its bytes give 0x{wanted:02X}", number)
    return record


class SRecords:
    """Motorola S-records: S0 text, S1 to S3 data, S5 and S6 count, S7 to S9 end; a right count may be the end too."""

    def __init__(self, behind: BehindTheEnd) -> None:
        self.start_address: int | None = None
        self._behind = behind

    def pieces(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Piece]:
        """Yield the data records; `start_address` is known at the end, None where zero (tools write it for none)."""
        ended, counted, seen, number = False, False, 0, 0
        for number, line in lines:
            if ended:
                self._behind.take(number, line[:2].upper(), "there are records after the end record")
                continue
            kind, address, data = _s_record(line, number)
            if kind in b"123":
                seen += 1
                yield Piece(number, address, data)
            elif kind in b"56" and address != seen:
                raise Damaged(f"the count record says {address} data records, there are {seen}", number)
            elif kind in b"789":
                ended, self.start_address = True, address or None
            counted = kind in b"56"
        if not ended and not counted:
            raise Damaged("the end record (S7, S8 or S9) is missing; the file is cut off", number)


def _s_record(line: bytes, number: int) -> tuple[bytes, int, bytes]:
    """Return kind, address and data of a record, its length and sum checked."""
    kind = line[1:2]
    if line[:1] != b"S" or kind not in _SREC_ADDRESS_BYTES:
        raise Damaged("a record begins with S0 to S3 or S5 to S9", number)
    record, width = _bytes_of(line[2:], number), _SREC_ADDRESS_BYTES[kind]
    if len(record) < width + 2 or record[0] != len(record) - 1:
        raise Damaged(_wrong_length(record, 1), number)
    if sum(record) & 0xFF != 0xFF:
        stated, wanted = record[-1], ~sum(record[:-1]) & 0xFF
        raise Damaged(f"its checksum is 0x{stated:02X}, its bytes give 0x{wanted:02X}", number)
    data = record[1 + width : -1]
    if data and kind in b"56789":
        raise Damaged(f"a record S{kind.decode()} has no data, this one {len(data)} bytes", number)
    return kind, int.from_bytes(record[1 : 1 + width], "big"), data


def _wrong_length(record: bytes, overhead: int) -> str:
    stated = f"says {record[0]}" if record else "says nothing"
    return f"the record has the wrong length: it {stated}, it has {max(0, len(record) - overhead)}"


class TiTxt:
    """TI-TXT: `@` and an address, lines of 16 bytes (the last of a section may have less), `q` at the end."""

    start_address: int | None = None

    def __init__(self, behind: BehindTheEnd) -> None:
        self._behind = behind

    def pieces(self, lines: Iterable[tuple[int, bytes]]) -> Iterator[Piece]:
        """Yield the lines of bytes."""
        address, ended, short, number = -1, False, False, 0
        for number, line in lines:
            if ended:
                self._behind.take(number, b"text", "there is text after the end mark q")
                continue
            if short and line[:1] not in b"@qQ":
                why = f"the line before has less than {TI_TXT_LINE_BYTES} bytes and is not the last of its section"
                raise Damaged(why, number)
            short = False
            if line in (b"q", b"Q"):
                ended = True
            elif line.startswith(b"@"):
                address = _ti_txt_address(line[1:], number)
            else:
                data = _ti_txt_bytes(line, number)
                if address < 0:
                    raise Damaged("data stands before any @address", number)
                yield Piece(number, address, data)
                address += len(data)
                short = len(data) < TI_TXT_LINE_BYTES
        if not ended:
            raise Damaged("the end mark q is missing; the file is cut off", number)


def _ti_txt_bytes(line: bytes, number: int) -> bytes:
    try:
        data = bytes.fromhex(line.decode())
    except ValueError:
        raise Damaged("not pairs of hexadecimal digits", number) from None
    if len(data) > TI_TXT_LINE_BYTES:
        raise Damaged(f"{len(data)} bytes in a line, {TI_TXT_LINE_BYTES} are allowed", number)
    return data


def _ti_txt_address(text: bytes, number: int) -> int:
    try:
        return int.from_bytes(unhexlify(text.rjust(len(text) + len(text) % 2, b"0")), "big")
    except NotHexadecimal:
        raise Damaged(f"{text.decode()!r} is not a hexadecimal address", number) from None


_READERS: dict[str, Callable[[BehindTheEnd], IntelHex | SRecords | TiTxt]] = {
    "ihex": IntelHex,
    "srec": SRecords,
    "ti_txt": TiTxt,
}
TEXT_FORMATS = tuple(_READERS)
