"""How an attacker changes a package without its key: bytes in, bytes out."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable

SIGNATURE_MEMBER = "manifest.sig"


def flip_payload_bit(package: bytes, ecu: str) -> bytes:
    """Flip one bit in the middle of an ECU's image."""
    return _rewrite(package, f"images/{ecu}.bin", lambda data: _flip(data, len(data) // 2))


def flip_signature_bit(package: bytes) -> bytes:
    """Flip one bit of the package's signature."""
    return _rewrite(package, SIGNATURE_MEMBER, lambda data: _flip(data, 0))


def _flip(data: bytes, offset: int) -> bytes:
    return data[:offset] + bytes((data[offset] ^ 0x01,)) + data[offset + 1 :]


def _rewrite(package: bytes, member: str, change: Callable[[bytes], bytes]) -> bytes:
    """Return the zip with one member changed and everything else as it was (KeyError: no such member)."""
    source = zipfile.ZipFile(io.BytesIO(package))
    source.getinfo(member)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as target:
        for info in source.infolist():
            data = source.read(info)
            target.writestr(info, change(data) if info.filename == member else data)
    return out.getvalue()
