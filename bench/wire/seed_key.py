"""Seed and key of SecurityAccess (0x27): algorithms by name, over secrets derived for tests (D7)."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping

from bench.core.errors import InputError

KEY_BYTES = 8
Algorithm = Callable[[bytes, bytes], bytes]
"""Makes a key of (secret, seed)."""


def _hmac_sha256(secret: bytes, seed: bytes) -> bytes:
    return hmac.digest(secret, seed, "sha256")[:KEY_BYTES]


ALGORITHMS: Mapping[str, Algorithm] = {"hmac_sha256": _hmac_sha256}


def test_secret(name: str) -> bytes:
    """Return the 32 bytes that both sides of a test derive from a secret's name; never a real secret."""
    return hashlib.sha256(f"otabench test key {name}".encode()).digest()


def compute(algorithm: str, secret_name: str, seed: bytes) -> bytes:
    """Return the key that opens `seed`; `InputError` names the algorithms there are."""
    if algorithm not in ALGORITHMS:
        raise InputError("unknown seed-key algorithm", found=algorithm, allowed=", ".join(sorted(ALGORITHMS)))
    return ALGORITHMS[algorithm](test_secret(secret_name), seed)
