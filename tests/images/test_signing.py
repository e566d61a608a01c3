from __future__ import annotations

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.wire.image_header import HEADER_BYTES, HeaderError, ImageHeader

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


def signed(data: bytes = b"firmware", *, release_counter: int = 7) -> SignedImage:
    return sign_image(
        data,
        hardware_id="BCM-HW-03",
        software_id="BCM-APP",
        version="1.1.0",
        release_counter=release_counter,
        load_address=0x8000,
        key=KEY,
    )


def test_file_of_a_signed_image_is_its_header_then_its_bytes() -> None:
    image = signed()
    header = ImageHeader.decode(image.file[:HEADER_BYTES])
    assert header == image.header
    assert header.fits(image.file[HEADER_BYTES:])
    assert (header.version, header.release_counter, header.load_address) == ("1.1.0", 7, 0x8000)


def test_signature_covers_the_header_with_the_images_hash() -> None:
    header = signed().header
    KEY.public_key().verify(header.signature, header.signed_part())
    with pytest.raises(InvalidSignature):
        KEY.public_key().verify(header.signature, signed(b"firmwarf").header.signed_part())


def test_release_counter_over_32_bits_is_refused() -> None:
    with pytest.raises(HeaderError, match="32 bits"):
        signed(release_counter=1 << 32)


def test_demo_payload_depends_on_seed_ecu_and_version_and_is_not_constant() -> None:
    payload = demo_payload(1, "body", "1.1.0", 4096)
    assert payload == demo_payload(1, "body", "1.1.0", 4096)
    others = {demo_payload(2, "body", "1.1.0", 4096), demo_payload(1, "gateway", "1.1.0", 4096)}
    assert payload not in others | {demo_payload(1, "body", "1.2.0", 4096)}
    assert len(set(payload)) > 200
