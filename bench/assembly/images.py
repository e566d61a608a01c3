"""Images of a bench's ECUs: the software they leave the factory with, and firmware that a user names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.core.errors import InputError
from bench.description.ecu_entry import EcuEntry
from bench.description.load import BenchFiles
from bench.images.memory import AddressRange, fit_to_region
from bench.images.readers import plain_image
from bench.images.readers import read_firmware as read_file
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.trust.keys import signing_key

IMAGE_KEY, PACKAGE_KEY = "image", "package"


@dataclass(frozen=True, slots=True)
class OwnFirmware:
    """Firmware that a user gave with `--image ECU=FILE`, made contiguous for that ECU."""

    file: Path
    data: bytes
    left_out: tuple[str, ...]
    tolerated: tuple[str, ...] = ()
    """What a lenient reader left out, a sentence each."""


def read_firmware(
    files: BenchFiles,
    images: Mapping[str, Path],
    *,
    crop: bool,
    base: int | None,
    option: str = "--image",
    lenient: bool = False,
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
            firmware = read_file(path, binary_base=base, lenient=lenient)
            fitted = fit_to_region(plain_image(firmware, path), region, crop=crop, file=str(path))
        except InputError as error:
            raise InputError(
                error.problem,
                file=error.file,
                key=error.key or option,
                found=error.found or f"{ecu}={path}",
                allowed=error.allowed or "whole firmware: Intel HEX, S-records, TI-TXT, ELF, VBF or binary",
                hint=error.hint or "make the file anew, or name another one",
            ) from None
        left_out = tuple(str(left) for left in fitted.left_out)
        own[ecu] = OwnFirmware(path, fitted.data, left_out, firmware.tolerated)
    return own


def installed_images(files: BenchFiles, seed: int) -> dict[str, SignedImage]:
    """Return what each ECU runs before anything is done to it, where the vehicle file says it.

    `InputError` when it is too large.
    """
    installed = {}
    for ecu in files.vehicle.ecus:
        if ecu.installed is None:
            continue
        have = ecu.installed
        check_size(files, ecu, have.size_bytes, files.vehicle_path)
        installed[ecu.id] = factory_image(ecu, files.recipes[ecu.id].memory.region_base, seed)
    return installed


def factory_image(ecu: EcuEntry, load_address: int, seed: int) -> SignedImage:
    """Return the software with which an ECU leaves the factory; its payload is random by seed."""
    have = ecu.factory
    payload = demo_payload(seed, ecu.id, have.version, have.size_bytes)
    return signed(ecu, load_address, payload, have.version, have.release_counter)


def check_size(files: BenchFiles, ecu: EcuEntry, size_bytes: int, file: Path) -> None:
    """Raise `InputError` when an image of that size does not fit the region that the ECU's recipe names."""
    limit = files.recipes[ecu.id].memory.region_size
    if size_bytes > limit:
        raise InputError(
            f"an image of ECU {ecu.id} does not fit its region",
            file=str(file),
            key="size_bytes",
            found=size_bytes,
            allowed=f"up to {limit}",
        )


def signed(ecu: EcuEntry, load_address: int, payload: bytes, version: str, release_counter: int) -> SignedImage:
    """Return the payload with a header for that ECU, signed with the image key."""
    return sign_image(
        payload,
        hardware_id=ecu.hardware_id,
        software_id=ecu.software_id,
        version=version,
        release_counter=release_counter,
        load_address=load_address,
        key=signing_key(IMAGE_KEY),
    )
