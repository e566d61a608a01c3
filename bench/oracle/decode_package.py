"""The update package as the judge reads it, and its own decision whether it is genuine for this vehicle.

A zip of `manifest.json`, `manifest.sig` (64 bytes Ed25519 over the manifest's bytes) and one `images/<ecu>.bin`
(256-byte header, then the image) per entry of the manifest; length and SHA-256 of an entry cover that file.
What the zip itself may be stands in `decode_zip`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.core.canonical import sha256_hex
from bench.oracle.decode_image import (
    HEADER_BYTES,
    Header,
    NotAHeader,
    decode_header,
    header_or_none,
    is_signed,
    verifies,
)
from bench.oracle.decode_zip import MANIFEST, SIGNATURE, NotAPackageZip, unzip
from bench.oracle.facts import Facts


@dataclass(frozen=True, slots=True)
class Flaw:
    """Why a package must be refused: `signature`, `corrupt`, `hardware`, `rollback` or `unknown_ecu`."""

    kind: str
    ecu: str | None
    sentence: str


@dataclass(frozen=True, slots=True)
class PackagedImage:
    """One entry of a package whose header could be read."""

    ecu: str
    raw_header: bytes
    header: Header
    data: bytes


@dataclass(frozen=True, slots=True)
class PackageFindings:
    """The judge's decision on one package: genuine when there is no flaw."""

    images: tuple[PackagedImage, ...]
    flaws: tuple[Flaw, ...]

    @property
    def genuine(self) -> bool:
        """Whether the agent may install it."""
        return not self.flaws

    def why_not(self) -> str:
        """Return the flaws as one text."""
        return "; ".join(flaw.sentence for flaw in self.flaws)


class _Corrupt(ValueError):
    """The package cannot be read on."""


def examine_package(raw: bytes, facts: Facts) -> PackageFindings:
    """Decide whether `raw` is genuine for the vehicle of `facts`; never raises on any bytes."""
    try:
        members = unzip(raw)
        manifest, signature = members[MANIFEST], members[SIGNATURE]
        flaws = []
        if not verifies(facts.package_public_key, signature, manifest):
            flaws.append(Flaw("signature", None, "the manifest's signature is not by the package key"))
        entries = _entries(manifest)
    except (NotAPackageZip, _Corrupt) as error:
        return PackageFindings((), (Flaw("corrupt", None, str(error)),))
    images: list[PackagedImage] = []
    for entry in entries:
        image, found = _examine_entry(entry, members, facts)
        flaws += found
        images += [image] if image is not None else []
    return PackageFindings(tuple(images), tuple(flaws))


def _entries(manifest: bytes) -> Sequence[Mapping[str, object]]:
    try:
        value = json.loads(manifest)
    except (ValueError, RecursionError) as error:
        raise _Corrupt(f"manifest.json is no JSON: {type(error).__name__}") from None
    images = value.get("images") if isinstance(value, dict) and value.get("schema") == 1 else None
    if not isinstance(images, list) or not images or not all(isinstance(image, dict) for image in images):
        raise _Corrupt("manifest.json lists no images in schema 1")
    ecus = [image.get("ecu") for image in images]
    if not all(isinstance(ecu, str) for ecu in ecus) or len(ecus) != len(dict.fromkeys(ecus)):
        raise _Corrupt("manifest.json names an ECU twice or not at all")
    return images


def _examine_entry(
    entry: Mapping[str, object], members: Mapping[str, bytes], facts: Facts
) -> tuple[PackagedImage | None, list[Flaw]]:
    ecu = str(entry["ecu"])
    layout = facts.layout(ecu)
    if layout is None:
        return None, [Flaw("unknown_ecu", ecu, f"the vehicle has no ECU {ecu!r}")]
    raw = members.get(f"images/{ecu}.bin")
    if raw is None:
        return None, [Flaw("corrupt", ecu, f"images/{ecu}.bin is missing")]
    flaws = []
    if entry.get("length") != len(raw) or entry.get("sha256") != sha256_hex(raw):
        flaws.append(Flaw("corrupt", ecu, f"images/{ecu}.bin is not the file that the manifest hashes"))
    if entry.get("hardware_id") != layout.hardware_id:
        found = f"the manifest's image for {ecu} is for hardware {entry.get('hardware_id')!r}"
        flaws.append(Flaw("hardware", ecu, f"{found}, the ECU is {layout.hardware_id!r}"))
    try:
        header = decode_header(raw[:HEADER_BYTES])
    except NotAHeader as error:
        return None, [*flaws, Flaw("corrupt", ecu, f"images/{ecu}.bin has no header: {error}")]
    image = PackagedImage(ecu, raw[:HEADER_BYTES], header, raw[HEADER_BYTES:])
    return image, flaws + _image_flaws(image, entry, layout.hardware_id, facts)


def _image_flaws(image: PackagedImage, entry: Mapping[str, object], hardware_id: str, facts: Facts) -> list[Flaw]:
    header, ecu = image.header, image.ecu
    flaws = []
    if not is_signed(image.raw_header, facts.image_public_key):
        flaws.append(Flaw("signature", ecu, f"the header of {ecu}'s image is not signed by the image key"))
    if (header.length, header.sha256) != (len(image.data), sha256_hex(image.data)):
        flaws.append(Flaw("corrupt", ecu, f"{ecu}'s image is not the one that its header hashes"))
    named = [(name, getattr(header, name)) for name in ("hardware_id", "software_id", "version", "release_counter")]
    differing = [name for name, value in named if entry.get(name) != value]
    if differing:
        flaws.append(Flaw("corrupt", ecu, f"manifest and header of {ecu}'s image differ in {', '.join(differing)}"))
    if header.hardware_id != hardware_id:
        flaws.append(Flaw("hardware", ecu, f"{ecu}'s image is for {header.hardware_id!r}, the ECU is {hardware_id!r}"))
    installed = installed_counter(facts, ecu)
    if installed is not None and header.release_counter < installed:
        found = f"{ecu}'s image has release counter {header.release_counter}"
        flaws.append(Flaw("rollback", ecu, f"{found}, installed is {installed}"))
    return flaws


def installed_counter(facts: Facts, ecu: str) -> int | None:
    """Return the release counter of the image the ECU held before the run, when it is known."""
    headers = [header_or_none(reference.header) for reference in facts.images(ecu, "installed")]
    return headers[0].release_counter if headers and headers[0] is not None else None
