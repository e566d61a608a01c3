"""What `otabench flash` is asked to do: files read, images signed or taken as they are, before a bus is touched.

An ECU whose recipe takes software in parts (step `program_parts`) is given one file or several, as they stand; any
other one file, with a signed header or wrapped in one.
"""

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
from bench.flasher.recipe_steps import Step
from bench.flasher.signed_image import FlashJob
from bench.flasher.software import Job, SoftwareJob
from bench.flashing.parts import PartsOf, software_of
from bench.images.blocks import SoftwareFile
from bench.images.readers import format_of_suffix
from bench.images.signing import SignedImage, sign_image
from bench.images.software import read_software
from bench.images.software_set import for_one_ecu
from bench.images.text_files import TEXT_FORMATS
from bench.trust.keys import signing_key
from bench.wire.image_header import HEADER_BYTES, MAGIC, HeaderError, ImageHeader

MAX_IMAGE_BYTES = 256 * 1024 * 1024
TEST_KEY = "test key"
OWN_HEADER = "the file's own header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """How firmware without a header is read and wrapped; `key` None stands for the test key of simulated benches."""

    version: str | None = None
    release_counter: int | None = None
    key: Ed25519PrivateKey | None = None
    crop: bool = False
    base: int | None = None
    lenient: bool = False
    session: str | None = None
    """Which flash session of an ODX-F document, where it has several."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderedEcu:
    """One ECU of the order: the files it is flashed from, and the image (who signed it) or the parts made of them."""

    entry: EcuEntry
    files: tuple[Path, ...]
    what: SignedImage | PartsOf
    signed_by: str | None = None
    left_out: tuple[str, ...] = ()
    tolerated: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Return the files as a message names them."""
        return ", ".join(str(file) for file in self.files)

    @property
    def job(self) -> Job:
        """Return what the flasher is asked to do."""
        if isinstance(self.what, PartsOf):
            return SoftwareJob(ecu=self.entry.id, given=self.what.software)
        header = self.what.header
        return FlashJob(
            ecu=self.entry.id,
            image=self.what.data,
            header=header.encode(),
            version=header.version,
            software_id=header.software_id,
        )

    @property
    def version(self) -> str:
        """Return what must run in the end, several versions joined by a comma; empty where no identifier tells it."""
        return self.what.software.version if isinstance(self.what, PartsOf) else self.what.header.version

    @property
    def software_id(self) -> str:
        """Return the name under which reports speak of the software."""
        return self.what.software.software_id if isinstance(self.what, PartsOf) else self.what.header.software_id

    @property
    def size_bytes(self) -> int:
        """Return how many bytes of memory are filled, without the slot of a header."""
        return self.what.software.size_bytes if isinstance(self.what, PartsOf) else len(self.what.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashOrder:
    """The bench and the ECUs to be flashed, in the order of the command line."""

    files: BenchFiles
    ecus: tuple[OrderedEcu, ...]


def make_order(
    files: BenchFiles, images: Mapping[str, Sequence[Path]], signing: Signing, *, simulated: bool
) -> FlashOrder:
    """Read every image; `InputError` names what is wrong with a file, an ECU or a key."""
    known = {ecu.id: ecu for ecu in files.vehicle.ecus}
    ordered = []
    for ecu, paths in images.items():
        if ecu not in known:
            raise InputError(
                f"vehicle {files.vehicle.name} has no such ECU", key="ECU=FILE", found=ecu, allowed=", ".join(known)
            )
        if Step.PROGRAM_PARTS in files.recipes[ecu].steps:
            ordered.append(_in_parts(files, known[ecu], paths, signing))
            continue
        path = _only_file(known[ecu], paths)
        header = _header_of(path)
        if header is None:
            ordered.append(_wrapped(files, known[ecu], path, signing, simulated=simulated))
        else:
            ordered.append(_taken(known[ecu], path, header, signing))
    _refuse_unused(files, ordered, signing)
    return FlashOrder(files=files, ecus=tuple(ordered))


def _only_file(ecu: EcuEntry, paths: Sequence[Path]) -> Path:
    if len(paths) > 1:
        raise InputError(
            "an ECU is named twice", key="ECU=FILE", found=ecu.id, allowed="one file per ECU",
            hint=f"several files are for ECUs that take software in parts; recipe {ecu.recipe} takes a signed image",
        )  # fmt: skip
    return paths[0]


def _read_parts(path: Path, signing: Signing) -> SoftwareFile:
    # A session is of the ODX file beside a VBF one: that nobody has a use for it is seen once all are read.
    session = signing.session if format_of_suffix(path) == "odx" else None
    return read_software(path, binary_base=signing.base, session=session, lenient=signing.lenient)


def _in_parts(files: BenchFiles, ecu: EcuEntry, paths: Sequence[Path], signing: Signing) -> OrderedEcu:
    read = for_one_ecu([_read_parts(path, signing) for path in paths])
    tolerated = tuple(sentence for file in read for sentence in file.tolerated)
    parts = software_of(ecu, read, files.recipes[ecu.id], signing.version)
    return OrderedEcu(entry=ecu, files=tuple(paths), what=parts, tolerated=tolerated)


def _header_of(path: Path) -> ImageHeader | None:
    """Return the header that a signed file begins with, or None when it is plain firmware."""
    raw = read_bytes(path, limit_bytes=MAX_IMAGE_BYTES, what="image")
    if not raw.startswith(MAGIC):
        return None
    try:
        return ImageHeader.decode(raw[:HEADER_BYTES])
    except HeaderError as error:
        raise InputError(f"the image header is damaged: {error}", file=str(path)) from None


def _refuse_unused(files: BenchFiles, ordered: Sequence[OrderedEcu], signing: Signing) -> None:
    """`InputError` for options that would do nothing, or would speak of two releases at once."""
    wrapped = [ecu for ecu in ordered if ecu.signed_by not in (None, OWN_HEADER)]
    in_parts = [ecu for ecu in ordered if isinstance(ecu.what, PartsOf)]
    if not wrapped:
        _refuse_unsigned(ordered, in_parts, signing)
    _refuse_misread({each for ecu in ordered for each in _formats(ecu)}, signing, wraps=bool(wrapped))
    if signing.version is None or not in_parts:
        return
    users = [ecu for ecu in ordered if ecu.version]
    if len(users) > 1:
        raise InputError(
            "--version would be that of several ECUs", key="--version",
            found=f"{signing.version} for {', '.join(ecu.entry.id for ecu in users)}", allowed="one of them",
            hint="flash them one after the other, in a command each",
        )  # fmt: skip
    if not users:
        recipes = ", ".join(files.recipes[ecu.entry.id].name for ecu in in_parts)
        raise InputError(
            "--version would be compared with nothing", key="--version", found=signing.version,
            allowed=f"no --version: recipe {recipes} reads none", hint="leave --version out",
        )  # fmt: skip


def _formats(ecu: OrderedEcu) -> frozenset[str]:
    return ecu.what.formats if isinstance(ecu.what, PartsOf) else frozenset()


def _refuse_misread(formats: set[str], signing: Signing, *, wraps: bool) -> None:
    """Refuse options of reading that no file has a use for; firmware that is wrapped here may be of any format."""
    given = {
        "--session": (signing.session is not None, {"odx"}),
        "--base": (signing.base is not None and not wraps, {"binary"}),
        "--lenient": (signing.lenient and not wraps, set(TEXT_FORMATS)),
    }
    for name, (is_given, wanted) in given.items():
        if is_given and not formats & wanted:
            raise InputError(
                f"{name} is for other files", key=name, found=", ".join(sorted(formats)) or "only signed images",
                allowed=f"{name} with {' or '.join(sorted(wanted))}", hint=f"leave {name} out",
            )  # fmt: skip


def _refuse_unsigned(ordered: Sequence[OrderedEcu], in_parts: Sequence[OrderedEcu], signing: Signing) -> None:
    """Refuse what is for firmware that gets a header here: every file has its own, or is sent as it stands."""
    given = {"--key": signing.key is not None, "--base": signing.base is not None, "--crop": signing.crop}
    given |= {"--lenient": signing.lenient}
    if in_parts:
        given |= {"--base": False, "--lenient": False, "--release-counter": signing.release_counter is not None}
    for name in (name for name, is_given in given.items() if is_given):
        problem, allowed = (
            f"{name} is for firmware without a signed header",
            f"{name} with at least one file that has no header",
        )
        if in_parts:
            problem, allowed = f"{name} is for firmware that gets a signed header here", f"no {name}"
            what = f"files that are sent as they stand: {', '.join(ecu.file for ecu in in_parts)}"
            hint = f"leave {name} out: the recipe takes software in parts, nothing is signed here"
        else:
            what = f"only signed files: {', '.join(ecu.file for ecu in ordered)}"
            hint = f"leave {name} out, or sign the plain firmware again: otabench image sign"
        raise InputError(problem, key=name, found=what, allowed=allowed, hint=hint)


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
    return OrderedEcu(entry=ecu, files=(path,), what=SignedImage(header, data), signed_by=OWN_HEADER)


def _wrapped(files: BenchFiles, ecu: EcuEntry, path: Path, signing: Signing, *, simulated: bool) -> OrderedEcu:
    version, counter = _release(path, signing)
    if not ecu.hardware_id:
        raise ecu.without("hardware_id", str(files.vehicle_path))
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
    return OrderedEcu(entry=ecu, files=(path,), what=image, signed_by=by, **left)


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
