"""ODX-F documents and PDX containers: the flash sessions that odxtools (extra `odx`) reads.

odxtools parses the document and resolves its references; taking the data apart (addresses, sizes, records, files of
the container) is done here, so that a mistake is told with block and line. Only FLASH documents are looked at, and of
them neither audiences, nor administrative data, nor the diagnostic layers they belong to: those may be missing.
A SOURCE-END-ADDRESS is the last address of a segment. BINARY data are hexadecimal digits inside the document and raw
bytes in a file of their own, and lie in the order of the segments.
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from bench.core.errors import InputError
from bench.core.extras import install_command
from bench.images.damaged import Damaged, Unsuited
from bench.images.flash_session import Checksum, FlashSession, IdentDesc, PhysicalSegment
from bench.images.memory import ADDRESS_SPACE_BYTES, AddressRange
from bench.images.odx_blocks import Files, odx_value, read_block, security

if TYPE_CHECKING:
    from odxtools.database import Database

LEFT_OUT = ("AUDIENCE", "ADMIN-DATA", "LAYER-REFS", "ALL-VARIANT-REFS")
"""Elements that point to other documents and say nothing about data."""
MAX_MEMBERS = 10_000
MAX_TAGS = 1_000_000
"""Of one document: real ones have thousands, their data lie in few elements."""
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError)
_ODX_ERRORS = (ValueError, LookupError, TypeError, AttributeError, AssertionError, RuntimeError)


def read_sessions(raw: bytes, path: Path, *, limit_bytes: int) -> tuple[FlashSession, ...]:
    """Return every flash session of a PDX container or ODX-F document, in the file's order.

    `Damaged` or `Unsuited` when it cannot be used, `InputError` naming the extra when odxtools is not installed.
    """
    container = raw.startswith(b"PK")
    members = dict(_members(raw, limit_bytes)) if container else {path.name: raw}
    names = [name for name in members if Path(name).suffix.lower().startswith(".odx")] if container else [path.name]
    trees = [tree for tree in (_tree(members[name], name) for name in names) if tree.find("FLASH") is not None]
    if not trees:
        found = ", ".join(list(members)[:8]) if container else "an ODX document of another kind"
        raise Unsuited("this file has no FLASH document", found=found, allowed="an ODX-F document, or a PDX with one")
    files = Files(members if container else {}, None if container else path.parent, limit_bytes)
    sessions = tuple(_sessions(_database(trees), files))
    if not sessions:
        raise Unsuited("this file has no flash session", found="no SESSION", allowed="at least one")
    return sessions


def _members(raw: bytes, limit_bytes: int) -> Iterator[tuple[str, bytes]]:
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as container:
            infos = [info for info in container.infolist() if not info.is_dir()]
            total = sum(info.file_size for info in infos)
            if total > limit_bytes or len(infos) > MAX_MEMBERS:
                raise Unsuited(
                    "this PDX container is too large",
                    found=f"{len(infos)} files, {total} bytes unpacked",
                    allowed=f"up to {MAX_MEMBERS} files, {limit_bytes} bytes",
                )
            for info in infos:
                yield info.filename, container.read(info)
    except _ZIP_ERRORS as error:
        raise Damaged(f"the PDX container is no whole zip file: {error}") from None


def _tree(raw: bytes, name: str) -> ElementTree.Element:
    """Parse one document and take out what points to other ones."""
    if b"<!DOCTYPE" in raw.replace(b"\0", b""):
        raise Damaged(f"{name}: ODX has no document type declaration")
    if raw.count(b"<") > MAX_TAGS:
        raise Unsuited(f"{name} has too many elements", found=f"{raw.count(b'<')} tags", allowed=f"up to {MAX_TAGS}")
    try:
        tree = ElementTree.fromstring(raw)  # noqa: S314 (entities need a DOCTYPE, which is refused above)
    except ElementTree.ParseError as error:
        raise Damaged(f"{name} is no XML: {error}", error.position[0]) from None
    except (ValueError, LookupError) as error:
        raise Damaged(f"{name} is no XML: {error}") from None
    for parent in list(tree.iter()):
        for child in [child for child in parent if child.tag in LEFT_OUT]:
            parent.remove(child)
    return tree


def _database(trees: list[ElementTree.Element]) -> Database:
    try:
        from odxtools.database import Database
        from odxtools.exceptions import OdxError
    except ImportError:
        raise InputError(
            "ODX-F and PDX files are read with odxtools, which is not installed",
            found="no module odxtools",
            hint=install_command("odx"),
        ) from None
    database = Database(use_weakrefs=False)
    try:
        for tree in trees:
            database.add_odx_xml_tree(tree)
        database.refresh()
    except (OdxError, *_ODX_ERRORS) as error:
        why = str(error) or type(error).__name__
        raise Damaged(f"odxtools does not accept the FLASH document: {why}") from None
    return database


def _sessions(database: Database, files: Files) -> Iterator[FlashSession]:
    described = {
        (connector.ecu_mem.short_name, each.session_snref): each
        for flash in database.flashs
        for connector in flash.ecu_mem_connectors
        for each in connector.session_descs
    }
    ident_descs = {
        connector.ecu_mem.short_name: tuple(
            IdentDesc(each.ident_if_snref, each.diag_comm_snref, each.out_param_if_snref or each.out_param_if_snpathref)
            for each in connector.ident_descs
        )
        for flash in database.flashs
        for connector in flash.ecu_mem_connectors
    }
    for ecu_mem in (each for flash in database.flashs for each in flash.ecu_mems):
        for session in ecu_mem.mem.sessions:
            desc = described.get((ecu_mem.short_name, session.short_name))
            yield FlashSession(
                name=session.short_name,
                ecu_mem=ecu_mem.short_name,
                part_number=None if desc is None else desc.partnumber,
                direction=None if desc is None else str(desc.direction.value),
                expected_idents={
                    each.short_name: tuple(odx_value(value) for value in each.ident_values)
                    for each in session.expected_idents
                },
                checksums=tuple(_checksum(each) for each in session.checksums),
                securities=tuple(security(each) for each in session.securities),
                blocks=tuple(read_block(each, files) for each in session.datablocks),
                ident_descs=ident_descs.get(ecu_mem.short_name, ()),
                physical=tuple(
                    _physical(each) for each in (ecu_mem.phys_mem.phys_segments if ecu_mem.phys_mem else ())
                ),
            )


def _physical(each: Any) -> PhysicalSegment:
    size, last = getattr(each, "size", None), getattr(each, "end_address", None)
    end = each.start_address + size if size is not None else last + 1 if last is not None else None
    if end is not None and not 0 <= each.start_address <= end <= ADDRESS_SPACE_BYTES:
        raise Damaged(f"PHYS-SEGMENT {each.short_name}: 0x{each.start_address:X} to 0x{end:X} is no range of addresses")
    return PhysicalSegment(each.short_name, each.start_address, end, each.block_size or 0, each.fillbyte)


def _checksum(each: Any) -> Checksum:
    start, size = each.source_start_address, each.uncompressed_size
    end = start + size if size is not None else (each.source_end_address or 0) + 1
    if not 0 <= start <= end <= ADDRESS_SPACE_BYTES:
        raise Damaged(f"checksum {each.short_name}: 0x{start:X} to 0x{end:X} is no range of 32-bit addresses")
    result = odx_value(each.checksum_result)
    return Checksum(each.short_name, each.checksum_alg, AddressRange(start, end), result)
