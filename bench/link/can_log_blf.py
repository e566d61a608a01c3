"""Looking through a BLF file before python-can reads it: python-can passes over what is cut off or torn.

A BLF file is a header and containers, mostly compressed; their contents in a row are the objects (frames, markers,
and many kinds that are no business of ours), which may cross from one container into the next.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from bench.link.can_log_lines import CHANNEL_NAMES, channel_names, damaged

FILE_HEADER = struct.Struct("<4sLBBBBBBBBQQLL8H8H")
OBJECT = struct.Struct("<4sHHLL")
"""Signature, header size, header version, object size, object type."""
CONTAINER = struct.Struct("<H6xL4x")
MARKER = struct.Struct("<LLL3xBLLL12x")
MAX_HEADER_BYTES, MAX_CONTAINER_BYTES, MAX_OBJECT_BYTES = 65_536, 1 << 26, 1 << 24
LOG_CONTAINER, GLOBAL_MARKER, FD_MESSAGE_64 = 10, 96, 101
STORED, DEFLATED = 0, 2
HEADER_BYTES = {1: 32, 2: 40}
"""Header version: its size."""
BODY_BYTES = {1: 16, 86: 16, 73: 32, 100: 84, FD_MESSAGE_64: 40}
"""Object types that python-can makes frames of, and the bytes it needs of each."""


def checked_blf(path: Path) -> dict[int, str]:
    """Go through the whole file; returns the names of channels by number as far as a marker gives them.

    InputError names the offset of what is cut off, torn or of a kind that would be passed over.
    """
    names: dict[int, str] = {}
    with path.open("rb") as file:
        size_bytes = path.stat().st_size
        tail, offset = b"", 0
        for offset, content in _containers(path, file, size_bytes):
            tail = _walk(path, tail + content, offset, names)
        if len(tail) >= 8 or tail.strip(b"\0"):
            raise damaged(path, "the last object of this container has no end", offset=offset)
    return names


def _containers(path: Path, file: BinaryIO, size_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Yield offset and unpacked content of each container."""
    raw = file.read(FILE_HEADER.size)
    if len(raw) < FILE_HEADER.size or not raw.startswith(b"LOGG"):
        raise damaged(path, "a BLF file begins with LOGG and a header of 144 bytes", offset=0)
    header = FILE_HEADER.unpack(raw)
    offset = header[1]
    if not FILE_HEADER.size <= offset <= min(size_bytes, MAX_HEADER_BYTES):
        raise damaged(path, f"header of {offset} bytes", offset=4)
    if header[10] > size_bytes:
        raise damaged(path, f"the header speaks of {header[10]} bytes: the file is cut off", offset=size_bytes)
    while offset < size_bytes:
        file.seek(offset)
        raw = file.read(OBJECT.size)
        if len(raw) < OBJECT.size:
            raise damaged(path, "the file is cut off", offset=offset)
        signature, _, _, object_bytes, kind = OBJECT.unpack(raw)
        if signature != b"LOBJ":
            raise damaged(path, "no object begins here", offset=offset)
        if not OBJECT.size <= object_bytes <= size_bytes - offset:
            raise damaged(path, f"object of {object_bytes} bytes: the file is cut off", offset=offset)
        if kind == LOG_CONTAINER:
            yield offset, _unpacked(path, file.read(object_bytes - OBJECT.size), offset)
        elif kind in BODY_BYTES:
            raise damaged(path, "a frame outside a container", offset=offset)
        offset += object_bytes + object_bytes % 4


def _unpacked(path: Path, raw: bytes, offset: int) -> bytes:
    if len(raw) < CONTAINER.size:
        raise damaged(path, "container without a header", offset=offset)
    method, size_bytes = CONTAINER.unpack_from(raw)
    packed = raw[CONTAINER.size :]
    if method == STORED:
        return packed
    if method != DEFLATED:
        raise damaged(path, f"container packed by an unknown method {method}", offset=offset)
    if size_bytes > MAX_CONTAINER_BYTES:
        raise damaged(path, f"container of {size_bytes} bytes", offset=offset)
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(packed, size_bytes + 1)
    except zlib.error as error:
        raise damaged(path, f"container cannot be unpacked: {error}", offset=offset) from None
    if len(content) != size_bytes or not unpacker.eof:
        raise damaged(path, f"container does not hold the {size_bytes} bytes it names", offset=offset)
    return content


def _walk(path: Path, data: bytes, offset: int, names: dict[int, str]) -> bytes:
    """Go through the objects in `data`; returns what belongs to an object that goes on in the next container."""
    place = 0
    while True:
        begin = data.find(b"LOBJ", place, place + 8)
        if begin < 0:
            if place + 8 > len(data):
                return data[place:]
            raise damaged(path, "an object in this container has no beginning", offset=offset)
        if begin + OBJECT.size > len(data):
            return data[place:]
        _, header_bytes, version, object_bytes, kind = OBJECT.unpack_from(data, begin)
        if not OBJECT.size <= object_bytes <= MAX_OBJECT_BYTES:
            raise damaged(path, f"an object of {object_bytes} bytes in this container", offset=offset)
        if begin + object_bytes > len(data):
            return data[place:]
        if kind in BODY_BYTES:
            whole = object_bytes >= HEADER_BYTES.get(version, 0) + BODY_BYTES[kind]
            if header_bytes != HEADER_BYTES.get(version) or not whole:
                raise damaged(path, f"a frame of {object_bytes} bytes in this container", offset=offset)
        elif kind == GLOBAL_MARKER:
            names |= _marked_names(data[begin + header_bytes : begin + object_bytes])
        place = begin + object_bytes


def _marked_names(body: bytes) -> dict[int, str]:
    if len(body) < MARKER.size:
        return {}
    length = MARKER.unpack_from(body)[4]
    text = body[MARKER.size : MARKER.size + length].decode("ascii", errors="replace")
    return channel_names(text.removeprefix(CHANNEL_NAMES)) if text.startswith(CHANNEL_NAMES) else {}
