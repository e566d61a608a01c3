"""The package: a zip of `manifest.json`, `manifest.sig` and `images/<ecu>.bin`, written one way only.

Members are stored, not compressed, in fixed order and with a fixed date, so that equal content gives equal bytes.
The reader refuses what the writer would not write: compressed, encrypted or repeated members, foreign names, sizes
that do not add up, and any byte before, between or behind the members.
Signatures are checked elsewhere (`bench.trust.package`).
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.canonical import canonical_json, sha256_hex
from bench.wire.dm_json import DmError, as_int, as_list, as_object, as_text, member, parse_object

MAX_PACKAGE_BYTES = 64 * 1024 * 1024
MAX_IMAGES = 64
MAX_MANIFEST_BYTES = 64 * 1024
SIGNATURE_BYTES = 64
SCHEMA = 1
MANIFEST, SIGNATURE = "manifest.json", "manifest.sig"

_DATE = (2030, 1, 1, 0, 0, 0)
_IDENTIFIER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class PackageError(ValueError):
    """These bytes are not a package; the text says why."""


def is_identifier(text: str) -> bool:
    """Return whether `text` may name an ECU or a package: 1 to 64 letters, digits, dots, dashes, underscores."""
    return _IDENTIFIER.fullmatch(text) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ManifestImage:
    """One image of a package; `length` and `sha256` are over the file: header and image."""

    ecu: str
    hardware_id: str
    software_id: str
    version: str
    release_counter: int
    length: int
    sha256: str

    def __post_init__(self) -> None:
        if not is_identifier(self.ecu):
            raise PackageError(f"ECU id {self.ecu!r} is not 1 to 64 letters, digits, dots, dashes or underscores")
        if not 0 <= self.release_counter < 2**32:
            raise PackageError(f"release counter {self.release_counter} of {self.ecu} does not fit 32 bits")
        if not 0 < self.length <= MAX_PACKAGE_BYTES:
            raise PackageError(f"length {self.length} of {self.ecu} is not 1 to {MAX_PACKAGE_BYTES} bytes")
        if _SHA256.fullmatch(self.sha256) is None:
            raise PackageError(f"sha256 of {self.ecu} is not 64 hexadecimal digits")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a package says of itself; its bytes are what the package signature covers."""

    package_id: str
    images: tuple[ManifestImage, ...]

    def __post_init__(self) -> None:
        if not is_identifier(self.package_id):
            raise PackageError(f"package id {self.package_id!r} is no identifier")
        names = [image.ecu for image in self.images]
        if not 1 <= len(names) <= MAX_IMAGES:
            raise PackageError(f"{len(names)} images, a package has 1 to {MAX_IMAGES}")
        # Two entries for one ECU: which of them counts would be the choice of each reader.
        if len(names) != len(set(names)):
            raise PackageError("an ECU occurs twice in the manifest")

    def encode(self) -> bytes:
        """Return canonical JSON."""
        images = [{name: getattr(image, name) for name in ManifestImage.__slots__} for image in self.images]
        return canonical_json({"schema": SCHEMA, "package_id": self.package_id, "images": images})

    @classmethod
    def decode(cls, raw: bytes) -> Manifest:
        """Read a manifest; unknown members are refused: nobody would have checked them."""
        try:
            body = parse_object(raw, "manifest")
            _only(body, ("schema", "package_id", "images"), "manifest")
            if as_int(member(body, "schema", "manifest"), "schema") != SCHEMA:
                raise PackageError(f"manifest has schema {body['schema']}, this program reads {SCHEMA}")
            listed = as_list(member(body, "images", "manifest"), "images")
            images = tuple(_read_image(value, f"images[{n}]") for n, value in enumerate(listed))
            return cls(as_text(member(body, "package_id", "manifest"), "package_id"), images)
        except DmError as error:
            raise PackageError(str(error)) from None


@dataclass(frozen=True, slots=True)
class PackageFiles:
    """A package taken apart, nothing verified; `images` are the files in the order of the manifest."""

    manifest: bytes
    signature: bytes
    images: Mapping[str, bytes]


def write_package(manifest: bytes, signature: bytes, images: Sequence[tuple[str, bytes]]) -> bytes:
    """Return the zip; `PackageError` when it would break a limit of the reader."""
    raw = _zipped(manifest, signature, images)
    read_package(raw)
    return raw


