"""ELF executables: the bytes of every PT_LOAD segment at its physical (load) address.

Names are those of the ELF specification (System V ABI, chapters 4 and 5). Sections are not looked at: a stripped file
reads the same. Bytes that the file does not hold (`p_memsz` beyond `p_filesz`, .bss) are not part of the image.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from bench.images.damaged import Damaged, Unsuited
from bench.images.memory import ADDRESS_SPACE_BYTES, Overlap, Segment

MAGIC = b"\x7fELF"
IDENT_BYTES = 16
PT_LOAD = 1
PN_XNUM = 0xFFFF
SIGN_EXTENDED = (1 << 64) - (1 << 31)
"""From here on 64-bit addresses are 32-bit ones whose upper bit was copied (MIPS); the lower half counts."""
EM_NAMES = {3: "x86", 4: "68k", 8: "MIPS", 20: "PowerPC", 22: "S390", 36: "V800", 40: "ARM", 42: "SuperH",
            44: "TriCore", 62: "x86-64", 83: "AVR", 87: "V850", 105: "MSP430", 173: "RX", 183: "AArch64",
            243: "RISC-V"}  # fmt: skip
ET_NAMES = {1: "ET_REL, not linked", 2: "ET_EXEC", 3: "ET_DYN", 4: "ET_CORE"}
_CLASSES = {1: 32, 2: 64}
_ORDERS = {1: ("<", "little"), 2: (">", "big")}
_REST_OF_HEADER = {32: "HHIIIIIHHHHHH", 64: "HHIQQQIHHHHHH"}
_PROGRAM_HEADER = {32: "IIIIIIII", 64: "IIQQQQQQ"}


@dataclass(frozen=True, slots=True)
class Elf:
    """What is used of an ELF file; `segments` in the file's order, none empty."""

    bits: int
    byte_order: str
    machine: str
    entry: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class _Table:
    """Where the program headers are and how to read them."""

    bits: int
    order: str
    offset: int
    entry_bytes: int
    count: int


def read_elf(raw: bytes) -> Elf:
    """Read an executable; `Damaged` with the offset, `Unsuited` for files that no loader can load."""
    bits, order, byte_order = _ident(raw)
    layout = struct.Struct(order + _REST_OF_HEADER[bits])
    if len(raw) < IDENT_BYTES + layout.size:
        raise Damaged("the ELF header is cut off", offset=len(raw))
    kind, machine, _version, entry, phoff, _sh, _flags, _ehsize, phentsize, phnum, *_ = layout.unpack_from(
        raw, IDENT_BYTES
    )
    _check_kind(kind, phnum)
    placed = list(_loaded(raw, _Table(bits, order, phoff, phentsize, phnum)))
    _check_overlaps(placed)
    segments = tuple(segment for _n, segment in placed)
    start = _narrow(entry, bits)
    if start >= ADDRESS_SPACE_BYTES:
        raise Damaged(f"e_entry is beyond 32-bit addresses, at 0x{entry:X}", offset=24)
    return Elf(bits, byte_order, EM_NAMES.get(machine, f"machine {machine}"), start, segments)


def _ident(raw: bytes) -> tuple[int, str, str]:
    if not raw.startswith(MAGIC):
        raise Damaged("the ELF magic is missing", offset=0)
    if len(raw) < IDENT_BYTES:
        raise Damaged("the ELF header is cut off", offset=len(raw))
    ei_class, ei_data, ei_version = raw[4:7]
    if ei_class not in _CLASSES:
        raise Damaged(f"EI_CLASS is {ei_class}, allowed are 1 (32 bit) and 2 (64 bit)", offset=4)
    if ei_data not in _ORDERS:
        raise Damaged(f"EI_DATA is {ei_data}, allowed are 1 (little endian) and 2 (big endian)", offset=5)
    if ei_version != 1:
        raise Damaged(f"EI_VERSION is {ei_version}, allowed is 1", offset=6)
    return _CLASSES[ei_class], *_ORDERS[ei_data]


def _check_kind(kind: int, phnum: int) -> None:
    if kind not in (2, 3) or phnum == 0:
        raise Unsuited(
            "this ELF file is no executable",
            found=ET_NAMES.get(kind, f"e_type {kind}") + f", {phnum} program headers",
            allowed="ET_EXEC or ET_DYN with program headers",
            hint="link it first, and give the linked file",
        )
    if phnum == PN_XNUM:
        raise Unsuited("this ELF file has too many program headers", found="PN_XNUM", allowed="up to 65534")


def _loaded(raw: bytes, table: _Table) -> Iterator[tuple[int, Segment]]:
    """Yield number and segment of each program header that loads bytes."""
    layout = struct.Struct(table.order + _PROGRAM_HEADER[table.bits])
    if table.entry_bytes < layout.size:
        why = f"e_phentsize is {table.entry_bytes}, a program header has {layout.size} bytes"
        raise Damaged(why, offset=42 if table.bits == 32 else 54)
    total = 0
    for n in range(table.count):
        at = table.offset + n * table.entry_bytes
        if at + layout.size > len(raw):
            raise Damaged(f"program header {n} lies beyond the end of the file", offset=at)
        segment = _segment(raw, layout.unpack_from(raw, at), table.bits, n, at)
        if segment is not None:
            total += len(segment.data)
            if total > len(raw):
                raise Damaged(f"program headers 0 to {n} load more bytes than the file has", offset=at)
            yield n, segment


def _segment(raw: bytes, fields: tuple[int, ...], bits: int, n: int, at: int) -> Segment | None:
    if bits == 32:
        p_type, p_offset, _vaddr, p_paddr, p_filesz, p_memsz, *_ = fields
    else:
        p_type, _flags, p_offset, _vaddr, p_paddr, p_filesz, p_memsz, *_ = fields
    if p_type != PT_LOAD or p_filesz == 0:
        return None
    if p_filesz > p_memsz:
        raise Damaged(f"program header {n}: p_filesz 0x{p_filesz:X} is above p_memsz 0x{p_memsz:X}", offset=at)
    if p_offset + p_filesz > len(raw):
        why = f"program header {n}: its 0x{p_filesz:X} bytes at 0x{p_offset:X} go beyond the end of the file"
        raise Damaged(why, offset=at)
    p_paddr = _narrow(p_paddr, bits)
    if p_paddr + p_filesz > ADDRESS_SPACE_BYTES:
        raise Damaged(f"program header {n}: data beyond 32-bit addresses, at 0x{p_paddr:X}", offset=at)
    return Segment(p_paddr, raw[p_offset : p_offset + p_filesz])


def _narrow(address: int, bits: int) -> int:
    return address - SIGN_EXTENDED + (1 << 31) if bits == 64 and address >= SIGN_EXTENDED else address


def _check_overlaps(placed: list[tuple[int, Segment]]) -> None:
    ordered = sorted(placed, key=lambda each: each[1].address)
    for (m, first), (n, second) in pairwise(ordered):
        if second.address < first.range.end:
            raise Damaged(f"{Overlap(first, second)} (program headers {min(m, n)} and {max(m, n)})")
