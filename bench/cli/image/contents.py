"""`otabench image info` and `diff`: what a firmware file holds, and what two hold differently."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.cli.image.common import (
    FILE,
    SHOWN_RANGES,
    as_json_option,
    described,
    hex_address,
    lenient_option,
    print_json,
    print_rows,
    range_json,
    session_option,
    signed_header,
    tell_tolerated,
)
from bench.cli.image.keys import key_options, verifier
from bench.cli.image.software import software_json, software_rows
from bench.cli.options import address_option, base_option, debug_only
from bench.core.errors import InputError
from bench.images.differences import Difference, differences
from bench.images.firmware import Firmware, packing_words
from bench.images.flash_session import FlashSession
from bench.images.readers import flash_sessions, plain_image, read_firmware
from bench.images.software import software_of


@click.command()
@click.argument("file", type=FILE)
@session_option
@key_options("Check the signature with this Ed25519 public key: PEM, or 64 hexadecimal digits.")
@lenient_option
@base_option
@as_json_option
@debug_only
def info(
    file: Path,
    session: str | None,
    key: str | None,
    test_key: str | None,
    lenient: bool,
    base: str | None,
    as_json: bool,
) -> int:
    """Show format, segments, start address and header of FILE; of VBF, ODX-F and PDX what a flash job needs.

    \b
    Examples:
      otabench image info firmware.hex
      otabench image info body.vbf --json
      otabench image info body.pdx --session APP_FLASH
      otabench image info app.signed.bin --key public.pem

    Exit codes: 0 shown, 1 the signature is not of the given key or the image not that of the header, 2 the file is
    missing or damaged (line or offset is named).
    """
    public = verifier(key, test_key)
    sessions = flash_sessions(file)
    if len(sessions) > 1 and session is None:
        _show_sessions(file, sessions, as_json)
        return 0
    firmware = read_firmware(file, binary_base=address_option(base), session=session, lenient=lenient)
    found, software = described(file, firmware), software_of(firmware, file)
    good = None if public is None else _signed_by(firmware, public, file)
    if found["signed"] is not None:
        found["signed"]["signature"] = {None: "unchecked", True: "right", False: "wrong"}[good]
    if as_json:
        found["sessions"] = [_session_json(each) for each in sessions if firmware.session in (None, each)]
        found["software"] = software_json(software)
        print_json(found)
    else:
        print_rows(_rows(file, firmware, found) + software_rows(software))
    return 0 if good is None or (good and found["signed"]["whole"]) else 1


def _rows(file: Path, firmware: Firmware, found: dict[str, Any]) -> list[tuple[str, str]]:
    rows = [("file", str(file)), ("format", firmware.file_format), ("size", f"{firmware.size_bytes} bytes")]
    rows += [("start", hex_address(firmware.start_address))] if firmware.start_address is not None else []
    rows += [("segment", str(each)) for each in firmware.image.ranges]
    rows += [("packing", packing_words(firmware.data_format_identifier))] if firmware.data_format_identifier else []
    rows += [("packing", f"method {firmware.packed_by}")] if firmware.packed_by else []
    rows += [("packed", f"{len(each.data)} bytes for {hex_address(each.address)} on") for each in firmware.packed]
    rows += [("erase", str(each)) for each in firmware.erase]
    rows += [("tolerated", each) for each in firmware.tolerated]
    if firmware.session is not None:
        return rows + _session_rows(firmware.session)
    rows += [(name, value) for name, value in firmware.fields.items() if name != "erase"]
    return rows + [(f"signed {name}", _signed_text(name, value)) for name, value in (found["signed"] or {}).items()]


def _signed_text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return hex_address(value) if name == "load_address" and isinstance(value, int) else str(value)


def _signed_by(firmware: Firmware, public: Ed25519PublicKey, file: Path) -> bool:
    """Return whether the signature of the header is of this key; `InputError` when there is no header."""
    header = signed_header(firmware)
    if header is None:
        raise InputError(
            "this file has no signed header whose signature could be checked",
            file=str(file),
            found=firmware.file_format,
            allowed="what otabench image sign writes",
        )
    try:
        public.verify(header.signature, header.signed_part())
    except InvalidSignature:
        return False
    return True


def _show_sessions(file: Path, sessions: tuple[FlashSession, ...], as_json: bool) -> None:
    if as_json:
        print_json({"file": str(file), "format": "odx", "sessions": [_session_json(each) for each in sessions]})
        return
    rows = [("file", str(file)), ("format", "odx"), ("sessions", f"{len(sessions)}; choose one with --session NAME")]
    for each in sessions:
        rows += _session_rows(each)
    print_rows(rows)


def _session_rows(session: FlashSession) -> list[tuple[str, str]]:
    about = [each for each in (session.part_number, session.direction) if each]
    rows = [("session", f"{session.name} of {session.ecu_mem}" + (f" ({', '.join(about)})" if about else ""))]
    rows += [
        ("  expects", f"{name} = {' or '.join(each.text for each in values)}")
        for name, values in session.expected_idents.items()
    ]
    rows += [
        ("  checksum", f"{each.name}: {each.algorithm or 'no algorithm named'} over {each.range} is {each.result.text}")
        for each in session.checksums
    ]
    rows += [("  security", text) for text in map(_security_text, session.securities)]
    for block in session.blocks:
        packing = f", packed by method {block.packed_by}" if block.packed_by else ""
        rows.append(("  block", f"{block.name}: {block.kind}, {block.data_format or 'no data'}{packing}"))
        rows += [("    is", f"{name} = {field.text}") for name, field in block.own_idents.items()]
        rows += [("    security", text) for text in map(_security_text, block.securities)]
        rows += [("    segment", f"{each.name} {each.range}") for each in block.segments]
    return rows


def _security_text(security: Any) -> str:
    parts = {name: field for name, field in asdict(security).items() if field is not None}
    return ", ".join(f"{name.replace('_', ' ')} {field['text']}" for name, field in parts.items()) or "empty"


def _session_json(session: FlashSession) -> dict[str, Any]:
    """Return the session as values; of a segment's bytes their number."""
    blocks = [
        {
            "name": block.name,
            "kind": block.kind,
            "logical_block_index": block.logical_block_index,
            "data_format": block.data_format,
            "packed_by": block.packed_by,
            "own_idents": {name: asdict(field) for name, field in block.own_idents.items()},
            "securities": [asdict(each) for each in block.securities],
            "segments": [
                {"name": each.name, "data_bytes": len(each.data)} | range_json(each.range) for each in block.segments
            ],
        }
        for block in session.blocks
    ]
    return {
        "name": session.name,
        "ecu_mem": session.ecu_mem,
        "part_number": session.part_number,
        "direction": session.direction,
        "expected_idents": {
            name: [asdict(each) for each in values] for name, values in session.expected_idents.items()
        },
        "checksums": [
            {"name": each.name, "algorithm": each.algorithm, "result": asdict(each.result)} | range_json(each.range)
            for each in session.checksums
        ],
        "securities": [asdict(each) for each in session.securities],
        "blocks": blocks,
    }


