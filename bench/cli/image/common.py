"""What the `image` commands share: options, numbers and ranges as users write them, how an image is shown."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import click

from bench import __version__
from bench.core.errors import NO_ROOM, InputError, unwritable
from bench.images.firmware import Firmware
from bench.images.memory import AddressRange, Segment
from bench.images.text_files import LENIENT
from bench.wire.image_header import HEADER_BYTES, MAGIC, HeaderError, ImageHeader

SHOWN_RANGES = 20
FILE = click.Path(path_type=Path)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
lenient_option = click.option(
    LENIENT, is_flag=True, help="Leave out (and count) what a text file has behind its end record."
)
session_option = click.option("--session", metavar="NAME", help="Which flash session of an ODX-F or PDX file.")


def number(option: str, text: str, *, limit: int = 0xFFFF_FFFF) -> int:
    """Read 0x… or decimal, 0 to `limit`; `InputError` names the option."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= limit:
        allowed = f"0 to 0x{limit:X}, as 0x… or decimal"
        raise InputError(f"{option} is no such number", key=option, found=text, allowed=allowed)
    return value


def address_range(option: str, text: str) -> AddressRange:
    """Read START-END, END not included; `InputError` names the option."""
    start, _, end = text.partition("-")
    try:
        region = AddressRange(int(start, 0), int(end, 0))
    except ValueError:
        region = AddressRange(0, 0)
    if not 0 <= region.start < region.end <= 1 << 32:
        allowed = "START-END with START below END, 0 to 0x100000000, as 0x8000-0x40000"
        raise InputError(f"{option} is no range of addresses", key=option, found=text, allowed=allowed)
    return region


def write_whole(path: Path, chunks: Iterable[bytes], *, option: str | None = None) -> None:
    """Write the file whole or not at all; `option` is the one that named it. InputError when it cannot be written."""
    part = path.with_name(f".{path.name}.part")
    try:
        with part.open("wb") as out:
            out.writelines(chunks)
        os.replace(part, path)
    except OSError as error:
        if path.parent.is_dir():
            part.unlink(missing_ok=True)
        if error.errno in NO_ROOM:
            raise unwritable("the file", str(path), error, key=option, hint="name a file in another folder") from None
        raise InputError(
            f"the file cannot be written: {error.strerror}", file=str(path), key=option, found=_obstacle(path, error),
            allowed="a file in a folder that exists and may be written to",
            hint="name another file, or make the folder",
        ) from None  # fmt: skip


def _obstacle(path: Path, error: OSError) -> str:
    """Return what stands in the way of writing a file."""
    if path.is_dir():
        return f"{path} is a folder"
    if not path.parent.is_dir():
        return f"no folder {path.parent}"
    return str(error.strerror)


def described(file: Path, firmware: Firmware) -> dict[str, Any]:
    """Return what `info` and those that write an image say about it."""
    return {
        "file": str(file),
        "format": firmware.file_format,
        "size_bytes": firmware.size_bytes,
        "start_address": firmware.start_address,
        "segments": [range_json(each.range) | _sha256(each) for each in firmware.image.segments],
        "erase": [range_json(each) for each in firmware.erase],
        "fields": firmware.fields,
        "data_format_identifier": firmware.data_format_identifier,
        "packed_by": firmware.packed_by,
        "packed": [{"address": each.address, "size_bytes": len(each.data)} | _sha256(each) for each in firmware.packed],
        "signed": _signed_header(firmware),
        "tolerated": list(firmware.tolerated),
    }


def signed_header(firmware: Firmware) -> ImageHeader | None:
    """Return the header that `sign` put before the image."""
    if firmware.file_format != "binary" or not firmware.image.segments[0].data.startswith(MAGIC):
        return None
    try:
        return ImageHeader.decode(firmware.image.segments[0].data[:HEADER_BYTES])
    except HeaderError:
        return None


def _signed_header(firmware: Firmware) -> dict[str, Any] | None:
    """Return the header, and whether length and hash are those of the image."""
    header = signed_header(firmware)
    if header is None:
        return None
    return header_json(header) | {"whole": header.fits(firmware.image.segments[0].data[HEADER_BYTES:])}


def header_json(header: ImageHeader) -> dict[str, Any]:
    """Return the header's fields."""
    names = ("hardware_id", "software_id", "version", "release_counter", "load_address", "length")
    return {name: getattr(header, name) for name in names} | {"sha256": header.sha256.hex()}


def _sha256(segment: Segment) -> dict[str, str]:
    return {"sha256": hashlib.sha256(segment.data).hexdigest()}


def range_json(each: AddressRange) -> dict[str, int | str]:
    """Return RANGE of docs/contracts.md."""
    return {"start": each.start, "end": each.end, "size_bytes": each.size_bytes}


class Read(Protocol):
    """What was read of a file."""

    @property
    def tolerated(self) -> tuple[str, ...]:
        """Return what a lenient reader left out, a sentence each."""


def tell_tolerated(firmwares: Iterable[Read]) -> None:
    """Say on standard error what a lenient reader left out."""
    for firmware in firmwares:
        for sentence in firmware.tolerated:
            click.echo(f"tolerated: {sentence}", err=True)


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Print names and values in two columns."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def print_json(values: dict[str, Any]) -> None:
    """Print one JSON object with `schema` and `tool`."""
    tool = {"version": __version__, "python": platform.python_version()}
    click.echo(json.dumps({"schema": 1, "tool": tool} | values, indent=2))


def listed(ranges: tuple[AddressRange, ...]) -> str:
    """Return the first ranges as text."""
    shown = ", ".join(str(each) for each in ranges[:4])
    return f"{shown} and {len(ranges) - 4} more" if len(ranges) > 4 else shown


def hex_address(address: int) -> str:
    """Return eight hexadecimal digits."""
    return f"0x{address:08X}"
