"""Signed images: a header (`bench.wire.image_header`) made for given bytes, and payloads for demonstrations."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.core.seeds import keyed_bytes
from bench.wire.image_header import ImageHeader


@dataclass(frozen=True, slots=True)
class SignedImage:
    """An image and its header; `data` starts at the header's load address."""

    header: ImageHeader
    data: bytes

    @property
    def file(self) -> bytes:
        """Return what a package carries: the 256-byte header, then the image."""
        return self.header.encode() + self.data


def sign_image(
    data: bytes,
    *,
    hardware_id: str,
    software_id: str,
    version: str,
    release_counter: int,
    load_address: int,
    key: Ed25519PrivateKey,
) -> SignedImage:
    """Make the header of `data` and sign it; `HeaderError` when a text or number does not fit the header."""
    header = ImageHeader(
        hardware_id=hardware_id,
        software_id=software_id,
        version=version,
        release_counter=release_counter,
        load_address=load_address,
        length=len(data),
        sha256=hashlib.sha256(data).digest(),
    )
    return SignedImage(header.with_signature(key.sign(header.signed_part())), data)


def demo_payload(seed: int, ecu: str, version: str, length: int) -> bytes:
    """Return `length` random bytes that depend on (seed, ecu, version) alone."""
    return keyed_bytes(seed, ecu, f"image {version}", 0, length)
