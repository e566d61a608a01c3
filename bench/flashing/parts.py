"""Firmware files as the parts that a flash job programs, for ECUs whose recipe takes software in parts.

What a file does not say and the recipe needs is asked for by name; nothing is guessed and nothing is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from bench.core.errors import InputError
from bench.description.ecu_entry import EcuEntry
from bench.flasher.recipe import Recipe
from bench.flasher.recipe_checks import KnownValue
from bench.flasher.software import Part, PartKind, Segment, Software
from bench.images.blocks import BlockKind, BlockSegment, CheckState, Ident, Signature, SoftwareBlock, SoftwareFile
from bench.images.damaged import Damaged
from bench.images.flash_session import OdxValue
from bench.images.memory import ERASED

PROOFS = {"sw_signature": "signature", "sw_signature_dev": "signature_dev", "SECURITY": "signature"}
"""What a file calls a signature: what a recipe's option does."""
AS_THEY_STAND = ("vbf", "odx")
"""Formats that say by which dataFormatIdentifier their bytes are packed; others are packed by the recipe."""


@dataclass(frozen=True, slots=True)
class PartsOf:
    """The software of one ECU, for each part the name of the file that it came from, and the formats of the files."""

    software: Software
    files: tuple[str, ...]
    formats: frozenset[str]
    not_compared: tuple[str, ...]
    """Checksums that a file names and nobody computed here, a sentence each."""


def software_of(entry: EcuEntry, files: Sequence[SoftwareFile], recipe: Recipe, version: str | None) -> PartsOf:
    """Return what one ECU is given, from files in the order of flashing (`software_set.for_one_ecu`).

    `version` takes the place of what the files say. `InputError` names what a file lacks, or what has no place.
    """
    unit_bytes = recipe.memory.program_unit_bytes
    parts = [(file, _part(file, block, unit_bytes)) for file in files for block in file.blocks]
    software = Software(
        parts=tuple(part for _, part in parts),
        versions=_versions(files, recipe, version),
        software_id=entry.software_id,
        hardware_ids=_hardware_ids(entry, files, recipe),
    )
    names, formats = tuple(file.name for file, _ in parts), frozenset(file.file_format for file in files)
    return PartsOf(software, names, formats, tuple(_not_compared(files)))


def _not_compared(files: Sequence[SoftwareFile]) -> Iterator[str]:
    for file in files:
        for check in file.all_checksums:
            if check.state is CheckState.UNCHECKED:
                algorithm = check.algorithm or "no algorithm named"
                yield f"{file.name}: checksum {check.name} ({algorithm}): {check.reason}"


# Parts --------------------------------------------------------------------------------------------------


def _part(file: SoftwareFile, block: SoftwareBlock, unit_bytes: int) -> Part:
    packed = file.file_format in AS_THEY_STAND
    segments = block.segments if packed else tuple(_joined(block.segments, unit_bytes))
    if not segments:
        raise InputError(
            "a logical block holds no data", file=file.name, key=block.name, found="no segment",
            allowed="at least one", hint="leave the file out, or have it made anew",
        )  # fmt: skip
    bootloader = block.kind is BlockKind.BOOTLOADER
    return Part(
        name=block.name,
        kind=PartKind.BOOTLOADER if bootloader else PartKind.SOFTWARE,
        segments=tuple(_segment(each) for each in segments),
        data_format=_data_format(file, block) if packed else None,
        index=block.logical_block_index,
        erase=tuple((each.start, each.size_bytes) for each in block.erase),
        proofs=_proofs(file, block.signatures),
        start_address=file.start_address,
    )


def _segment(segment: BlockSegment) -> Segment:
    # Of packed bytes a VBF does not say what they fill: 0x34 is then told how many there are, as its maker does.
    size = len(segment.data) if segment.uncompressed_size is None else segment.uncompressed_size
    return Segment(address=segment.address, data=segment.data, size_bytes=size, plain=segment.plain())


def _joined(segments: Sequence[BlockSegment], unit_bytes: int) -> Iterator[BlockSegment]:
    """Yield the segments; two that share a program unit are one, with what lies between them left erased.

    A unit is programmed once: the second download would find it written. First and last byte stay as the file has
    them, since an ECU may look for its checksum in the last ones.
    """
    before: BlockSegment | None = None
    for segment in segments:
        if before is None:
            before = segment
            continue
        end = before.address + len(before.data)
        if (end - 1) // unit_bytes == segment.address // unit_bytes:
            between = bytes((ERASED,)) * (segment.address - end)
            before = BlockSegment(before.address, before.data + between + segment.data, None)
            continue
        yield before
        before = segment
    if before is not None:
        yield before


