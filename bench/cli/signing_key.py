"""The user's signing key."""

from __future__ import annotations

from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bench.config import read_bytes
from bench.core.errors import InputError

MAX_KEY_BYTES = 65536


def private_key(key: Path) -> Ed25519PrivateKey:
    """Read an Ed25519 private key, PEM without passphrase; `InputError` says what the file holds instead."""
    pem = read_bytes(key, limit_bytes=MAX_KEY_BYTES, what="key file")
    allowed = "an Ed25519 private key, PEM (PKCS#8) without passphrase"
    try:
        loaded = load_pem_private_key(pem, password=None)
    except TypeError:
        raise InputError("key file needs a passphrase", file=str(key), key="--key", allowed=allowed) from None
    except (ValueError, UnsupportedAlgorithm):
        raise InputError("key file holds no private key", file=str(key), key="--key", allowed=allowed) from None
    if not isinstance(loaded, Ed25519PrivateKey):
        found = type(loaded).__name__.lstrip("_")
        raise InputError("key is of another kind", file=str(key), key="--key", found=found, allowed=allowed)
    return loaded
