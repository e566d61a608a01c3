"""What `otabench flash` is asked to do: files read, images signed or taken as they are, before a bus is touched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.assembly.images import IMAGE_KEY, read_firmware
from bench.config import read_bytes
from bench.core.errors import InputError
from bench.description.ecu_entry import EcuEntry
from bench.description.load import BenchFiles
from bench.flasher.signed_image import FlashJob
from bench.images.signing import SignedImage, sign_image
from bench.trust.keys import signing_key
from bench.wire.image_header import HEADER_BYTES, MAGIC, HeaderError, ImageHeader

MAX_IMAGE_BYTES = 256 * 1024 * 1024
TEST_KEY = "test key"
OWN_HEADER = "the file's own header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """How firmware without a header is wrapped; `key` None stands for the test key of simulated benches."""

    version: str | None = None
    release_counter: int | None = None
    key: Ed25519PrivateKey | None = None
    crop: bool = False
    base: int | None = None
    lenient: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedEcu:
    """One ECU of the order: its image, the file it came from, who signed it."""

    entry: EcuEntry
    file: Path
    image: SignedImage
    signed_by: str
    left_out: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()

    @property
    def job(self) -> FlashJob:
        """Return what the flasher is asked to do."""
        header = self.image.header
        return FlashJob(
            ecu=self.entry.id,
            image=self.image.data,
            header=header.encode(),
            version=header.version,
            software_id=header.software_id,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashOrder:
    """The bench and the ECUs to be flashed, in the order of the command line."""

    files: BenchFiles
    ecus: tuple[OrderedEcu, ...]


def make_order(files: BenchFiles, images: Mapping[str, Path], signing: Signing, *, simulated: bool) -> FlashOrder:
    """Read every image; `InputError` names what is wrong with a file, an ECU or a key."""
    known = {ecu.id: ecu for ecu in files.vehicle.ecus}
    ordered = []
    for ecu, path in images.items():
        if ecu not in known:
            raise InputError(
                f"vehicle {files.vehicle.name} has no such ECU", key="ECU=FILE", found=ecu, allowed=", ".join(known)
            )
        header = _header_of(path)
        if header is None:
            ordered.append(_wrapped(files, known[ecu], path, signing, simulated=simulated))
        else:
            ordered.append(_taken(known[ecu], path, header, signing))
    _refuse_unused(ordered, signing)
    return FlashOrder(files=files, ecus=tuple(ordered))


def _header_of(path: Path) -> ImageHeader | None:
    """Return the header that a signed file begins with, or None when it is plain firmware."""
    raw = read_bytes(path, limit_bytes=MAX_IMAGE_BYTES, what="image")
    if not raw.startswith(MAGIC):
        return None
    try:
        return ImageHeader.decode(raw[:HEADER_BYTES])
    except HeaderError as error:
        raise InputError(f"the image header is damaged: {error}", file=str(path)) from None


def _refuse_unused(ordered: Sequence[OrderedEcu], signing: Signing) -> None:
    """`InputError` for options that would do nothing: every file has its header and signature."""
    if any(ecu.signed_by != OWN_HEADER for ecu in ordered):
        return
    given = {"--key": signing.key is not None, "--base": signing.base is not None, "--crop": signing.crop}
    given |= {"--lenient": signing.lenient}
    for name in (name for name, is_given in given.items() if is_given):
        raise InputError(
            f"{name} is for firmware without a signed header",
            key=name,
            found=f"only signed files: {', '.join(str(ecu.file) for ecu in ordered)}",
            allowed=f"{name} with at least one file that has no header",
            hint=f"leave {name} out, or sign the plain firmware again: otabench image sign",
        )


def _check_release(path: Path, header: ImageHeader, signing: Signing) -> None:
    """`InputError` where the command line asks for another release than the header is signed for."""
    asked = {
        "--version": (signing.version, header.version),
        "--release-counter": (signing.release_counter, header.release_counter),
    }
    for name, (wanted, signed) in asked.items():
        if wanted is not None and wanted != signed:
            raise InputError(
                f"{name} contradicts the signed header",
                file=str(path),
                key=name,
                found=wanted,
                allowed=f"{signed}, as the header says, or no {name}",
                hint="a signed file is used as it is; for another release sign the plain firmware: otabench image sign",
            )


def _taken(ecu: EcuEntry, path: Path, header: ImageHeader, signing: Signing) -> OrderedEcu:
    _check_release(path, header, signing)
    data = read_bytes(path, limit_bytes=MAX_IMAGE_BYTES, what="image")[HEADER_BYTES:]
    if not header.fits(data):
        raise InputError(
            "the file is not what its header was signed for",
            file=str(path),
            found=f"{len(data)} bytes after the header",
            allowed=f"{header.length} bytes with SHA-256 {header.sha256.hex()}",
            hint="sign it again: otabench image sign",
        )
    return OrderedEcu(entry=ecu, file=path, image=SignedImage(header, data), signed_by=OWN_HEADER)


def _wrapped(files: BenchFiles, ecu: EcuEntry, path: Path, signing: Signing, *, simulated: bool) -> OrderedEcu:
    version, counter = _release(path, signing)
    images = {ecu.id: path}
    how = {"crop": signing.crop, "lenient": signing.lenient}
    firmware = read_firmware(files, images, base=signing.base, option="ECU=FILE", **how)[ecu.id]
    try:
        image = sign_image(
            firmware.data,
            hardware_id=ecu.hardware_id,
            software_id=ecu.software_id,
            version=version,
            release_counter=counter,
            load_address=files.recipes[ecu.id].memory.region_base,
            key=_key(path, signing, simulated=simulated),
        )
    except HeaderError as error:
        raise InputError(f"no header can be made: {error}", file=str(path), key="--version", found=version) from None
    by = TEST_KEY if signing.key is None else "--key"
    left = {"left_out": firmware.left_out, "tolerated": firmware.tolerated}
    return OrderedEcu(entry=ecu, file=path, image=image, signed_by=by, **left)


def _release(path: Path, signing: Signing) -> tuple[str, int]:
    if signing.version is None or signing.release_counter is None:
        missing = "--version" if signing.version is None else "--release-counter"
        raise InputError(
            f"firmware without a signed header needs {missing}",
            file=str(path),
            key=missing,
            found="nothing",
            hint="give --version and --release-counter, or sign the file first: otabench image sign",
        )
    return signing.version, signing.release_counter


def _key(path: Path, signing: Signing, *, simulated: bool) -> Ed25519PrivateKey:
    if signing.key is not None:
        return signing.key
    if not simulated:
        raise InputError(
            "a real ECU needs your own key",
            file=str(path),
            key="--key",
            found="nothing",
            allowed="an Ed25519 private key, PEM without passphrase",
            hint="test keys are for simulated vehicles only",
        )
    return signing_key(IMAGE_KEY)
