"""Readers of firmware files: one function for every format, and how the format is told."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.config import read_bytes
from bench.core.errors import InputError
from bench.images.damaged import Damaged, Unsuited
from bench.images.elf import MAGIC, read_elf
from bench.images.firmware import Firmware, packing_words
from bench.images.flash_session import FlashSession
from bench.images.memory import ADDRESS_SPACE_BYTES, MemoryImage, Overlap, Segment
from bench.images.odx import read_sessions
from bench.images.text_files import TEXT_FORMATS, read_text
from bench.images.vbf import read_vbf
from bench.wire.image_header import MAGIC as SIGNED_MAGIC

MAX_IMAGE_BYTES = 64 * 1024 * 1024
"""The largest memory image that is read."""
MAX_TEXT_BYTES = 4 * MAX_IMAGE_BYTES
"""A text format spends two digits a byte, and an address and a checksum a line."""

_SUFFIXES = {
    ".hex": "ihex", ".ihex": "ihex", ".ihx": "ihex", ".ihe": "ihex",
    ".srec": "srec", ".s19": "srec", ".s28": "srec", ".s37": "srec", ".mot": "srec", ".sre": "srec",
    ".txt": "ti_txt", ".ti-txt": "ti_txt",
    ".elf": "elf", ".axf": "elf", ".out": "elf", ".vbf": "vbf", ".pdx": "odx", ".odx-f": "odx", ".odx": "odx",
    ".bin": "binary", ".img": "binary", ".raw": "binary",
}  # fmt: skip
FORMATS = ("ihex", "srec", "ti_txt", "elf", "vbf", "odx", "binary")


def read_image(path: Path, *, binary_base: int | None = None, file_format: str | None = None) -> MemoryImage:
    """Read a firmware file into a memory image: as `read_firmware`, but packed blocks are refused."""
    return plain_image(read_firmware(path, binary_base=binary_base, file_format=file_format), path)


def plain_image(firmware: Firmware, path: Path) -> MemoryImage:
    """Return the memory image of `firmware`; `InputError` when its blocks are compressed or encrypted."""
    if firmware.packed:
        raise InputError(
            "the blocks of this file are compressed or encrypted: what memory they fill, only the ECU knows",
            file=str(path),
            found=f"method {firmware.packed_by}"
            if firmware.packed_by
            else packing_words(firmware.data_format_identifier),
            allowed="plain blocks",
            hint="give the file as it was before packing",
        )
    return firmware.image


def read_firmware(
    path: Path,
    *,
    binary_base: int | None = None,
    base_option: str = "--base",
    file_format: str | None = None,
    session: str | None = None,
    later_wins: bool = False,
    lenient: bool = False,
) -> Firmware:
    """Read a firmware file.

    The format is the file's suffix, else told from its first bytes, or `file_format` (one of `FORMATS`).
    `binary_base` is where a raw binary starts, 0 by default; the other formats have addresses of their own.
    Any file at all can be read as a raw binary, so one that neither its suffix nor its first bytes call firmware is
    refused unless `binary_base` says that it is meant; `base_option` is how the user gives it.
    `session` names the flash session of an ODX-F or PDX file; it may be left out where there is one alone.
    In text formats an address given twice is refused, unless `later_wins`: then the record further down counts; what
    stands behind the end record is refused, unless `lenient`: then it is left out and counted (`tolerated`).
    `InputError` names file and line (or offset) of what is damaged.
    """
    raw, chosen = _opened(path, file_format)
    if session is not None and chosen != "odx":
        allowed = "none; ODX-F and PDX files have flash sessions"
        raise InputError("this file has no flash sessions", file=str(path), key="--session", allowed=allowed)
    if chosen == "binary":
        if binary_base is None and file_format is None:
            _refuse_any_file(raw, path, base_option)
        return Firmware(chosen, _binary(raw, binary_base or 0, path))
    with _named_in_errors(path, chosen):
        if chosen == "odx":
            firmware = _odx_firmware(read_sessions(raw, path, limit_bytes=MAX_TEXT_BYTES), session, path)
        else:
            reads = _BINARY_READERS.get(chosen)
            firmware = reads(raw) if reads else _text_firmware(raw, chosen, later_wins=later_wins, lenient=lenient)
    _check_size(firmware.size_bytes, path)
    return firmware


def flash_sessions(path: Path) -> tuple[FlashSession, ...]:
    """Return every flash session of an ODX-F or PDX file; none where the file is of another format."""
    raw, chosen = _opened(path, None)
    if chosen != "odx":
        return ()
    with _named_in_errors(path, chosen):
        return read_sessions(raw, path, limit_bytes=MAX_TEXT_BYTES)


def _opened(path: Path, file_format: str | None) -> tuple[bytes, str]:
    """Return the file's bytes and its format."""
    raw = read_bytes(path, limit_bytes=MAX_TEXT_BYTES, what="firmware image")
    if not raw:
        raise InputError("firmware image is empty", file=str(path))
    chosen = file_format or format_of_suffix(path) or _sniffed(raw)
    if chosen not in FORMATS:
        raise InputError("unknown image format", file=str(path), found=chosen, allowed=", ".join(FORMATS))
    return raw, chosen


@contextmanager
def _named_in_errors(path: Path, chosen: str) -> Iterator[None]:
    """Turn what a reader raises into an `InputError` that names the file."""
    try:
        yield
    except Damaged as bad:
        hint = "a raw binary has the suffix .bin" if chosen in TEXT_FORMATS and bad.offset is not None else bad.hint
        raise InputError(f"firmware image is damaged{bad.where}: {bad}", file=str(path), hint=hint) from None
    except Unsuited as bad:
        raise InputError(bad.problem, file=str(path), found=bad.found, allowed=bad.allowed, hint=bad.hint) from None


