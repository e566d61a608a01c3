"""Building and verifying packages: the seam behind which TUF will come (docs/contracts.md, Package and image)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from bench.core.canonical import sha256_hex
from bench.wire.image_header import HEADER_BYTES, HeaderError, ImageHeader
from bench.wire.package import (
    Manifest,
    ManifestImage,
    PackageError,
    PackageFiles,
    describe_image,
    read_package,
    write_package,
)


class Refusal(StrEnum):
    """Why a package is not installed."""

    SIGNATURE = "signature"
    CORRUPT = "corrupt"
    HARDWARE = "hardware"
    ROLLBACK = "rollback"
    UNKNOWN_ECU = "unknown_ecu"


class PackageRefused(Exception):
    """The package must not be installed; `ecu` is None when the whole package is meant."""

    def __init__(self, reason: Refusal, ecu: str | None, sentence: str) -> None:
        super().__init__(sentence)
        self.reason, self.ecu, self.sentence = reason, ecu, sentence


@dataclass(frozen=True, slots=True, kw_only=True)
class EcuIdentity:
    """What the vehicle says of one of its ECUs; `release_counter` is that of the installed image."""

    ecu: str
    hardware_id: str
    release_counter: int


@dataclass(frozen=True, slots=True)
class VerifiedImage:
    """An image whose hashes and signature were found good."""

    entry: ManifestImage
    header: ImageHeader
    image: bytes

    @property
    def file(self) -> bytes:
        """Return header and image as they stood in the package."""
        return self.header.encode() + self.image


@dataclass(frozen=True, slots=True)
class VerifiedPackage:
    """A package that may be installed; images in the order of the manifest."""

    manifest: Manifest
    images: tuple[VerifiedImage, ...]

    @property
    def package_id(self) -> str:
        """Return the package's id."""
        return self.manifest.package_id


def build_package(package_id: str, images: Sequence[tuple[str, bytes]], key: Ed25519PrivateKey) -> bytes:
    """Return a signed package of image files (ECU id, signed header + image); `PackageError` when one has no header."""
    manifest = Manifest(package_id, tuple(_described(ecu, file) for ecu, file in images)).encode()
    return write_package(manifest, key.sign(manifest), images)


def check_package(package: bytes, package_public_key: bytes, image_public_key: bytes) -> VerifiedPackage:
    """Verify everything that needs no vehicle: zip, signature, hashes, headers. Raises `PackageRefused`."""
    return _verified(package, package_public_key, image_public_key, None)


def verify_package(
    package: bytes, package_public_key: bytes, image_public_key: bytes, vehicle: Sequence[EcuIdentity]
) -> VerifiedPackage:
    """Verify a package for a vehicle before any ECU is touched. Raises `PackageRefused`.

    Order: zip readable, package signature, every ECU known with the right hardware, length and SHA-256, header
    agrees with the manifest, header signature, release counter not below the installed one.
    """
    return _verified(package, package_public_key, image_public_key, {ecu.ecu: ecu for ecu in vehicle})


def _verified(
    package: bytes, package_key: bytes, image_key: bytes, vehicle: dict[str, EcuIdentity] | None
) -> VerifiedPackage:
    try:
        files = read_package(package)
    except PackageError as error:
        raise PackageRefused(Refusal.CORRUPT, None, str(error)) from None
    if not _signed_by(package_key, files.signature, files.manifest):
        raise PackageRefused(Refusal.SIGNATURE, None, "the package signature does not fit the manifest")
    try:
        manifest = Manifest.decode(files.manifest)
    except PackageError as error:
        raise PackageRefused(Refusal.CORRUPT, None, str(error)) from None
    if vehicle is not None:
        for entry in manifest.images:
            _check_hardware(entry, vehicle)
    _check_members(manifest, files)
    images = tuple(_verified_image(entry, files.images[entry.ecu], image_key) for entry in manifest.images)
    if vehicle is not None:
        for entry in manifest.images:
            _check_release(entry, vehicle[entry.ecu])
    return VerifiedPackage(manifest, images)


def _check_hardware(entry: ManifestImage, vehicle: dict[str, EcuIdentity]) -> None:
    known = vehicle.get(entry.ecu)
    if known is None:
        has = ", ".join(sorted(vehicle)) or "none"
        raise PackageRefused(Refusal.UNKNOWN_ECU, entry.ecu, f"the vehicle has no ECU {entry.ecu} (it has: {has})")
    if known.hardware_id != entry.hardware_id:
        sentence = f"the image is for hardware {entry.hardware_id}, {entry.ecu} is {known.hardware_id}"
        raise PackageRefused(Refusal.HARDWARE, entry.ecu, sentence)


def _check_members(manifest: Manifest, files: PackageFiles) -> None:
    expected = sorted(entry.ecu for entry in manifest.images)
    if sorted(files.images) != expected:
        sentence = f"the package holds images of {sorted(files.images)}, its manifest names {expected}"
        raise PackageRefused(Refusal.CORRUPT, None, sentence)


def _verified_image(entry: ManifestImage, file: bytes, image_key: bytes) -> VerifiedImage:
    if len(file) != entry.length or sha256_hex(file) != entry.sha256:
        raise PackageRefused(Refusal.CORRUPT, entry.ecu, f"length or SHA-256 of {entry.ecu}'s image is wrong")
    try:
        header = ImageHeader.decode(file[:HEADER_BYTES])
    except HeaderError as error:
        raise PackageRefused(Refusal.CORRUPT, entry.ecu, f"header of {entry.ecu}'s image: {error}") from None
    image = file[HEADER_BYTES:]
    if _described(entry.ecu, file) != entry or not header.fits(image):
        raise PackageRefused(Refusal.CORRUPT, entry.ecu, f"header, manifest and image of {entry.ecu} disagree")
    if not _signed_by(image_key, header.signature, header.signed_part()):
        raise PackageRefused(Refusal.SIGNATURE, entry.ecu, f"the image signature of {entry.ecu} is wrong")
    return VerifiedImage(entry, header, image)


def _check_release(entry: ManifestImage, known: EcuIdentity) -> None:
    if entry.release_counter < known.release_counter:
        sentence = f"release {entry.release_counter} of {entry.ecu} is older than the installed {known.release_counter}"
        raise PackageRefused(Refusal.ROLLBACK, entry.ecu, sentence)


def _described(ecu: str, file: bytes) -> ManifestImage:
    try:
        header = ImageHeader.decode(file[:HEADER_BYTES])
    except HeaderError as error:
        raise PackageError(f"image of {ecu} has no header: {error}") from None
    return describe_image(ecu, header.hardware_id, header.software_id, header.version, header.release_counter, file)


def _signed_by(public_key: bytes, signature: bytes, data: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, data)
    except InvalidSignature:
        return False
    return True