def _data_format(file: SoftwareFile, block: SoftwareBlock) -> int:
    found = {(each.data_format_identifier, each.method) for each in block.segments}
    nameless = next((method for identifier, method in found if identifier is None), None)
    if nameless is not None:
        raise InputError(
            "the file names a method of compression or encryption that is no dataFormatIdentifier",
            file=file.name, key=f"{block.name}: ENCRYPT-COMPRESS-METHOD", found=nameless,
            allowed="the byte of 0x34, as two hexadecimal digits", hint="ask the maker of the file for that byte",
        )  # fmt: skip
    identifiers = {identifier for identifier, _ in found if identifier is not None}
    if len(identifiers) > 1:
        raise InputError(
            "the segments of one logical block are packed by different methods", file=file.name, key=block.name,
            found=", ".join(f"0x{each:02X}" for each in sorted(identifiers)), allowed="one for each block",
            hint="have the file made anew with a block of its own for each method",
        )  # fmt: skip
    return identifiers.pop()


def _proofs(file: SoftwareFile, signatures: Sequence[Signature]) -> tuple[tuple[str, bytes], ...]:
    proofs: dict[str, bytes] = {}
    for each in signatures:
        if each.data is None:
            continue
        name = PROOFS[each.name]
        if name in proofs:
            raise InputError(
                "a logical block has two signatures of one name", file=file.name, key=each.name,
                found=f"a second one, by method {each.method or 'unnamed'}", allowed="one",
                hint="have the file made anew with the one that the ECU checks",
            )  # fmt: skip
        proofs[name] = each.data
    return tuple(proofs.items())


# What it must say ---------------------------------------------------------------------------------------


def _versions(files: Sequence[SoftwareFile], recipe: Recipe, version: str | None) -> tuple[str, ...]:
    """Return what each version identifier of the recipe must give, in order; none where nothing tells a version."""
    known = _version_identifiers(recipe)
    if not known:
        return ()
    names = ", ".join(file.name for file in files)
    if version is not None:
        found = tuple(each.strip() for each in version.split(",")) if len(known) > 1 else (version,)
    else:
        found = tuple(each for file in files for each in _told(file, known))
    if len(found) != len(known):
        wanted = ", ".join(f"0x{each.did:04X}" for each in known)
        raise InputError(
            "it is not known which version must run in the end" if not found else "the versions are not as many as the "
            "identifiers that tell them",
            file=names, key="--version", found=", ".join(found) or "no file says it",
            allowed=f"{len(known)}, for the identifiers {wanted} of the recipe, in this order",
            hint='give --version "..."; several are separated by commas',
        )  # fmt: skip
    return found


def _version_identifiers(recipe: Recipe) -> tuple[KnownValue, ...]:
    if recipe.identify is None:
        return (KnownValue(did=recipe.dids.version),)
    return () if isinstance(recipe.identify.version, str) else recipe.identify.version


def _told(file: SoftwareFile, known: tuple[KnownValue, ...]) -> Iterator[str]:
    """Yield the versions that a file tells: a VBF one, an ODX document one for each identification of a block."""
    if file.file_format == "vbf" and not file.is_bootloader and file.part_number and file.version:
        yield f"{file.part_number} {file.version}"
    idents = [ident for each in file.blocks if each.kind is not BlockKind.BOOTLOADER for ident in each.own_idents]
    for n, ident in enumerate(idents):
        yield from _read(file, ident, known[min(n, len(known) - 1)])


def _hardware_ids(entry: EcuEntry, files: Sequence[SoftwareFile], recipe: Recipe) -> tuple[str, ...]:
    """Return what the hardware identifiers may say: as the files expect it, else as the recipe does."""
    idents = [(file, ident) for file in files for ident in file.expected_idents]
    if recipe.identify is None:
        known: tuple[KnownValue, ...] = (KnownValue(did=recipe.dids.hardware_id),)
        expected: tuple[str, ...] = (entry.hardware_id,) if entry.hardware_id else ()
    else:
        known, expected = recipe.identify.hardware, recipe.identify.expect
    if not idents:
        return (", ".join(expected),) if expected else ()
    if len(idents) != len(known):
        raise InputError(
            "the file expects other identifications than the recipe reads",
            file=", ".join(dict.fromkeys(file.name for file, _ in idents)), key="EXPECTED-IDENTS",
            found=", ".join(ident.name for _, ident in idents),
            allowed=f"{len(known)}: " + (", ".join(f"0x{each.did:04X}" for each in known) or "the recipe reads none"),
            hint="name one identifier for each of them, in this order, in identify.hardware of the recipe",
        )  # fmt: skip
    values = [tuple(_read(file, ident, each)) for (file, ident), each in zip(idents, known, strict=True)]
    return tuple(", ".join(each) for each in product(*values))


def _read(file: SoftwareFile, ident: Ident, known: KnownValue) -> Iterator[str]:
    for value in ident.values:
        yield value.text if known.text else _digits(file, ident, value)


def _digits(file: SoftwareFile, ident: Ident, value: OdxValue) -> str:
    try:
        return value.data().hex()
    except Damaged as bad:
        raise InputError("an identification is damaged", file=file.name, key=ident.name, found=str(bad)) from None
