"""Signed but bad images, and how often an ECU was reset because of one."""

from __future__ import annotations

from typing import Any

from bench.images.signing import SignedImage, sign_image
from bench.trust.keys import signing_key
from bench.wire.image_behaviour import Behaviour, ImageBehaviour, marked


def bad_image(car: Any, kind: Behaviour, after_ms: int, version: str = "2.0.0", counter: int = 2) -> SignedImage:
    """Return what `car.image` would, with a marker."""
    good = car.image(version, counter)
    header = good.header
    return sign_image(
        marked(good.data, ImageBehaviour(kind, after_ms)), hardware_id=header.hardware_id,
        software_id=header.software_id, version=version, release_counter=counter, load_address=header.load_address,
        key=signing_key("image"),
    )  # fmt: skip


def starts(car: Any) -> list[str]:
    """Why each boot manager started."""
    return [b.reason for b in car.world.recorder.boots if b.stage == "boot_manager"]
