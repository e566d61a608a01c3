"""Checksums that flash loaders compare, by name."""

from __future__ import annotations

import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping

SUMS: Mapping[str, Callable[[bytes], bytes]] = {
    # CRC-16/CCITT-FALSE: polynomial 0x1021, begins with 0xFFFF, not reflected (the one of VBF files).
    "crc16_ccitt_false": lambda data: binascii.crc_hqx(data, 0xFFFF).to_bytes(2, "big"),
    # CRC-32 of ISO 3309, as in zip files.
    "crc32": lambda data: zlib.crc32(data).to_bytes(4, "big"),
    "sha256": lambda data: hashlib.sha256(data).digest(),
}
