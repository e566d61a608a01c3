"""`otabench image convert` and `merge`: write an image in another format, or several as one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from bench.cli.image.common import (
    FILE,
    address_range,
    as_json_option,
    described,
    hex_address,
    lenient_option,
    listed,
    number,
    print_json,
    range_json,
    session_option,
    tell_tolerated,
    write_whole,
)
from bench.cli.options import address_option, base_option, debug_only
from bench.core.errors import InputError
from bench.images.firmware import Firmware
from bench.images.memory import ERASED, AddressRange, MemoryImage, Overlap
from bench.images.readers import plain_image, read_firmware
from bench.images.shaping import aligned, check_within, filled, merged
from bench.images.writers import WRITTEN_FORMATS, encode_chunks, written_format

Command = TypeVar("Command", bound=Callable[..., Any])
MAX_UNIT_BYTES = 1 << 16


class Shape(NamedTuple):
    """What is done to an image before it is written."""

    crop: str | None
    fill: str | None
    align: str | None
    within: tuple[str, ...]


def shaping(command: Command) -> Command:
    """Add what convert and merge share: how the image is read, shaped and written."""
    for option in (
        debug_only,
        as_json_option,
        lenient_option,
        click.option("--later-wins", is_flag=True, help="Where an address is given twice, take the later byte."),
        base_option,
        click.option("--within", metavar="NAME=START-END", multiple=True, help="Refuse data outside; may be repeated."),
        click.option("--align", metavar="N", help="Fill each segment up to whole program units of N bytes."),
        click.option("--fill", metavar="BYTE", help="Fill gaps, with --crop all of START-END; 0xFF is erased flash."),
        click.option("--crop", metavar="START-END", help="Keep these addresses alone, END not included."),
        click.option("--to", type=click.Choice(WRITTEN_FORMATS), help="Format of OUT; by default its suffix tells."),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("source", metavar="IN", type=FILE)
@click.argument("target", metavar="OUT", type=FILE)
@session_option
@click.option("--packed", is_flag=True, help="Write compressed or encrypted blocks as they are, at their addresses.")
@shaping
def convert(
    source: Path,
    target: Path,
    to: str | None,
    base: str | None,
    session: str | None,
    packed: bool,
    later_wins: bool,
    lenient: bool,
    as_json: bool,
    **shape: Any,
) -> int:
    """Write the firmware of IN as OUT: .hex, .srec, .txt (TI-TXT) or .bin.

    Intel HEX and S-records keep the start address. An address that IN gives twice is refused, unless --later-wins.
    An existing OUT is replaced, whole or not at all.

    \b
    Examples:
      otabench image convert firmware.elf firmware.hex
      otabench image convert firmware.hex app.bin --crop 0x8000-0x40000 --fill 0xFF
      otabench image convert app.bin app.srec --base 0x8000
      otabench image convert app.hex app.srec --align 256 --within flash=0x8000-0x40000

    Exit codes: 0 written, 2 wrong usage or input (nothing is written).
    """
    chosen = to or written_format(target)
    at = address_option(base)
    firmware = read_firmware(source, binary_base=at, session=session, later_wins=later_wins, lenient=lenient)
    image = _as_they_are(firmware, source) if packed and firmware.packed else plain_image(firmware, source)
    _finish(image, firmware.start_address, Shape(**shape), str(source), (target, chosen), as_json)
    tell_tolerated((firmware,))
    return 0


def _as_they_are(firmware: Firmware, source: Path) -> MemoryImage:
    """Return packed blocks as the file has them; `InputError` when they are longer than the way to the next."""
    try:
        return MemoryImage.of((*firmware.image.segments, *firmware.packed))
    except Overlap as overlap:
        raise InputError(
            "the packed blocks do not fit one behind the other at their addresses",
            file=str(source),
            key="--packed",
            found=str(overlap),
            allowed="blocks that are shorter than the way to the next one's address",
        ) from None


@click.command()
@click.argument("sources", metavar="A B ...", nargs=-1, required=True)
@click.option("-o", "--output", "target", required=True, type=FILE, metavar="OUT", help="The merged image.")
@shaping
def merge(
    sources: tuple[str, ...],
    target: Path,
    later_wins: bool,
    lenient: bool,
    to: str | None,
    base: str | None,
    as_json: bool,
    **shape: Any,
) -> int:
    """Write the firmware of A, B, … as one image, OUT.

    Files that claim one address are refused, unless --later-wins. A binary may carry its address: app.bin@0x8000.
    OUT has the start address of the first file that names one.

    \b
    Examples:
      otabench image merge boot.hex app.hex -o all.hex
      otabench image merge boot.bin@0 app.bin@0x8000 -o all.bin --fill 0xFF
      otabench image merge app.hex patch.hex -o patched.hex --later-wins

    Exit codes: 0 written, 2 wrong usage or input (nothing is written).
    """
    chosen = to or written_format(target)
    named = [_file_and_base(text, address_option(base)) for text in sources]
    read = [(path, read_firmware(path, binary_base=at, later_wins=later_wins, lenient=lenient)) for path, at in named]
    image = merged([(str(path), plain_image(each, path)) for path, each in read], later_wins=later_wins)
    start = next((each.start_address for _path, each in read if each.start_address is not None), None)
    _finish(image, start, Shape(**shape), ", ".join(sources), (target, chosen), as_json)
    tell_tolerated(each for _path, each in read)
    return 0


def _file_and_base(text: str, base: int | None) -> tuple[Path, int | None]:
    """Split `app.bin@0x8000`, unless a file has that very name."""
    name, at, address = text.rpartition("@")
    if not at or Path(text).exists():
        return Path(text), base
    return Path(name), number(f"the address after {name}@", address)


def _finish(
    image: MemoryImage,
    start: int | None,
    shape: Shape,
    file: str,
    out: tuple[Path, str],
    as_json: bool,
) -> None:
    """Shape the image, write it and say what was written."""
    target, chosen = out
    fitted, left_out = _shaped(image, shape, file)
    if chosen == "binary" and len(fitted.segments) > 1:
        raise InputError(
            "a binary has no addresses, and this image has gaps",
            file=file,
            found=listed(fitted.ranges),
            allowed="one segment",
            hint="fill the gaps with --fill 0xFF, or choose one segment with --crop START-END",
        )
    write_whole(target, encode_chunks(fitted, chosen, start_address=start))
    written = Firmware(chosen, fitted, start if chosen in ("ihex", "srec") else None)
    if as_json:
        print_json(described(target, written) | {"left_out": [range_json(each) for each in left_out]})
        return
    click.echo(f"{target}: {chosen}, {listed(fitted.ranges)}")
    if written.start_address is not None:
        click.echo(f"start address: {hex_address(written.start_address)}")
    if left_out:
        click.echo(f"left out: {listed(left_out)}")


def _shaped(image: MemoryImage, shape: Shape, file: str) -> tuple[MemoryImage, tuple[AddressRange, ...]]:
    """Crop, fill, align and check; returns the image and what was left out."""
    value = None if shape.fill is None else number("--fill", shape.fill, limit=0xFF)
    region = address_range("--crop", shape.crop) if shape.crop else None
    unit_bytes = None if shape.align is None else _unit(shape.align)
    named = [_named_range(each) for each in shape.within]
    chosen, left_out = (image, ()) if region is None else image.crop(region)
    if not chosen.segments:
        raise InputError(
            "nothing of the image lies in this range",
            file=file,
            key="--crop",
            found=str(region),
            allowed=listed(image.ranges),
        )
    if value is not None:
        chosen = filled(chosen, value, region, file=file)
    if unit_bytes is not None:
        chosen = aligned(chosen, unit_bytes, ERASED if value is None else value, file=file)
    check_within(chosen, named, file=file)
    return chosen, left_out


def _unit(text: str) -> int:
    unit = number("--align", text, limit=MAX_UNIT_BYTES)
    if unit & (unit - 1) or not unit:
        allowed = f"a power of two, 1 to {MAX_UNIT_BYTES}"
        raise InputError("--align is no size of a program unit", key="--align", found=text, allowed=allowed)
    return unit


def _named_range(text: str) -> tuple[str, AddressRange]:
    name, separator, given = text.partition("=")
    if not separator or not name:
        allowed = "NAME=START-END, as flash=0x8000-0x40000"
        raise InputError("--within is not NAME=START-END", key="--within", found=text, allowed=allowed)
    return name, address_range("--within", given)
