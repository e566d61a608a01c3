"""Firmware files as software: what each reader found, as logical blocks; what in a file contradicts itself."""

from __future__ import annotations

import binascii
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from bench.core.errors import InputError
from bench.images.blocks import (
    BlockKind,
    BlockSegment,
    CheckState,
    ExpectedChecksum,
    Ident,
    Signature,
    SoftwareBlock,
    SoftwareFile,
    plain_segment,
)
from bench.images.checksums import checked
from bench.images.damaged import Damaged
from bench.images.firmware import Firmware
from bench.images.flash_session import Checksum, FlashBlock, FlashSegment, FlashSession, OdxValue, Security
from bench.images.memory import AddressRange, MemoryImage, Overlap, Segment
from bench.images.readers import read_firmware
from bench.images.vbf import Vbf

KINDS = {
    "SBL": BlockKind.BOOTLOADER, "EXE": BlockKind.CODE, "DATA": BlockKind.DATA,
    "CARCFG": BlockKind.CONFIGURATION, "SIGCFG": BlockKind.CONFIGURATION,
    "CODE": BlockKind.CODE, "BOOT": BlockKind.BOOTLOADER, "BOOTLOADER": BlockKind.BOOTLOADER,
}  # fmt: skip
"""`sw_part_type` of VBF, TYPE of a DATABLOCK: what it is; any other word is kept and means nothing here."""


class Problem(NamedTuple):
    """What in a file contradicts itself; `read_software` refuses it."""

    problem: str
    key: str
    found: str
    allowed: str
    hint: str


def read_software(
    path: Path,
    *,
    binary_base: int | None = None,
    base_option: str = "--base",
    file_format: str | None = None,
    session: str | None = None,
    later_wins: bool = False,
    lenient: bool = False,
) -> SoftwareFile:
    """Read a firmware file of any format as its logical blocks; the options are those of `read_firmware`.

    Nothing is filled, joined or unpacked. `InputError` for a damaged file, and for one that contradicts itself: an
    erase list that misses data, an expected checksum that the data do not have.
    """
    firmware = read_firmware(
        path, binary_base=binary_base, base_option=base_option, file_format=file_format, session=session,
        later_wins=later_wins, lenient=lenient,
    )  # fmt: skip
    software = software_of(firmware, path)
    for each in problems(software):
        raise InputError(
            each.problem, file=str(path), key=each.key, found=each.found, allowed=each.allowed, hint=each.hint
        )
    return software


def software_of(firmware: Firmware, path: Path) -> SoftwareFile:
    """Return what a firmware file holds as software, whatever contradicts itself; `InputError` for a bad value."""
    try:
        if firmware.vbf is not None:
            return _of_vbf(firmware, firmware.vbf, path.name)
        if firmware.session is not None:
            return _of_odx(firmware, firmware.session, path.name)
    except Damaged as bad:
        raise InputError(f"firmware image is damaged: {bad}", file=str(path), hint=bad.hint) from None
    segments = tuple(plain_segment(each) for each in firmware.image.segments)
    block = SoftwareBlock(path.name, BlockKind.UNSPECIFIED, segments)
    return SoftwareFile(
        path.name, firmware.file_format, (block,), start_address=firmware.start_address, fields=firmware.fields,
        tolerated=firmware.tolerated,
    )  # fmt: skip


def problems(software: SoftwareFile) -> tuple[Problem, ...]:
    """Return what in a file contradicts itself, in its order."""
    found = [each for block in software.blocks if block.erase for each in _not_erased(block)]
    return (*found, *(_wrong(each) for each in software.all_checksums if each.state is CheckState.WRONG))


def _not_erased(block: SoftwareBlock) -> list[Problem]:
    erased = sorted(block.erase)
    missed = [part for each in block.memory for part in _outside(each, erased)]
    if not missed:
        return []
    return [
        Problem(
            "the erase list does not cover the data",
            "erase",
            ", ".join(str(each) for each in missed[:4]) + (f" and {len(missed) - 4} more" if len(missed) > 4 else ""),
            ", ".join(str(each) for each in block.erase[:8]),
            "what was not erased cannot be programmed: have the file made anew, with these addresses in its erase list",
        )
    ]


def _outside(wanted: AddressRange, erased: list[AddressRange]) -> list[AddressRange]:
    """Return the parts of `wanted` that no range covers; `erased` ascending."""
    missed, at = [], wanted.start
    for each in erased:
        if each.start > at:
            missed.append(AddressRange(at, min(each.start, wanted.end)))
        at = max(at, each.end)
        if at >= wanted.end:
            break
    if at < wanted.end:
        missed.append(AddressRange(at, wanted.end))
    return [each for each in missed if each.start < each.end and each.start < wanted.end]


def _wrong(check: ExpectedChecksum) -> Problem:
    return Problem(
        "an expected checksum is not that of the data",
        check.name,
        f"{check.algorithm} over {check.range}: {check.reason}",
        check.value.hex().upper(),
        f"have the file made anew: it is damaged, or its maker calls another sum {check.algorithm}",
    )


# VBF


