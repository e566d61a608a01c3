"""The images of a run: what the ECUs have, what the order brings; demo payloads or the user's own firmware."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import InputError
from bench.images.memory import AddressRange, fit_to_region
from bench.images.readers import read_image
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.rig.files import BenchFiles, EcuEntry
from bench.runs.scenario import OrderedImage, Scenario
from bench.trust.keys import signing_key
from bench.wire.image_behaviour import MARKER_BYTES, Behaviour, ImageBehaviour, marked

IMAGE_KEY, PACKAGE_KEY = "image", "package"


@dataclass(frozen=True, slots=True)
class OwnFirmware:
    """Firmware that a user gave with `--image ECU=FILE`, made contiguous for that ECU."""

    file: Path
    data: bytes
    left_out: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RunImages:
    """Signed images by ECU: `installed` before the run, `target` what the order brings."""

    installed: Mapping[str, SignedImage]
    target: Mapping[str, SignedImage]


def read_firmware(
    files: BenchFiles, images: Mapping[str, Path], *, crop: bool, base: int, option: str = "--image"
) -> dict[str, OwnFirmware]:
    """Read the user's firmware and fit it to each ECU's region; `InputError` names what does not fit, and `option`."""
    known = [ecu.id for ecu in files.vehicle.ecus]
    own = {}
    for ecu, path in images.items():
        if ecu not in known:
            raise InputError(
                "--image names an ECU that the vehicle lacks", key="--image", found=ecu, allowed=", ".join(known)
            )
        memory = files.recipes[ecu].memory
        region = AddressRange(memory.region_base, memory.region_base + memory.region_size)
        try:
            fitted = fit_to_region(read_image(path, binary_base=base), region, crop=crop, file=str(path))
        except InputError as error:
            raise InputError(
                error.problem,
                file=error.file,
                key=error.key or option,
                found=error.found or f"{ecu}={path}",
                allowed=error.allowed or "whole firmware: Intel HEX, S-records, TI-TXT, ELF, VBF or binary",
                hint=error.hint or "make the file anew, or name another one",
            ) from None
        own[ecu] = OwnFirmware(path, fitted.data, tuple(str(left) for left in fitted.left_out))
    return own


def installed_images(files: BenchFiles, seed: int) -> dict[str, SignedImage]:
    """Return what each ECU of a simulated vehicle runs before anything is done to it; `InputError` when too large."""
    installed = {}
    for ecu in files.vehicle.ecus:
        have = ecu.installed
        _check_size(files, ecu, have.size_bytes, files.vehicle_path)
        payload = demo_payload(seed, ecu.id, have.version, have.size_bytes)
        installed[ecu.id] = _signed(files, ecu, payload, have.version, have.release_counter)
    return installed


def make_images(
    files: BenchFiles, scenario: Scenario, scenario_path: Path, seed: int, own: Mapping[str, OwnFirmware]
) -> RunImages:
    """Sign every image; `InputError` when the order names an ECU that the vehicle lacks or an image is too large."""
    ecus = {ecu.id: ecu for ecu in files.vehicle.ecus}
    installed = installed_images(files, seed)
    target = {}
    for image in scenario.order.images:
        if image.ecu not in ecus:
            raise InputError(
                f"the scenario orders software for an ECU that vehicle {files.vehicle.name} lacks",
                file=str(scenario_path),
                key="order.images.ecu",
                found=image.ecu,
                allowed=", ".join(ecus),
            )
        if image.behaviour != "normal" and (image.ecu in own or image.size_bytes < MARKER_BYTES):
            raise InputError(
                f"the image of ECU {image.ecu} cannot be made to {image.behaviour}",
                file=str(scenario_path),
                key="order.images.behaviour",
                found=f'"{image.behaviour}"',
                allowed=f"a payload of otabench's own (no --image) of at least {MARKER_BYTES} bytes",
            )
        if image.ecu not in own:
            _check_size(files, ecus[image.ecu], image.size_bytes, scenario_path)
        target[image.ecu] = _target(files, ecus[image.ecu], image, seed, own)
    for ecu_id in own:
        if ecu_id not in target:
            raise InputError(
                "--image names an ECU that the scenario does not update", found=ecu_id, allowed=", ".join(target)
            )
    return RunImages(installed, target)


def _target(
    files: BenchFiles, ecu: EcuEntry, image: OrderedImage, seed: int, own: Mapping[str, OwnFirmware]
) -> SignedImage:
    payload = own[ecu.id].data if ecu.id in own else demo_payload(seed, ecu.id, image.version, image.size_bytes)
    if image.behaviour != "normal":
        payload = marked(payload, ImageBehaviour(Behaviour[image.behaviour.upper()], image.behaviour_after_ms))
    return _signed(files, ecu, payload, image.version, image.release_counter)


def _check_size(files: BenchFiles, ecu: EcuEntry, size_bytes: int, file: Path) -> None:
    limit = files.recipes[ecu.id].memory.region_size
    if size_bytes > limit:
        raise InputError(
            f"an image of ECU {ecu.id} does not fit its region",
            file=str(file),
            key="size_bytes",
            found=size_bytes,
            allowed=f"up to {limit}",
        )


def _signed(files: BenchFiles, ecu: EcuEntry, payload: bytes, version: str, release_counter: int) -> SignedImage:
    return sign_image(
        payload,
        hardware_id=ecu.hardware_id,
        software_id=ecu.software_id,
        version=version,
        release_counter=release_counter,
        load_address=files.recipes[ecu.id].memory.region_base,
        key=signing_key(IMAGE_KEY),
    )
