"""The simulated vehicle of a bench, found by its entry point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from bench.core.world import World
from bench.images.signing import SignedImage
from bench.ports import CanBus
from bench.rig.files import BenchFiles
from bench.rig.images import IMAGE_KEY
from bench.rig.server import plug_in
from bench.trust.keys import public_key


def build_vehicle(
    world: World, files: BenchFiles, buses: Mapping[str, CanBus], installed: Mapping[str, SignedImage]
) -> Any:
    """Return the bench's vehicle without power, every ECU with its installed image."""
    build = plug_in("otabench.vehicle", "sim")
    return build(
        world,
        files.vehicle.spec(),
        buses,
        public_key(IMAGE_KEY),
        files.personality_files,
        {ecu: (image.header.encode(), image.data) for ecu, image in installed.items()},
    )
