"""How `image info` shows software: blocks with what is erased, checked and signed, as rows and as JSON."""

from __future__ import annotations

import hashlib
from typing import Any

from bench.cli.image.common import hex_address, range_json
from bench.images.blocks import (
    BlockSegment,
    CheckState,
    ExpectedChecksum,
    Ident,
    Signature,
    SoftwareBlock,
    SoftwareFile,
)
from bench.images.firmware import packing_words
from bench.images.software import problems

_SHOWN_BYTES = 16
Rows = list[tuple[str, str]]


def software_rows(software: SoftwareFile) -> Rows:
    """Return the blocks of a file that says more than addresses and bytes (VBF, ODX); nothing of the others."""
    if software.file_format not in ("vbf", "odx"):
        return []
    rows: Rows = [("checksum", _check_text(each)) for each in software.checksums]
    rows += [("signature", _signature_text(each)) for each in software.signatures]
    for block in software.blocks:
        rows += _block_rows(block)
    return rows + [("problem", f"{each.problem}: {each.found}; allowed {each.allowed}") for each in problems(software)]


def _block_rows(block: SoftwareBlock) -> Rows:
    index = "" if block.logical_block_index is None else f", logical block {block.logical_block_index}"
    rows: Rows = [("logical block", f"{block.name}: {block.kind}{index}, {block.size_bytes} bytes to send")]
    rows += [("  sends", _segment_text(each)) for each in block.segments]
    rows += [("  erases", str(each)) for each in block.erase]
    rows += [("  checksum", _check_text(each)) for each in block.checksums]
    return rows + [("  signature", _signature_text(each)) for each in block.signatures]


def _segment_text(segment: BlockSegment) -> str:
    identifier = segment.data_format_identifier
    packing = f"method {segment.method}" if identifier is None else packing_words(identifier)
    text = f"{len(segment.data)} bytes for {hex_address(segment.address)} on, {packing}"
    if segment.is_packed:
        size = segment.uncompressed_size
        text += ", fills what only the ECU knows" if size is None else f", fills {size} bytes"
    return text if segment.crc16 is None else f"{text}, CRC-16 {segment.crc16:04X}"


def _check_text(check: ExpectedChecksum) -> str:
    where = "the file's blocks" if check.range is None else str(check.range)
    state = str(check.state) if check.state is CheckState.RIGHT else f"{check.state}: {check.reason}"
    return f"{check.name}: {check.algorithm or 'no algorithm named'} over {where} is {_hex(check.value)}, {state}"


def _signature_text(signature: Signature) -> str:
    method = f" by {signature.method}" if signature.method else ""
    parts = {"": signature.data, "checksum ": signature.checksum, "valid for ": signature.validity_for}
    shown = [f"{name}{_hex(data)} ({len(data)} bytes)" for name, data in parts.items() if data is not None]
    return f"{signature.name}{method}: {', '.join(shown) or 'empty'}; the ECU checks it"


def _hex(data: bytes) -> str:
    return data[:_SHOWN_BYTES].hex().upper() + ("…" if len(data) > _SHOWN_BYTES else "")


def software_json(software: SoftwareFile) -> dict[str, Any]:
    """Return SOFTWARE of docs/contracts.md; of a segment's bytes their number and hash."""
    table = software.verification_block
    root_hash = software.verification_block_root_hash
    return {
        "part_number": software.part_number,
        "part_number_did": software.part_number_did,
        "version": software.version,
        "part_type": software.part_type,
        "ecu_addresses": list(software.ecu_addresses),
        "network": software.network,
        "frame_format": software.frame_format,
        "start_address": software.start_address,
        "public_key_hash": _bytes_json(software.public_key_hash),
        "verification_block": None if table is None else range_json(table) | {"root_hash": _bytes_json(root_hash)},
        "session": software.session,
        "direction": software.direction,
        "expected_idents": [_ident_json(each) for each in software.expected_idents],
        "checksums": [_check_json(each) for each in software.checksums],
        "signatures": [_signature_json(each) for each in software.signatures],
        "physical": [
            {"name": each.name, "start": each.start, "end": each.end, "block_bytes": each.block_bytes,
             "fill_byte": each.fill_byte} for each in software.physical
        ],
        "blocks": [_block_json(each) for each in software.blocks],
        "problems": [each._asdict() for each in problems(software)],
    }  # fmt: skip


def _block_json(block: SoftwareBlock) -> dict[str, Any]:
    return {
        "name": block.name,
        "kind": str(block.kind),
        "type_name": block.type_name,
        "logical_block_index": block.logical_block_index,
        "size_bytes": block.size_bytes,
        "erase": [range_json(each) for each in block.erase],
        "segments": [_segment_json(each) for each in block.segments],
        "checksums": [_check_json(each) for each in block.checksums],
        "signatures": [_signature_json(each) for each in block.signatures],
        "own_idents": [_ident_json(each) for each in block.own_idents],
    }


def _segment_json(segment: BlockSegment) -> dict[str, Any]:
    return {
        "name": segment.name,
        "address": segment.address,
        "data_bytes": len(segment.data),
        "sha256": hashlib.sha256(segment.data).hexdigest(),
        "memory": None if segment.memory is None else range_json(segment.memory),
        "data_format_identifier": segment.data_format_identifier,
        "method": segment.method,
        "crc16": segment.crc16,
    }


def _check_json(check: ExpectedChecksum) -> dict[str, Any]:
    return {
        "name": check.name,
        "algorithm": check.algorithm,
        "range": None if check.range is None else range_json(check.range),
        "value": check.value.hex(),
        "state": str(check.state),
        "reason": check.reason,
    }


def _signature_json(signature: Signature) -> dict[str, Any]:
    return {
        "name": signature.name,
        "method": signature.method,
        "data": _bytes_json(signature.data),
        "checksum": _bytes_json(signature.checksum),
        "validity_for": _bytes_json(signature.validity_for),
    }


def _ident_json(ident: Ident) -> dict[str, Any]:
    by = ident.read_by
    return {
        "name": ident.name,
        "values": [{"text": each.text, "type": each.type} for each in ident.values],
        "diag_comm": None if by is None else by.diag_comm,
        "out_param": None if by is None else by.out_param,
    }


def _bytes_json(data: bytes | None) -> str | None:
    return None if data is None else data.hex()
