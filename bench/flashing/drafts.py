"""Drafts of recipes: what the firmware files of an ECU say of how it is flashed, and what its data sheet must say.

A file describes software, not an ECU: keys for seeds, routine identifiers and status bytes stand in no VBF and in no
ODX-F. What is not said is a gap, and a recipe with a gap is refused (`recipe_gaps.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.errors import InputError
from bench.flasher.recipe_gaps import GAP
from bench.flashing import draft_checks
from bench.flashing.draft_text import DraftText, Gap, hexadecimal
from bench.images.blocks import BlockKind, SoftwareBlock, SoftwareFile
from bench.images.memory import AddressRange
from bench.images.software_set import for_one_ecu

BEFORE = ("extended_session", "dtc_off", "communication_off", "programming_session", "security_access")
BEHIND = ("reset", "verify_version", "communication_on", "dtc_on", "default_session")
FRAMES = {"CAN_STANDARD": "11 bits", "CAN_EXTENDED": "29 bits (id_29_bit = true)"}


@dataclass(frozen=True, slots=True)
class Draft:
    """A recipe with gaps, and what they are."""

    text: str
    gaps: tuple[Gap, ...]


def draft_recipe(name: str, files: Sequence[SoftwareFile]) -> Draft:
    """Return a commented draft of what the files of one ECU say.

    `InputError` when they do not belong together, or when nothing but a secondary bootloader is given.
    """
    ordered = for_one_ecu(files)
    if not stays(ordered):
        raise InputError(
            "there is no software for the ECU's flash", file=ordered[0].name, found="a secondary bootloader alone",
            allowed="the files that stay in the ECU, with or without it", hint="name the EXE and DATA files too",
        )  # fmt: skip
    out = DraftText()
    _head(out, name, ordered)
    _steps(out, ordered)
    _memory(out, ordered)
    _bootloader(out, ordered)
    _transfer(out, ordered)
    _erase(out, ordered)
    draft_checks.checks(out, ordered)
    _identify(out, ordered)
    _security(out)
    _choices(out)
    return Draft(out.text, tuple(out.gaps))


def stays(files: Sequence[SoftwareFile]) -> list[SoftwareBlock]:
    """Return the blocks that stay in the ECU."""
    return [block for file in files for block in file.blocks if block.kind is not BlockKind.BOOTLOADER]


# One table after the other -----------------------------------------------------------------------------


def _head(out: DraftText, name: str, files: Sequence[SoftwareFile]) -> None:
    out.says(
        "A draft of a recipe, made by `otabench recipe from`: what these files say, and what they do not say.",
        *(f"- {each.name}: {_about(each)}" for each in files),
        f'Each "{GAP}" is a gap that the data sheet (or the flash specification) of the ECU fills; its comment says '
        "what to look up. Until none is left it is refused; then `otabench recipe check` says in words what it does.",
        *_vehicle(files),
    )
    out.key("name", f'"{name}"')


def _about(file: SoftwareFile) -> str:
    words = [file.file_format, file.part_type, file.session and f"session {file.session}", file.part_number]
    version = [f"version {file.version}"] if file.version else []
    return ", ".join([each for each in words if each] + version + [f"{file.size_bytes} bytes to send"])


def _vehicle(files: Sequence[SoftwareFile]) -> list[str]:
    """Return what belongs into the vehicle file and not here."""
    addresses = sorted({each for file in files for each in file.ecu_addresses})
    frames = sorted({file.frame_format for file in files if file.frame_format})
    found = [f"ecu_address {' or '.join(hexadecimal(each, 2) for each in addresses)}"] if addresses else []
    found += [f"frame_format {each}: identifiers of {FRAMES.get(each, 'a kind not known here')}" for each in frames]
    if not found:
        return ["For the vehicle file: these files do not say under which CAN identifiers the ECU is reached."]
    return [
        f"For the vehicle file (request_id, response_id or target_address of the ECU): {', '.join(found)}. Whether the "
        "address is an identifier or a node address, only the data sheet says."
    ]


def _steps(out: DraftText, files: Sequence[SoftwareFile]) -> None:
    loads = any(each.is_bootloader for each in files)
    out.says(
        "The steps in their order. The first three and the last three are functional and suppressed: an ECU without "
        "0x85 or 0x28 does not mind; take them out in pairs where the bus is yours alone.",
        "Take security_access out, and the table [security], where the ECU has no 0x27.",
    )
    loading = ("load_bootloader", "start_bootloader") if loads else ()
    last = ("check_software",) if draft_checks.ends_with_check(files) else ()
    out.listed("steps", [*BEFORE, *loading, "program_parts", *last, *BEHIND])


def _memory(out: DraftText, files: Sequence[SoftwareFile]) -> None:
    blocks = stays(files)
    known = [each for block in blocks for each in (*block.memory, *block.erase)]
    start, end = min(each.start for each in known), max(each.end for each in known)
    unknown = any(segment.memory is None for block in blocks if not block.erase for segment in block.segments)
    out.table("memory")
    out.says("Spanned by what the files fill and erase. What lies outside is refused before the ECU is touched.")
    out.key("region_base", hexadecimal(start))
    if unknown:
        out.gap("region_size", "the size of the flash: what packed blocks fill, only the ECU knows. Too small a region "
                "refuses good software; too large a one lets wrong software be sent.")  # fmt: skip
    else:
        out.key("region_size", hexadecimal(end - start))
    out.gap("program_unit_bytes", "the smallest unit that the flash programs (page, phrase), in bytes. A block of 0x36 "
            "is cut to whole units: with 1 a power cut can lose bytes that were acknowledged.")  # fmt: skip
    out.says("The ECU tells the longest block in its answer to 0x34; less on demand: block_limit_bytes = 1026")


def _bootloader(out: DraftText, files: Sequence[SoftwareFile]) -> None:
    loader = next((each for each in files if each.is_bootloader), None)
    if loader is None:
        return
    segments = [each for block in loader.blocks if block.kind is BlockKind.BOOTLOADER for each in block.segments]
    ranges = [each.memory or AddressRange(each.address, each.address + 1) for each in segments]
    start, end = min(each.start for each in ranges), max(each.end for each in ranges)
    out.table("bootloader")
    start_address = loader.start_address
    called = "names no start address" if start_address is None else f"is called at {hexadecimal(start_address)}"
    out.says(f"{loader.name} {called}. The routine is that of VBF flashing; its record is the start address.")
    out.key("routine", "0x0301")
    out.says("What the bootloader fills; the ECU's RAM may be larger.")
    out.key("ram_base", hexadecimal(start))
    if all(each.memory is not None for each in segments):
        out.key("ram_size", hexadecimal(end - start, 4))
    else:
        out.gap("ram_size", "the size of the RAM that it may fill: what packed blocks fill, only the ECU knows. Too "
                "small a size refuses a good bootloader.")  # fmt: skip
    out.gap("answer", 'what the routine answers when it has started: { at = 0, ok = 0x00 } for a status byte, or '
            '{ record = "10 00" } for the whole record. Without it a bootloader that did not start is not noticed '
            "before the erase.")  # fmt: skip


def _transfer(out: DraftText, files: Sequence[SoftwareFile]) -> None:
    out.table("transfer")
    packed = sorted({_format(each) for each in _segments(files)})
    out.says(f"dataFormatIdentifier of 0x34, from the files: {', '.join(packed)}. It goes with the data, not here.")
    if all(each.file_format == "vbf" for each in files):
        out.says("A VBF has four bytes of each; an ECU may want other widths (addressAndLengthFormatIdentifier).")
        out.key("address_bytes", "4")
        out.key("size_bytes", "4")
    else:
        blocks = [each for file in files for block in file.blocks for each in block.memory]
        for name, nibble, most in (
            ("address_bytes", "low", max(each.end - 1 for each in blocks)),
            ("size_bytes", "high", max(each.size_bytes for each in blocks)),
        ):
            least = max(1, (most.bit_length() + 7) // 8)
            out.gap(name, f"the {nibble} nibble of addressAndLengthFormatIdentifier in 0x34 (in 0x44 it is 4); these "
                    f"files need {least} at least. A wrong width is refused with 0x13 or 0x31.")  # fmt: skip
    out.says("Counters that begin at 0, or leave 0 out when they wrap: first_counter = 0, counter_after_ff = 1")


def _segments(files: Sequence[SoftwareFile]) -> list[tuple[int | None, str | None]]:
    return [
        (each.data_format_identifier, each.method) for file in files for block in file.blocks for each in block.segments
    ]


def _format(segment: tuple[int | None, str | None]) -> str:
    identifier, method = segment
    return f"method {method}, which is no byte and cannot be sent" if identifier is None else f"0x{identifier:02X}"


def _erase(out: DraftText, files: Sequence[SoftwareFile]) -> None:
    blocks = stays(files)
    out.table("routines")
    out.says('eraseMemory of ISO 14229-1. Take the table out where 0x34 erases (erase.by = "none").')
    out.key("erase", "0xFF00")
    out.table("erase")
    if all(block.erase for block in blocks):
        out.says(
            "The files list what is erased: " + ", ".join(_range(each) for block in blocks for each in block.erase)
        )
        out.key("by", '"file"')
    elif all(block.logical_block_index is not None for block in blocks):
        numbers = ", ".join(f"{block.logical_block_index}: {block.name}" for block in blocks)
        out.says(f'The file numbers its blocks ({numbers}); an ECU that wants ranges has by = "range".')
        out.key("by", '"index"')
    else:
        out.gap("by", 'who erases what: "range" (31 01 with address and size, as granularity says), "index" (with the '
                'number of a block), "none" (0x34 erases). Cells that were not erased take nothing.')  # fmt: skip
        return
    if any(block.erase for block in blocks):
        out.gap("option", 'what the routine\'s record is put together from: ["address", "size"] or ["format", '
                '"address", "size"]. Another form is refused with 0x13 or 0x31, nothing is erased then.')  # fmt: skip
    out.says("The status is byte 0 of the routine's record, good is 0x00; else: answer = { at = 0, ok = 0x01 }")


def _range(each: AddressRange) -> str:
    return f"{hexadecimal(each.start)} ({each.size_bytes} bytes)"


def _identify(out: DraftText, files: Sequence[SoftwareFile]) -> None:
    idents = [each for file in files for each in file.expected_idents]
    versions = _versions(files)
    out.table("identify")
    if not versions:
        out.gap("version", "by which identifiers the ECU says what it runs: [{ did = 0xF189 }], several where it has "
                'several, or "none". With "none" a job ends as stored, and nobody knows what runs.')  # fmt: skip
    if not idents:
        out.gap("expect", "what the identifiers below must say for the software to be for this hardware, a text each: "
                '["ABC-1"]. Take it out where that is not known: then any unit that answers is flashed.')  # fmt: skip
    for ident in idents or (None,):
        out.entry("identify.hardware")
        if ident is not None:
            service = "" if ident.read_by is None else f", read by {ident.read_by.diag_comm}"
            wanted = " or ".join(each.text for each in ident.values)
            out.says(f"The file wants {ident.name} to be {wanted}{service}; it is compared before anything is done.")
        out.gap("did", "the identifier (0x22) that says which hardware it is, often 0xF191 or 0xF18A. Without it "
                "software for another unit is sent to whoever answers.")  # fmt: skip
    for what, did in versions:
        out.entry("identify.version")
        out.says(f"Must then say what the file says: {what}")
        if did is not None:
            out.key("did", hexadecimal(did, 4))
        else:
            out.gap("did", "the identifier of the application that says so. Without any write version = \"none\" into "
                    "[identify] in the place of these tables: the job then ends as stored.")  # fmt: skip


def _versions(files: Sequence[SoftwareFile]) -> list[tuple[str, int | None]]:
    """Return what must run in the end, and by which identifier it is read where a file says that."""
    found: list[tuple[str, int | None]] = []
    for file in files:
        own = [(block.name, ident) for block in stays([file]) for ident in block.own_idents if ident.values]
        found += [(f"{name}: {ident.name} {ident.values[0].text}", None) for name, ident in own]
        if file.file_format == "vbf" and not file.is_bootloader and file.part_number and file.version:
            found.append((f"{file.part_number} {file.version}", file.part_number_did))
    return found


def _security(out: DraftText) -> None:
    out.table("security")
    out.says("No file says how the ECU is unlocked. Where 0x29 does it: step authentication, table [authentication].")
    out.gap("level", "the odd sub-function of 0x27 for programming (requestSeed), for example 0x01 or 0x11. A wrong "
            "one is refused with 0x12 or 0x7E.")  # fmt: skip
    out.gap("algorithm", 'who makes the key: "command" with command = ["program"], "library" with library = "path" '
            "(GenerateKeyEx), or an algorithm with secret_name. A wrong key is refused with 0x35, and the ECU locks "
            "itself after some.")  # fmt: skip


def _choices(out: DraftText) -> None:
    out.says(
        "", "What may be said besides, with what holds without it:",
        '[timing] tester_present = "functional": also "physical", "pending" or "none", where reception is upset by it',
        '[reset] means = ["hard_reset", ...]: what starts the new software, one after the other',
        "[retries] job = 10, restart_download = []: refusals (NRC) after which a part is erased and sent again",
    )  # fmt: skip
