"""Checksums that a file expects of the ECU, computed over the file's own data where algorithm and data are known."""

from __future__ import annotations

import binascii
import hashlib
import re
import zlib
from collections.abc import Callable, Mapping

from bench.images.blocks import CheckState, ExpectedChecksum
from bench.images.flash_session import OdxValue
from bench.images.memory import AddressRange, MemoryImage

_Sum = Callable[[bytes], bytes]


def _crc16(start: int) -> _Sum:
    return lambda data: binascii.crc_hqx(data, start).to_bytes(2, "big")


def _hashed(name: str) -> _Sum:
    return lambda data: hashlib.new(name, data, usedforsecurity=False).digest()


ALGORITHMS: Mapping[str, tuple[_Sum, ...]] = {
    "CRC32": (lambda data: zlib.crc32(data).to_bytes(4, "big"),),
    "CRC16CCITT": (_crc16(0xFFFF), _crc16(0)),  # makers call either start value so
    "CRC16CCITTFALSE": (_crc16(0xFFFF),),
    "CRC16XMODEM": (_crc16(0),),
    **{name.upper(): (_hashed(name),) for name in ("md5", "sha1", "sha256", "sha384", "sha512")},
}
"""Name in capitals, without signs: what may be meant by it. CHECKSUM-ALG is free text (ISO 22901-1)."""
KNOWN = "CRC32, CRC16-CCITT, CRC16-CCITT-FALSE, CRC16-XMODEM, MD5, SHA-1, SHA-256, SHA-384, SHA-512"


def checked(
    name: str, algorithm: str | None, region: AddressRange, result: OdxValue, memory: MemoryImage
) -> ExpectedChecksum:
    """Return an expected checksum with what `memory`, the plain data of the file, says of it."""
    sums = ALGORITHMS.get(re.sub(r"[^A-Z0-9]", "", (algorithm or "").upper()))
    state, reason = CheckState.UNCHECKED, ""
    inside = memory.within(region)
    value = result.data()
    if not algorithm:
        reason = "the file names no algorithm"
    elif sums is None:
        reason = f"the algorithm {algorithm!r} is not known; known are {KNOWN}"
    elif inside.ranges != (region,):
        reason = "its range is not whole in the plain data of the file (packed, or with gaps)"
    else:
        found = [compute(inside.segments[0].data) for compute in sums]
        value = result.data(len(found[0]))
        state = CheckState.RIGHT if value in found else CheckState.WRONG
        reason = (
            "" if state is CheckState.RIGHT else f"the data give {' or '.join(each.hex().upper() for each in found)}"
        )
    return ExpectedChecksum(name, algorithm, region, value, state, reason)