def read_package(raw: bytes) -> PackageFiles:
    """Take a package apart; `PackageError` for anything but a zip as `write_package` makes it."""
    if len(raw) > MAX_PACKAGE_BYTES:
        raise PackageError(f"package has {len(raw)} bytes, at most {MAX_PACKAGE_BYTES} are allowed")
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            names = _checked_names(archive.infolist(), len(raw))
            files = {name: archive.read(name) for name in names}
    except PackageError:
        raise
    except _ZIP_ERRORS as error:
        raise PackageError(f"package is not a readable zip: {error}") from None
    if len(files[SIGNATURE]) != SIGNATURE_BYTES:
        raise PackageError(f"{SIGNATURE} has {len(files[SIGNATURE])} bytes, expected {SIGNATURE_BYTES}")
    images = {name[len("images/") : -len(".bin")]: data for name, data in files.items() if name.startswith("images/")}
    # A zip is found from its end, and its directory may point anywhere: bytes outside the members (a second archive,
    # a script) would travel under the signature without being signed, and readers may disagree about them.
    if _zipped(files[MANIFEST], files[SIGNATURE], list(images.items())) != raw:
        raise PackageError("package holds its members, but is not the bytes that hold only them: make it anew")
    return PackageFiles(files[MANIFEST], files[SIGNATURE], images)


def describe_image(
    ecu: str, hardware_id: str, software_id: str, version: str, counter: int, file: bytes
) -> ManifestImage:
    """Return the manifest's entry for an image file (header and image)."""
    return ManifestImage(
        ecu=ecu, hardware_id=hardware_id, software_id=software_id, version=version,
        release_counter=counter, length=len(file), sha256=sha256_hex(file),
    )  # fmt: skip


_ZIP_ERRORS = (zipfile.BadZipFile, struct.error, EOFError, ValueError, RuntimeError, OSError, KeyError, IndexError)
"""What `zipfile` raises for damaged input (NotImplementedError is a RuntimeError)."""


def _zipped(manifest: bytes, signature: bytes, images: Sequence[tuple[str, bytes]]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, MANIFEST, manifest)
        _add(archive, SIGNATURE, signature)
        for ecu, data in images:
            _add(archive, f"images/{ecu}.bin", data)
    return out.getvalue()


def _add(archive: zipfile.ZipFile, name: str, data: bytes) -> None:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system = 3
    info.external_attr = 0o644 << 16
    archive.writestr(info, data, zipfile.ZIP_STORED)


def _checked_names(members: Sequence[zipfile.ZipInfo], package_bytes: int) -> list[str]:
    if len(members) > MAX_IMAGES + 2:
        raise PackageError(f"package has {len(members)} members, at most {MAX_IMAGES + 2} are allowed")
    names = [info.filename for info in members]
    # In this order: what is verified comes first, and the sizes of the rest are known before they are read.
    if names[:2] != [MANIFEST, SIGNATURE]:
        raise PackageError(f"package begins with {names[:2]}, expected {MANIFEST} and {SIGNATURE}")
    if len(names) != len(set(names)):
        raise PackageError("a member occurs twice in the package")
    for info in members:
        # Stored only: a few kilobytes of compressed zeros could fill the disk of an agent before any signature is
        # verified.
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x1 or info.file_size != info.compress_size:
            raise PackageError(f"member {info.filename!r} is compressed or encrypted, only stored ones are read")
    for name in names[2:]:
        if not (name.startswith("images/") and name.endswith(".bin") and is_identifier(name[7:-4])):
            raise PackageError(f"member {name!r} does not belong into a package")
    if members[0].file_size > MAX_MANIFEST_BYTES:
        raise PackageError(f"{MANIFEST} has {members[0].file_size} bytes, at most {MAX_MANIFEST_BYTES} are allowed")
    # Members that overlap in the file: each is small, together they are more than there is.
    if sum(info.file_size for info in members) > package_bytes:
        raise PackageError("members are larger than the package that holds them")
    return names


def _read_image(value: Any, where: str) -> ManifestImage:
    found = as_object(value, where)
    _only(found, ManifestImage.__slots__, where)
    texts = {name: as_text(member(found, name, where), f"{where}.{name}") for name in _TEXTS}
    counter = as_int(member(found, "release_counter", where), f"{where}.release_counter")
    length = as_int(member(found, "length", where), f"{where}.length")
    return ManifestImage(release_counter=counter, length=length, **texts)


_TEXTS = ("ecu", "hardware_id", "software_id", "version", "sha256")


def _only(found: Mapping[str, Any], allowed: Sequence[str], where: str) -> None:
    for name in sorted(found):
        if name not in allowed:
            raise PackageError(f"{where} has an unknown member {name!r}")
