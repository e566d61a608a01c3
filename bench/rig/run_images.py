"""The images of a run: what the ECUs have, what the order brings; demo payloads or the user's own firmware."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.assembly.images import OwnFirmware, check_size, installed_images, signed
from bench.core.errors import InputError
from bench.description.ecu_entry import EcuEntry
from bench.description.load import BenchFiles
from bench.images.signing import SignedImage, demo_payload
from bench.runs.scenario import OrderedImage, Scenario
from bench.wire.image_behaviour import MARKER_BYTES, Behaviour, ImageBehaviour, marked


@dataclass(frozen=True, slots=True)
class RunImages:
    """Signed images by ECU: `installed` before the run, `target` and `then` what the orders bring."""

    installed: Mapping[str, SignedImage]
    target: Mapping[str, SignedImage]
    then: tuple[Mapping[str, SignedImage], ...] = ()

    @property
    def orders(self) -> tuple[Mapping[str, SignedImage], ...]:
        """What every order brings, in the sequence of the scenario's orders."""
        return (self.target, *self.then)


def make_images(
    files: BenchFiles, scenario: Scenario, scenario_path: Path, seed: int, own: Mapping[str, OwnFirmware]
) -> RunImages:
    """Sign every image; `InputError` when an order names an ECU that the vehicle lacks or an image is too large.

    The user's own firmware is that of the first order.
    """
    first = _ordered(files, scenario.order.images, "order", scenario_path, seed, own)
    for ecu_id in own:
        if ecu_id not in first:
            raise InputError(
                "--image names an ECU that the scenario does not update", found=ecu_id, allowed=", ".join(first)
            )
    then = tuple(_ordered(files, order.images, "then", scenario_path, seed, {}) for order in scenario.then)
    return RunImages(installed_images(files, seed), first, then)


def _ordered(
    files: BenchFiles,
    images: Sequence[OrderedImage],
    key: str,
    scenario_path: Path,
    seed: int,
    own: Mapping[str, OwnFirmware],
) -> dict[str, SignedImage]:
    """Sign the images of one order, which stands under `key` in the scenario file."""
    ecus = {ecu.id: ecu for ecu in files.vehicle.ecus}
    target = {}
    for image in images:
        if image.ecu not in ecus:
            raise InputError(
                f"the scenario orders software for an ECU that vehicle {files.vehicle.name} lacks",
                file=str(scenario_path),
                key=f"{key}.images.ecu",
                found=image.ecu,
                allowed=", ".join(ecus),
            )
        if image.behaviour != "normal" and (image.ecu in own or image.size_bytes < MARKER_BYTES):
            raise InputError(
                f"the image of ECU {image.ecu} cannot be made to {image.behaviour}",
                file=str(scenario_path),
                key=f"{key}.images.behaviour",
                found=f'"{image.behaviour}"',
                allowed=f"a payload of otabench's own (no --image) of at least {MARKER_BYTES} bytes",
            )
        if image.ecu not in own:
            check_size(files, ecus[image.ecu], image.size_bytes, scenario_path)
        target[image.ecu] = _target(files, ecus[image.ecu], image, seed, own)
    return target


def _target(
    files: BenchFiles, ecu: EcuEntry, image: OrderedImage, seed: int, own: Mapping[str, OwnFirmware]
) -> SignedImage:
    payload = own[ecu.id].data if ecu.id in own else demo_payload(seed, ecu.id, image.version, image.size_bytes)
    if image.behaviour != "normal":
        payload = marked(payload, ImageBehaviour(Behaviour[image.behaviour.upper()], image.behaviour_after_ms))
    return signed(ecu, files.recipes[ecu.id].memory.region_base, payload, image.version, image.release_counter)
