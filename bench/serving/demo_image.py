"""Demonstration software for an ECU of a vehicle, or for a kind of ECU: what it must say of itself, and how long."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.assembly.describe_ecu import describe_ecu
from bench.core.errors import InputError
from bench.description.ecu_description import EcuDescription
from bench.serving.ecu_server import ServedEcu

FIRST_RELEASE = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageTarget:
    """Whom an image is for. Payloads depend on `name`, so that two ECUs never get the same bytes."""

    name: str
    hardware_id: str
    software_id: str
    load_address: int
    limit_bytes: int
    installed_release: int
    """What the ECU runs before; an image must not be below it."""
    described_by: str
    """The personality file."""


def target_of_ecu(vehicle: Path, ecu_id: str) -> ImageTarget:
    """Return an ECU of a vehicle; `InputError` when the vehicle lacks it or a file is wrong."""
    served = ServedEcu(vehicle, ecu_id)
    entry = served.entry
    return _target(
        describe_ecu(served.personality_path), served.personality_path, ecu_id, (entry.hardware_id, entry.software_id),
        entry.factory.release_counter,
    )  # fmt: skip


def target_of_kind(personality: Path, hardware_id: str, software_id: str) -> ImageTarget:
    """Return an ECU of a kind that is in no vehicle."""
    described = describe_ecu(personality)
    return _target(described, personality, described.name, (hardware_id, software_id), FIRST_RELEASE)


def _target(
    described: EcuDescription, file: Path, name: str, ids: tuple[str, str], installed_release: int
) -> ImageTarget:
    bank = min(described.banks, key=lambda each: each.size_bytes)
    return ImageTarget(
        name=name, hardware_id=ids[0], software_id=ids[1], load_address=bank.linked_base, limit_bytes=bank.size_bytes,
        installed_release=installed_release, described_by=str(file),
    )  # fmt: skip


def check_size(target: ImageTarget, size_bytes: int, *, key: str, found: str, least_bytes: int = 1) -> None:
    """Raise `InputError` when an image of that size does not fit the ECU's bank."""
    if not least_bytes <= size_bytes <= target.limit_bytes:
        raise InputError(
            f"the image {'is too short' if size_bytes < least_bytes else f'does not fit the bank of {target.name}'}",
            file=target.described_by, key=key, found=found,
            allowed=f"{least_bytes} to {target.limit_bytes} bytes (0x{target.limit_bytes:X})",
            hint=f"give another {key}, or an ECU with another bank",
        )  # fmt: skip