@click.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@lenient_option
@base_option
@as_json_option
@debug_only
def diff(a: Path, b: Path, lenient: bool, base: str | None, as_json: bool) -> int:
    """Compare the memory that A and B describe, whatever their formats.

    Bytes and addresses count; start addresses, record lengths and texts do not.

    \b
    Examples:
      otabench image diff firmware.elf firmware.hex
      otabench image diff old.hex new.hex --json

    Exit codes: 0 the same, 1 different, 2 a file is missing or damaged.
    """
    binary_base = address_option(base)
    read = [(file, read_firmware(file, binary_base=binary_base, lenient=lenient)) for file in (a, b)]
    images = [plain_image(firmware, file) for file, firmware in read]
    tell_tolerated(firmware for _file, firmware in read)
    found = differences(*images)
    if as_json:
        print_json(
            {
                "a": str(a),
                "b": str(b),
                "equal": not found,
                "different_bytes": sum(each.range.size_bytes for each in found),
                "first": _first(found[0]) if found else None,
                "ranges": [range_json(each.range) | {"kind": str(each.kind)} for each in found],
            }
        )
    else:
        _print_differences(found, images[0].size_bytes)
    return 1 if found else 0


def _first(difference: Difference) -> dict[str, int | None]:
    return {"address": difference.range.start, "a": difference.a, "b": difference.b}


def _print_differences(found: tuple[Difference, ...], size_bytes: int) -> None:
    if not found:
        click.echo(f"the same {size_bytes} bytes at the same addresses")
        return
    first = found[0]
    a, b = ("nothing" if value is None else f"0x{value:02X}" for value in (first.a, first.b))
    rows = [("first", f"{hex_address(first.range.start)}: A has {a}, B has {b}")]
    rows += [(str(each.kind).replace("_", " "), str(each.range)) for each in found[:SHOWN_RANGES]]
    rows += [("more", f"{len(found) - SHOWN_RANGES} ranges")] if len(found) > SHOWN_RANGES else []
    print_rows(rows)
