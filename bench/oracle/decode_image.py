"""The signed image header as the judge reads it: 256 bytes, big-endian (docs/contracts.md, "Package and image").

magic 8 "OTBIMG1\\0", hardware id 32, software id 32, version 32, release counter 4, load address 4, length 4,
reserved 44 (zero), SHA-256 of the image 32, Ed25519 signature over the 192 bytes before it 64.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

HEADER_BYTES = 256
_SIGNED = slice(0, 192)
_SIGNATURE = slice(192, 256)
_MAGIC = b"OTBIMG1\x00"


class NotAHeader(ValueError):
    """These bytes are no image header; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """What a header says; `sha256` in hexadecimal digits, `load_address` linked, `length` in bytes."""

    hardware_id: str
    software_id: str
    version: str
    release_counter: int
    load_address: int
    length: int
    sha256: str


def decode_header(raw: bytes) -> Header:
    """Read a header without judging its signature; `NotAHeader` says what is wrong."""
    if len(raw) != HEADER_BYTES:
        raise NotAHeader(f"{len(raw)} bytes instead of {HEADER_BYTES}")
    if raw[:8] != _MAGIC:
        raise NotAHeader(f"the magic is {raw[:8].hex()}")
    if raw[116:160] != bytes(44):
        raise NotAHeader("the reserved bytes are not zero")
    return Header(
        hardware_id=_text(raw[8:40], "hardware id"),
        software_id=_text(raw[40:72], "software id"),
        version=_text(raw[72:104], "version"),
        release_counter=int.from_bytes(raw[104:108], "big"),
        load_address=int.from_bytes(raw[108:112], "big"),
        length=int.from_bytes(raw[112:116], "big"),
        sha256=raw[160:192].hex(),
    )


def _text(field: bytes, name: str) -> str:
    text = field.rstrip(b"\x00")
    if not text or any(not 0x20 <= byte < 0x7F for byte in text):
        raise NotAHeader(f"the {name} {field.hex()} is not printable ASCII")
    return text.decode("ascii")


@lru_cache(maxsize=256)
def header_or_none(raw: bytes) -> Header | None:
    """Return the header, or None when these bytes are none."""
    try:
        return decode_header(raw)
    except NotAHeader:
        return None


@lru_cache(maxsize=256)
def is_signed(raw_header: bytes, public_key: bytes) -> bool:
    """Return whether the header's own signature is by `public_key` (32 raw bytes, Ed25519).

    A sweep executes the same few images thousands of times; the answer depends on these bytes alone.
    """
    return verifies(public_key, raw_header[_SIGNATURE], raw_header[_SIGNED])


def verifies(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    """Return whether `signature` over `signed` is by `public_key` (32 raw bytes, Ed25519)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except InvalidSignature:
        return False
    return True
