"""Services on memory and files (ISO 14229-1: 0x23, 0x35, 0x38, 0x3D), the ECU's half."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, ClassVar

from bench.wire.uds import DecodeError, MemoryRange, Sid, need, positive

PATH_LENGTH_BYTES = 2


@dataclass(frozen=True, slots=True)
class ReadMemoryByAddress:
    """Service 0x23: the tester reads a range of memory."""

    SID: ClassVar[int] = Sid.READ_MEMORY_BY_ADDRESS
    memory: MemoryRange

    @classmethod
    def decode(cls, pdu: bytes) -> ReadMemoryByAddress:
        """Read 4 bytes and what the format asks for."""
        need(pdu, cls.SID, 4, more=True)
        return cls(MemoryRange.decode(pdu[1:]))


@dataclass(frozen=True, slots=True)
class WriteMemoryByAddress:
    """Service 0x3D: the tester writes `data` over a range of memory of that size."""

    SID: ClassVar[int] = Sid.WRITE_MEMORY_BY_ADDRESS
    memory: MemoryRange
    data: bytes

    @classmethod
    def decode(cls, pdu: bytes) -> WriteMemoryByAddress:
        """Read 5 bytes, what the format asks for, and as many data bytes as memorySize says."""
        need(pdu, cls.SID, 5, more=True)
        memory, data = MemoryRange.split(pdu[1:])
        if len(data) != memory.size_bytes:
            raise DecodeError(f"memorySize is {memory.size_bytes}, {len(data)} bytes follow")
        return cls(memory, data)


@dataclass(frozen=True, slots=True)
class RequestUpload:
    """Service 0x35: the tester asks to read a range block by block; nibbles of `data_format` as in 0x34."""

    SID: ClassVar[int] = Sid.REQUEST_UPLOAD
    data_format: int
    memory: MemoryRange

    @classmethod
    def decode(cls, pdu: bytes) -> RequestUpload:
        """Read 3 bytes and what the format asks for."""
        need(pdu, cls.SID, 3, more=True)
        return cls(pdu[1], MemoryRange.decode(pdu[2:]))


class FileMode(IntEnum):
    """modeOfOperation of 0x38 (annex G)."""

    ADD = 0x01
    DELETE = 0x02
    REPLACE = 0x03
    READ = 0x04
    READ_DIRECTORY = 0x05
    RESUME = 0x06


WRITING_MODES = frozenset((FileMode.ADD, FileMode.REPLACE, FileMode.RESUME))
_WITH_FORMAT = WRITING_MODES | {FileMode.READ}


@dataclass(frozen=True, slots=True)
class RequestFileTransfer:
    """Service 0x38: what is done with a file; the sizes (plain, compressed) come with data for the ECU only."""

    SID: ClassVar[int] = Sid.REQUEST_FILE_TRANSFER
    mode: int
    path: bytes
    data_format: int | None = None
    sizes: tuple[int, int] | None = None

    @classmethod
    def decode(cls, pdu: bytes) -> RequestFileTransfer:
        """Read mode, path, and what the mode asks for; exactly. An unknown mode is taken for one without more."""
        need(pdu, cls.SID, 4, more=True)
        begin = 2 + PATH_LENGTH_BYTES
        end = begin + int.from_bytes(pdu[2:begin], "big")
        mode, path, rest = pdu[1], pdu[begin:end], pdu[end:]
        if len(pdu) < end or not path:
            raise DecodeError(f"the path is cut off or empty: {pdu[:16].hex(' ')}")
        if mode not in _WITH_FORMAT:
            return cls(mode, path, *_nothing(rest))
        if not rest:
            raise DecodeError("dataFormatIdentifier is missing")
        if mode in WRITING_MODES:
            return cls(mode, path, rest[0], _file_sizes(rest[1:]))
        return cls(mode, path, rest[0], *_nothing(rest[1:]))


def _nothing(rest: bytes) -> tuple[()]:
    if rest:
        raise DecodeError(f"{len(rest)} bytes too many")
    return ()


def _file_sizes(raw: bytes) -> tuple[int, int]:
    """Read fileSizeParameterLength, fileSizeUnCompressed and fileSizeCompressed."""
    length = raw[0] if raw else 0
    if not length or len(raw) != 1 + 2 * length:
        raise DecodeError(f"file sizes are malformed: {raw[:16].hex(' ')}")
    return int.from_bytes(raw[1 : 1 + length], "big"), int.from_bytes(raw[1 + length :], "big")


MEMORY_DECODERS: Mapping[int, Callable[[bytes], Any]] = {
    request.SID: request.decode
    for request in (ReadMemoryByAddress, WriteMemoryByAddress, RequestUpload, RequestFileTransfer)
}
"""How the services of this module are read."""


def file_transfer_response(
    mode: int, max_block_length: int, data_format: int = 0, sizes: tuple[int, ...] = ()
) -> bytes:
    """Return the answer to 0x38: for reading with the file's size (plain and compressed) or the directory's length.

    The lengthFormatIdentifier of this service is a plain count of bytes.
    """
    if mode == FileMode.DELETE:
        return positive(Sid.REQUEST_FILE_TRANSFER, bytes((mode,)))
    head = bytes((mode, 4)) + max_block_length.to_bytes(4, "big") + bytes((data_format,))
    size_bytes = b"".join(size.to_bytes(4, "big") for size in sizes)
    return positive(Sid.REQUEST_FILE_TRANSFER, head, (4).to_bytes(2, "big") + size_bytes if sizes else b"")