def _of_vbf(firmware: Firmware, vbf: Vbf, name: str) -> SoftwareFile:
    fields, packing = vbf.fields, vbf.data_format_identifier
    kind = fields.get("sw_part_type", "")
    block = SoftwareBlock(
        name=fields.get("sw_part_number", name),
        kind=KINDS.get(kind.upper(), BlockKind.UNSPECIFIED),
        segments=tuple(_vbf_segment(each, packing) for each in vbf.blocks if each.data),
        type_name=kind,
        erase=vbf.erase,
        signatures=tuple(
            Signature(key, data)
            for key in ("sw_signature", "sw_signature_dev")
            if (data := vbf.data_of(key)) is not None
        ),
    )
    file_checksum = vbf.file_checksum.to_bytes(4, "big")
    return SoftwareFile(
        name=name,
        file_format="vbf",
        blocks=(block,),
        part_number=fields.get("sw_part_number"),
        part_number_did=vbf.number_of("sw_part_number_DID"),
        version=fields.get("sw_version"),
        part_type=kind or None,
        ecu_addresses=vbf.ecu_addresses,
        network=fields.get("network"),
        frame_format=fields.get("frame_format"),
        start_address=vbf.call_address,
        public_key_hash=vbf.data_of("public_key_hash"),
        verification_block=vbf.verification_block,
        verification_block_root_hash=vbf.data_of("verification_block_root_hash"),
        # the reader has compared it: a file where it differs is refused there
        checksums=(ExpectedChecksum("file_checksum", "CRC32", None, file_checksum, CheckState.RIGHT),),
        fields=firmware.fields,
    )


def _vbf_segment(segment: Segment, packing: int) -> BlockSegment:
    crc16 = binascii.crc_hqx(segment.data, 0xFFFF)  # as the file states it: the reader has compared it
    if not packing:
        return plain_segment(segment, crc16)
    return BlockSegment(segment.address, segment.data, None, packing, f"{packing:02X}", crc16)


# ODX


def _of_odx(firmware: Firmware, session: FlashSession, name: str) -> SoftwareFile:
    blocks = tuple(_odx_block(each, session) for each in session.blocks)
    memory = _plain_memory(blocks, session)
    owners = [(_owner(each, session), each) for each in session.checksums]
    return SoftwareFile(
        name=name,
        file_format="odx",
        blocks=tuple(
            replace(block, checksums=tuple(_odx_check(each, raw, memory) for own, each in owners if own is raw))
            for block, raw in zip(blocks, session.blocks, strict=True)
        ),
        part_number=session.part_number,
        checksums=tuple(_odx_check(each, None, memory) for own, each in owners if own is None),
        signatures=tuple(_signature(each, f"session {session.name}") for each in session.securities),
        expected_idents=tuple(_ident(key, values, session) for key, values in session.expected_idents.items()),
        session=session.name,
        direction=session.direction,
        physical=session.physical,
        fields=firmware.fields,
    )


def _plain_memory(blocks: tuple[SoftwareBlock, ...], session: FlashSession) -> MemoryImage:
    plain = [(each.address, each.plain()) for block in blocks for each in block.segments]
    try:
        return MemoryImage.of(Segment(address, data) for address, data in plain if data is not None)
    except Overlap as overlap:
        raise Damaged(f"flash session {session.name}: {overlap}") from None


def _odx_block(block: FlashBlock, session: FlashSession) -> SoftwareBlock:
    return SoftwareBlock(
        name=block.name,
        kind=KINDS.get(block.kind.upper(), BlockKind.UNSPECIFIED),
        segments=tuple(_odx_segment(each) for each in block.segments),
        type_name=block.kind,
        logical_block_index=block.logical_block_index,
        signatures=tuple(_signature(each, f"block {block.name}") for each in block.securities),
        own_idents=tuple(_ident(key, (value,), session) for key, value in block.own_idents.items()),
    )


def _odx_segment(segment: FlashSegment) -> BlockSegment:
    method = None if segment.method is None else segment.method.text
    identifier = 0 if segment.method is None else _format_identifier(segment.method)
    return BlockSegment(segment.range.start, segment.data, segment.range, identifier, method, name=segment.name)


def _format_identifier(method: OdxValue) -> int | None:
    """Return the dataFormatIdentifier that ENCRYPT-COMPRESS-METHOD spells; None when it is a name, not a byte."""
    if not method.text.strip("0"):
        return 0
    try:
        value = int.from_bytes(method.data(1), "big") if method.type in ("A_BYTEFIELD", "A_UINT32") else -1
    except Damaged:
        return None
    return value if 0 <= value <= 0xFF else None


def _owner(check: Checksum, session: FlashSession) -> FlashBlock | None:
    """Return the block that a checksum is over; its addresses are those of the file, before any target offset."""
    for block in session.blocks:
        sources = [(s.range.start - block.target_offset, s.range.end - block.target_offset) for s in block.segments]
        if sources and min(sources)[0] <= check.range.start and check.range.end <= max(end for _start, end in sources):
            return block
    return None


def _odx_check(check: Checksum, block: FlashBlock | None, memory: MemoryImage) -> ExpectedChecksum:
    offset = 0 if block is None else block.target_offset
    region = AddressRange(check.range.start + offset, check.range.end + offset)
    try:
        return checked(check.name, check.algorithm, region, check.result, memory)
    except Damaged as bad:
        raise Damaged(f"checksum {check.name}: {bad}") from None


def _signature(security: Security, where: str) -> Signature:
    parts = (security.signature, security.checksum, security.validity_for)
    try:
        data, checksum, validity_for = (None if each is None else each.data() for each in parts)
    except Damaged as bad:
        raise Damaged(f"SECURITY of {where}: {bad}") from None
    method = None if security.method is None else security.method.text
    return Signature("SECURITY", data, method, checksum, validity_for)


def _ident(name: str, values: tuple[OdxValue, ...], session: FlashSession) -> Ident:
    return Ident(name, values, next((each for each in session.ident_descs if each.ident == name), None))
