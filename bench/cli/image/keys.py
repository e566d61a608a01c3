"""Keys as users give them: a file, or the name of a test key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from bench.config import read_bytes
from bench.config.toml_text import shortened
from bench.core.errors import InputError
from bench.trust.keys import signing_key

MAX_KEY_BYTES = 65536
PUBLIC_DIGITS = 64
Command = TypeVar("Command", bound=Callable[..., Any])


def key_options(text: str) -> Callable[[Command], Command]:
    """Add --key and --test-key for a public key."""

    def add(command: Command) -> Command:
        test = click.option("--test-key", metavar="NAME", help="Instead of --key: the test key of this name (image).")
        return click.option("--key", metavar="PUBLIC", help=text)(test(command))

    return add


def verifier(key: str | None, test_key: str | None) -> Ed25519PublicKey | None:
    """Return the public key that the user gave, if any; `InputError` when it is none or both are given."""
    allowed = "an Ed25519 public key: PEM, or 64 hexadecimal digits"
    if key is not None and test_key is not None:
        both = "both --key and --test-key"
        raise InputError("one key is enough", key="--key", found=both, allowed="--key PUBLIC or --test-key NAME")
    if test_key is not None:
        return signing_key(test_key).public_key()
    if key is None:
        return None
    if len(key) == PUBLIC_DIGITS and not Path(key).exists():
        try:
            return Ed25519PublicKey.from_public_bytes(bytes.fromhex(key))
        except ValueError:
            raise InputError("--key is no public key", key="--key", found=key, allowed=allowed) from None
    pem = read_bytes(Path(key), limit_bytes=MAX_KEY_BYTES, what="key file")
    try:
        loaded = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        hint = "openssl pkey -in key.pem -pubout -out public.pem"
        raise InputError("key file holds no public key", file=key, key="--key", allowed=allowed, hint=hint) from None
    if not isinstance(loaded, Ed25519PublicKey):
        found = type(loaded).__name__.lstrip("_")
        raise InputError("key is of another kind", file=key, key="--key", found=found, allowed=allowed)
    return loaded


def signer(key: Path | None, test_key: str | None) -> Ed25519PrivateKey:
    """Return the private key that the user gave; `InputError` when it is none, or not exactly one is given."""
    if (key is None) == (test_key is None):
        raise InputError(
            "one key is needed",
            key="--key",
            found="none" if key is None else "both --key and --test-key",
            allowed="--key KEYFILE.pem, or --test-key NAME in simulation",
            hint="make a key with: openssl genpkey -algorithm ed25519 -out key.pem",
        )
    if key is None:
        return signing_key(str(test_key))
    pem = read_bytes(key, limit_bytes=MAX_KEY_BYTES, what="key file")
    try:
        loaded = load_pem_private_key(pem, password=None)
    except TypeError:
        raise _no_signer("needs a passphrase", key, "a key with a passphrase") from None
    except (ValueError, UnsupportedAlgorithm):
        raise _no_signer("holds no private key", key, shortened(_first_line(pem)) or "an empty file") from None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise _no_signer("is of another kind", key, type(loaded).__name__.lstrip("_"))
    return loaded


def _no_signer(what: str, key: Path, found: str) -> InputError:
    return InputError(
        f"key file {what}",
        file=str(key),
        key="--key",
        found=found,
        allowed="an Ed25519 private key, PEM (PKCS#8) without passphrase",
        hint="make a key with: openssl genpkey -algorithm ed25519 -out key.pem",
    )


def _first_line(pem: bytes) -> str:
    """Return the label of a PEM file; of anything else only what kind of thing it is: it may be a secret."""
    first = pem.lstrip()[:80].split(b"\n", 1)[0].strip()
    if first.startswith(b"-----BEGIN"):
        return first.decode("ascii", "replace")
    return f"{len(pem)} bytes that are no PEM" if pem else ""
