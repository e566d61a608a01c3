from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.images.signing import demo_payload, sign_image
from bench.trust.keys import signing_key
from bench.trust.package import EcuIdentity, build_package

ImageMaker = Callable[..., bytes]
"""(hardware_id=..., counter=..., key=...) -> image file."""


@pytest.fixture
def image_file() -> ImageMaker:
    def make(hardware_id: str = "BCM-HW-03", counter: int = 2, key: str = "image", size: int = 600) -> bytes:
        return sign_image(
            demo_payload(1, hardware_id, "2.0.0", size),
            hardware_id=hardware_id,
            software_id="APP",
            version="2.0.0",
            release_counter=counter,
            load_address=0,
            key=signing_key(key),
        ).file

    return make


@pytest.fixture
def package(image_file: ImageMaker) -> bytes:
    images = [("body", image_file()), ("gateway", image_file("GW-HW-02"))]
    return build_package("pkg-2", images, signing_key("package"))


@pytest.fixture
def vehicle() -> tuple[EcuIdentity, ...]:
    return (
        EcuIdentity(ecu="body", hardware_id="BCM-HW-03", release_counter=1),
        EcuIdentity(ecu="gateway", hardware_id="GW-HW-02", release_counter=2),
    )
