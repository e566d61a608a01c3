"""Canonical JSON: one byte string for one value, so that hashes and signatures can be compared."""

from __future__ import annotations

import hashlib
import json


def canonical_json(value: object) -> bytes:
    """Return JSON with sorted keys, no blanks, ASCII only (no NaN)."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False).encode()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of `data` as 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()
