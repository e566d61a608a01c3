"""What only a maker can do: a package rightly signed for other hardware (test keys, simulation only)."""

from __future__ import annotations

from dataclasses import replace

from bench.assembly.images import IMAGE_KEY, PACKAGE_KEY
from bench.trust.keys import signing_key
from bench.trust.package import build_package
from bench.wire.image_header import HEADER_BYTES, ImageHeader
from bench.wire.package import Manifest, read_package


def sign_for_hardware(package: bytes, ecu: str, hardware_id: str) -> bytes:
    """Return `package` with the image of `ecu` signed, and the package too, as if made for `hardware_id`."""
    files = read_package(package)
    manifest = Manifest.decode(files.manifest)
    images = []
    for entry in manifest.images:
        file = files.images[entry.ecu]
        if entry.ecu == ecu:
            file = _for_hardware(file, hardware_id)
        images.append((entry.ecu, file))
    return build_package(manifest.package_id, images, signing_key(PACKAGE_KEY))


def _for_hardware(file: bytes, hardware_id: str) -> bytes:
    header = replace(ImageHeader.decode(file[:HEADER_BYTES]), hardware_id=hardware_id)
    signature = signing_key(IMAGE_KEY).sign(header.signed_part())
    return header.with_signature(signature).encode() + file[HEADER_BYTES:]
