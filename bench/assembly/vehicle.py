"""The simulated vehicle of a bench, found by its entry point."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.assembly.images import IMAGE_KEY
from bench.assembly.plugs import plug_in
from bench.core.specs import VehicleSpec
from bench.core.world import World
from bench.description.load import BenchFiles
from bench.images.signing import SignedImage
from bench.ports.can import CanBus
from bench.trust.keys import public_key


def build_vehicle(
    world: World, files: BenchFiles, buses: Mapping[str, CanBus], installed: Mapping[str, SignedImage]
) -> Any:
    """Return the ECUs that the bench simulates, without power, each with its installed image."""
    here = {ecu.id for ecu in files.simulated}
    spec = files.vehicle.spec()
    spec = replace(spec, ecus=tuple(ecu for ecu in spec.ecus if ecu.id in here))
    images = {ecu: image for ecu, image in installed.items() if ecu in here}
    return simulated(world, spec, buses, files.personality_files, images)


def simulated(
    world: World,
    spec: VehicleSpec,
    buses: Mapping[str, CanBus],
    personality_files: Mapping[str, Path],
    installed: Mapping[str, SignedImage],
) -> Any:
    """Return the ECUs of `spec`, without power, built by whoever simulates them (`otabench.vehicle`)."""
    images = {ecu: (image.header.encode(), image.data) for ecu, image in installed.items()}
    build = plug_in("otabench.vehicle", "sim")
    return build(world, spec, buses, public_key(IMAGE_KEY), personality_files, images)
