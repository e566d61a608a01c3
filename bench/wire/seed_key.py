"""Seed and key of SecurityAccess (0x27): algorithms by name, over secrets derived for tests (D7).

A supplier adds an algorithm without a fork: a package of his names a function `(secret, seed) -> key` as entry point
of the group `otabench.seed_key`. Simulated ECUs look in the same table as the flasher.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from importlib.metadata import EntryPoint, entry_points

from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.cmac import CMAC

from bench.core.errors import InputError

GROUP = "otabench.seed_key"
KEY_BYTES = 8
"""Length of an `hmac_sha256` key."""
ROTATION_BITS = 3
AES_KEY_BYTES = 16
Algorithm = Callable[[bytes, bytes], bytes]
"""Makes a key of (secret, seed)."""


def _hmac_sha256(secret: bytes, seed: bytes) -> bytes:
    """Return the first eight bytes of HMAC-SHA256(secret, seed)."""
    return hmac.digest(secret, seed, "sha256")[:KEY_BYTES]


def _xor_rotate(secret: bytes, seed: bytes) -> bytes:
    """Return each seed byte, XORed with the secret's (repeated), rotated left by three bits; as long as the seed."""
    mixed = (byte ^ secret[n % len(secret)] for n, byte in enumerate(seed))
    return bytes((byte << ROTATION_BITS | byte >> (8 - ROTATION_BITS)) & 0xFF for byte in mixed)


def _aes_cmac(secret: bytes, seed: bytes) -> bytes:
    """Return AES-CMAC (RFC 4493) of the seed under the secret's first 16 bytes; 16 bytes."""
    code = CMAC(AES(secret[:AES_KEY_BYTES]))
    code.update(seed)
    return code.finalize()


ALGORITHMS: Mapping[str, Algorithm] = {"hmac_sha256": _hmac_sha256, "xor_rotate": _xor_rotate, "aes_cmac": _aes_cmac}
"""The built-in ones; a plug-in cannot take one of these names."""


def test_secret(name: str) -> bytes:
    """Return the 32 bytes that both sides of a test derive from a secret's name; never a real secret."""
    return hashlib.sha256(f"otabench test key {name}".encode()).digest()


def algorithm_names() -> tuple[str, ...]:
    """Return the built-in and the installed algorithms, sorted."""
    return tuple(sorted({*ALGORITHMS, *_plug_ins()}))


def is_known(name: str) -> bool:
    """Return whether an algorithm of that name exists; a plug-in is not loaded for that."""
    return name in ALGORITHMS or name in _plug_ins()


def _plug_ins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=GROUP) if point.name not in ALGORITHMS}


def find(name: str) -> Algorithm:
    """Return an algorithm; `InputError` names those there are, or why a plug-in cannot be loaded."""
    if name in ALGORITHMS:
        return ALGORITHMS[name]
    point = _plug_ins().get(name)
    if point is None:
        raise InputError("unknown seed-key algorithm", found=name, allowed=", ".join(algorithm_names()))
    try:
        loaded: Algorithm = point.load()
    except Exception as error:  # whatever a foreign package fails with
        raise _unusable(name, point.value, f"cannot be loaded: {type(error).__name__}: {error}") from error
    if not callable(loaded):
        raise _unusable(name, point.value, "is no function (secret, seed) -> key")
    return loaded


def compute(algorithm: str, secret_name: str, seed: bytes) -> bytes:
    """Return the key that opens `seed`; `InputError` for an unknown algorithm or one that does not give a key."""
    function = find(algorithm)
    try:
        key: object = function(test_secret(secret_name), seed)
    except Exception as error:  # whatever a foreign package fails with
        raise _unusable(algorithm, "", f"failed: {type(error).__name__}: {error}") from error
    if not isinstance(key, bytes) or not key:
        raise _unusable(algorithm, "", f"gave {type(key).__name__} {key!r:.40} instead of a key's bytes")
    return key


def _unusable(name: str, value: str, why: str) -> InputError:
    named = f"{name} ({value})" if value else name
    return InputError(f"seed-key plug-in {named} {why}", hint=f"repair the package that brings it ({GROUP})")