_CONTAINERS = {b"\x7fELF": "ELF", b"vbf_version": "VBF", b"MZ": "PE", b"PK": "zip", b"\x1f\x8b": "gzip"}
"""What looks like a raw binary and is none; flashed as it is, it would run as garbage."""


def format_of_suffix(path: Path) -> str | None:
    """Return the format that the file's suffix stands for."""
    return _SUFFIXES.get(path.suffix.lower())


def _sniffed(raw: bytes) -> str:
    if raw.startswith(MAGIC):
        return "elf"
    raw = raw.removeprefix(BOM_UTF8)
    if raw.startswith(b"vbf_version"):
        return "vbf"
    if b"<ODX" in raw[:4096] and raw.lstrip().startswith(b"<"):
        return "odx"
    return {b":": "ihex", b"S": "srec", b"@": "ti_txt"}.get(raw[:1], "binary")


def _refuse_any_file(raw: bytes, path: Path, base_option: str) -> None:
    """`InputError` for a file of which nothing says that it is firmware: notes, a table, the wrong download."""
    if format_of_suffix(path) == "binary" or raw.startswith(SIGNED_MAGIC):
        return
    binaries = [suffix for suffix, name in _SUFFIXES.items() if name == "binary"]
    raise InputError(
        "nothing says that this file is firmware",
        file=str(path),
        key=base_option,
        found=f"{f'the suffix {path.suffix}' if path.suffix else 'no suffix'}, and the bytes of no known format",
        allowed=f"a raw binary named {', '.join(binaries)}, or {base_option} with the address of its first byte",
        hint=f"if these bytes are firmware, say where they begin: {base_option} 0x…",
    )


def _binary(raw: bytes, base: int, path: Path) -> MemoryImage:
    _check_size(len(raw), path)
    container = next((name for magic, name in _CONTAINERS.items() if raw.startswith(magic)), None)
    if container is not None:
        raise InputError(
            "this file is a container, not a memory image",
            file=str(path),
            found=container,
            allowed=", ".join(FORMATS),
            hint="an ELF or VBF file has the suffix .elf or .vbf; unpack the others first",
        )
    if not 0 <= base <= ADDRESS_SPACE_BYTES - len(raw):
        raise InputError(
            "raw binary does not fit at this base address",
            file=str(path),
            found=f"0x{base:X}",
            allowed=f"0 to 0x{ADDRESS_SPACE_BYTES - len(raw):X}",
        )
    return MemoryImage.of([Segment(base, raw)])


def _check_size(size_bytes: int, path: Path) -> None:
    if size_bytes > MAX_IMAGE_BYTES:
        raise InputError(
            "firmware image is too large",
            file=str(path),
            found=f"{size_bytes} bytes",
            allowed=f"up to {MAX_IMAGE_BYTES} bytes",
        )


def _text_firmware(raw: bytes, file_format: str, *, later_wins: bool, lenient: bool) -> Firmware:
    content = read_text(raw, file_format, limit_bytes=MAX_IMAGE_BYTES, later_wins=later_wins, lenient=lenient)
    return Firmware(file_format, content.image, content.start_address, tolerated=content.tolerated)


def _elf_firmware(raw: bytes) -> Firmware:
    elf = read_elf(raw)
    fields = {"class": f"ELF{elf.bits}", "byte_order": elf.byte_order, "machine": elf.machine}
    return Firmware("elf", _of(elf.segments), elf.entry, fields)


def _vbf_firmware(raw: bytes) -> Firmware:
    vbf = read_vbf(raw)
    fields, packing = {"vbf_version": vbf.version} | vbf.fields, vbf.data_format_identifier
    if not packing:
        return Firmware("vbf", _of(vbf.blocks), vbf.call_address, fields, vbf.erase, vbf=vbf)
    if not any(block.data for block in vbf.blocks):
        raise Damaged("it holds no data")
    return Firmware("vbf", MemoryImage(), vbf.call_address, fields, vbf.erase, vbf.blocks, packing, vbf=vbf)


def _odx_firmware(sessions: tuple[FlashSession, ...], name: str | None, path: Path) -> Firmware:
    session = _chosen(sessions, name, path)
    packed = session.packed()
    try:
        image = session.image()
    except Overlap as overlap:
        raise Damaged(f"flash session {session.name}: {overlap}") from None
    if not packed and not image.segments:
        raise Damaged(f"flash session {session.name} holds no data")
    fields = {"ecu_mem": session.ecu_mem, "session": session.name}
    fields |= {"part_number": session.part_number} if session.part_number else {}
    by = next((block.packed_by for block in session.blocks if block.packed_by), None)
    return Firmware("odx", image, fields=fields, packed=packed, packed_by=by, session=session)


def _chosen(sessions: tuple[FlashSession, ...], name: str | None, path: Path) -> FlashSession:
    """Return the session of this name, or the only one."""
    found = [each for each in sessions if name is None or name in (each.name, f"{each.ecu_mem}.{each.name}")]
    if len(found) == 1:
        return found[0]
    names = [each.name for each in sessions]
    shown = ", ".join(each.name if names.count(each.name) == 1 else f"{each.ecu_mem}.{each.name}" for each in sessions)
    raise InputError(
        "this file has several flash sessions: one must be chosen" if name is None else "no such flash session",
        file=str(path),
        key="--session",
        found=name or f"{len(sessions)} sessions",
        allowed=shown,
    )


def _of(segments: tuple[Segment, ...]) -> MemoryImage:
    image = MemoryImage.of(segments)
    if not image.segments:
        raise Damaged("it holds no data")
    return image


_BINARY_READERS: dict[str, Callable[[bytes], Firmware]] = {"elf": _elf_firmware, "vbf": _vbf_firmware}
