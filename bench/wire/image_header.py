"""The image header: fixed 256 bytes in a slot of its own, signed, read by agent and bootloader (docs/contracts.md).

Layout, big-endian: magic 8, hardware id 32, software id 32, version 32, release counter 4, load address 4,
length 4, reserved 44 (zero), SHA-256 of the image 32, Ed25519 signature over the 192 bytes before it 64.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

from bench.core.canonical import sha256_hex

MAGIC = b"OTBIMG1\x00"
HEADER_BYTES = 256
SIGNED_BYTES = 192
SIGNATURE_BYTES = 64
_FIXED = struct.Struct(">8s32s32s32sIII44s32s64s")
assert _FIXED.size == HEADER_BYTES


class HeaderError(ValueError):
    """These bytes are not an image header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageHeader:
    """What an image says of itself. Texts are ASCII of at most 32 characters; `sha256` covers the image's bytes."""

    hardware_id: str
    software_id: str
    version: str
    release_counter: int
    load_address: int
    length: int
    sha256: bytes
    signature: bytes = bytes(SIGNATURE_BYTES)

    @classmethod
    def decode(cls, raw: bytes) -> ImageHeader:
        """Read 256 bytes; `HeaderError` when magic, texts or reserved bytes are wrong. No signature check."""
        if len(raw) != HEADER_BYTES:
            raise HeaderError(f"{len(raw)} bytes, a header has {HEADER_BYTES}")
        magic, hardware, software, version, counter, load, length, reserved, digest, signature = _FIXED.unpack(raw)
        if magic != MAGIC:
            raise HeaderError(f"magic is {magic.hex()}, expected {MAGIC.hex()}")
        if any(reserved):
            raise HeaderError("reserved bytes are not zero")
        return cls(
            hardware_id=_text(hardware), software_id=_text(software), version=_text(version), release_counter=counter,
            load_address=load, length=length, sha256=digest, signature=signature,
        )  # fmt: skip

    def encode(self) -> bytes:
        """Return the 256 bytes; `HeaderError` when a text or number does not fit."""
        texts = (_bytes(self.hardware_id), _bytes(self.software_id), _bytes(self.version))
        try:
            return _FIXED.pack(
                MAGIC,
                *texts,
                self.release_counter,
                self.load_address,
                self.length,
                bytes(44),
                self.sha256,
                self.signature,
            )
        except struct.error as error:
            raise HeaderError(f"a number does not fit 32 bits: {error}") from None

    def signed_part(self) -> bytes:
        """Return the bytes that the signature covers."""
        return self.encode()[:SIGNED_BYTES]

    def with_signature(self, signature: bytes) -> ImageHeader:
        """Return the same header carrying `signature` (64 bytes)."""
        return replace(self, signature=signature)

    def fits(self, image: bytes) -> bool:
        """Return whether length and SHA-256 are those of `image`."""
        return self.length == len(image) and self.sha256.hex() == sha256_hex(image)


def _bytes(text: str) -> bytes:
    raw = text.encode("ascii", "replace")
    if not text or len(raw) > 32 or raw.decode() != text or not text.isprintable():
        raise HeaderError(f"{text!r} is not 1 to 32 printable ASCII characters")
    return raw


def _text(raw: bytes) -> str:
    text = raw.rstrip(b"\x00")
    if not text or not text.isascii() or not text.decode().isprintable():
        raise HeaderError(f"text field {raw.hex()} is not printable ASCII")
    return text.decode()
