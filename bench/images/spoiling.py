"""Deliberately bad signed images, each with one thing wrong: what agent, flasher and bootloader must refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bench.images.signing import SignedImage
from bench.wire.image_header import HEADER_BYTES

OTHER_HARDWARE = "OTHER-HW-99"
SIGNATURE, HASH, HARDWARE, RELEASE, TRUNCATED = "signature", "hash", "hardware", "release", "truncated"
BAD: Mapping[str, str] = {
    SIGNATURE: "one bit of the signature is flipped",
    HASH: "one bit of the image was flipped after it was signed",
    HARDWARE: f"rightly signed, for other hardware ({OTHER_HARDWARE})",
    RELEASE: "rightly signed, with a release counter below what the ECU runs",
    TRUNCATED: "the second half of the image is missing",
}
"""What is wrong with an image of each kind."""


def _as_it_is(file: bytes) -> bytes:
    return file


def _flipped(file: bytes, offset: int) -> bytes:
    return file[:offset] + bytes((file[offset] ^ 0x01,)) + file[offset + 1 :]


_SPOIL: Mapping[str, Callable[[bytes], bytes]] = {
    SIGNATURE: lambda file: _flipped(file, HEADER_BYTES - 1),
    HASH: lambda file: _flipped(file, (HEADER_BYTES + len(file)) // 2),
    TRUNCATED: lambda file: file[: (HEADER_BYTES + len(file)) // 2],
}


def spoiled_file(image: SignedImage, bad: str | None) -> bytes:
    """Return header and image as a file; kinds that are wrong since they were signed so are left as they are."""
    return _SPOIL.get(bad or "", _as_it_is)(image.file)
