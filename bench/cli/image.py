"""`otabench image`: look at firmware files, convert, compare and sign them."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench import __version__
from bench.cli.options import debug_only
from bench.cli.signing_key import private_key
from bench.core.errors import InputError
from bench.images.differences import Difference, differences
from bench.images.memory import ERASED, AddressRange, MemoryImage
from bench.images.readers import Firmware, read_firmware
from bench.images.signing import SignedImage, sign_image
from bench.images.writers import WRITTEN_FORMATS, encode_image, filled, written_format
from bench.trust.keys import signing_key
from bench.wire.image_header import HEADER_BYTES, MAGIC, HeaderError, ImageHeader

SHOWN_RANGES = 20
Fitted = tuple[MemoryImage, tuple[AddressRange, ...]]
FILE = click.Path(path_type=Path)
as_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else.")
base_option = click.option("--base", default="0", show_default=True, help="Address of a binary file, 0x… or decimal.")


@click.group()
def image() -> None:
    """Look at firmware files, convert, compare and sign them.

    Read: Intel HEX, S-records, TI-TXT, ELF, VBF, raw binary, told by suffix or first bytes.

    \b
    Examples:
      otabench image info firmware.elf
      otabench image convert firmware.elf firmware.hex
      otabench image diff old.hex new.hex
      otabench image sign --help
    """


@image.command()
@click.argument("file", type=FILE)
@base_option
@as_json_option
@debug_only
def info(file: Path, base: str, as_json: bool) -> int:
    """Show format, segments, start address and header of FILE.

    \b
    Examples:
      otabench image info firmware.hex
      otabench image info body.vbf --json

    Exit codes: 0 shown, 2 the file is missing or damaged (line or offset is named).
    """
    firmware = read_firmware(file, binary_base=_number("--base", base))
    found = _described(file, firmware)
    if as_json:
        _print_json(found)
        return 0
    rows = [("file", str(file)), ("format", firmware.file_format), ("size", f"{firmware.image.size_bytes} bytes")]
    rows += [("start", _hex(firmware.start_address))] if firmware.start_address is not None else []
    rows += [("segment", str(each)) for each in firmware.image.ranges]
    rows += [("erase", str(each)) for each in firmware.erase]
    rows += [(name, value) for name, value in firmware.fields.items() if name != "erase"]
    rows += [(f"signed {name}", str(value)) for name, value in (found["signed"] or {}).items()]
    _print_rows(rows)
    return 0


@image.command()
@click.argument("source", metavar="IN", type=FILE)
@click.argument("target", metavar="OUT", type=FILE)
@click.option("--to", type=click.Choice(WRITTEN_FORMATS), help="Format of OUT; by default its suffix tells.")
@click.option("--crop", metavar="START-END", help="Keep these addresses alone, END not included.")
@click.option("--fill", metavar="BYTE", help="Fill gaps, with --crop all of START-END; 0xFF is erased flash.")
@base_option
@as_json_option
@debug_only
def convert(
    source: Path, target: Path, to: str | None, crop: str | None, fill: str | None, base: str, as_json: bool
) -> int:
    """Write the firmware of IN as OUT: .hex, .srec, .txt (TI-TXT) or .bin.

    Intel HEX and S-records keep the start address. An existing OUT is replaced, whole or not at all.

    \b
    Examples:
      otabench image convert firmware.elf firmware.hex
      otabench image convert firmware.hex app.bin --crop 0x8000-0x40000 --fill 0xFF
      otabench image convert app.bin app.srec --base 0x8000

    Exit codes: 0 written, 2 wrong usage or input (nothing is written).
    """
    chosen = to or written_format(target)
    firmware = read_firmware(source, binary_base=_number("--base", base))
    region = _region(crop) if crop else None
    chosen_image, left_out = _fitted(firmware.image, region, fill, source)
    if chosen == "binary" and len(chosen_image.segments) > 1:
        raise InputError(
            "a binary has no addresses, and this image has gaps",
            file=str(source),
            found=_listed(chosen_image.ranges),
            allowed="one segment",
            hint="fill the gaps with --fill 0xFF, or choose one segment with --crop START-END",
        )
    _write(target, encode_image(chosen_image, chosen, start_address=firmware.start_address))
    written = Firmware(chosen, chosen_image, firmware.start_address if chosen in ("ihex", "srec") else None)
    if as_json:
        _print_json(_described(target, written) | {"left_out": [_range(each) for each in left_out]})
    else:
        click.echo(f"{target}: {chosen}, {_listed(chosen_image.ranges)}")
        if left_out:
            click.echo(f"left out: {_listed(left_out)}")
    return 0


@image.command()
@click.argument("a", type=FILE)
@click.argument("b", type=FILE)
@base_option
@as_json_option
@debug_only
def diff(a: Path, b: Path, base: str, as_json: bool) -> int:
    """Compare the memory that A and B describe, whatever their formats.

    Bytes and addresses count; start addresses, record lengths and texts do not.

    \b
    Examples:
      otabench image diff firmware.elf firmware.hex
      otabench image diff old.hex new.hex --json

    Exit codes: 0 the same, 1 different, 2 a file is missing or damaged.
    """
    binary_base = _number("--base", base)
    images = [read_firmware(file, binary_base=binary_base).image for file in (a, b)]
    found = differences(*images)
    if as_json:
        _print_json(
            {
                "a": str(a),
                "b": str(b),
                "equal": not found,
                "different_bytes": sum(each.range.size_bytes for each in found),
                "first": _first(found[0]) if found else None,
                "ranges": [_range(each.range) | {"kind": str(each.kind)} for each in found],
            }
        )
    else:
        _print_differences(found, images[0].size_bytes)
    return 1 if found else 0


@image.command()
@click.argument("file", type=FILE)
@click.option("--hardware-id", required=True, help="Of the ECU the image is for; 1 to 32 ASCII characters.")
@click.option("--software-id", required=True, help="1 to 32 ASCII characters.")
@click.option("--version", required=True, help="1 to 32 ASCII characters.")
@click.option("--release-counter", required=True, help="0 to 0xFFFFFFFF; an ECU refuses what is below its own.")
@click.option("--load-address", help="First address of the signed image, 0x… or decimal; default: the file's first.")
@click.option("--key", type=FILE, metavar="KEYFILE.pem", help="Your Ed25519 private key, PEM without passphrase.")
@click.option(
    "--test-key", metavar="NAME", help="Instead of --key, for simulation only: a key that anybody can derive (image)."
)
@click.option("-o", "--output", "target", required=True, type=FILE, metavar="OUT", help="The signed image.")
@as_json_option
@debug_only
def sign(
    file: Path,
    load_address: str | None,
    key: Path | None,
    test_key: str | None,
    target: Path,
    as_json: bool,
    **ids: str,
) -> int:
    """Put a signed header of 256 bytes before the image of FILE; gaps are filled with 0xFF.

    Test keys are derived from their names: they protect nothing, and must not sign for a real vehicle. The simulated
    ECUs accept --test-key image.

    \b
    Examples:
      openssl genpkey -algorithm ed25519 -out key.pem
      otabench image sign app.hex --hardware-id BCM-HW-03 --software-id BCM-APP --version 1.2.0 \\
          --release-counter 3 --key key.pem -o app.signed.bin
      otabench image sign app.hex --hardware-id BCM-HW-03 --software-id BCM-APP --version 1.2.0 \\
          --release-counter 3 --test-key image -o app.signed.bin

    Exit codes: 0 signed, 2 wrong usage or input (nothing is written).
    """
    signer = _signer(key, test_key)
    counter = _number("--release-counter", ids["release_counter"])
    address = None if load_address is None else _number("--load-address", load_address)
    source = read_firmware(file, binary_base=address or 0).image
    first = source.segments[0].address if address is None else address
    if first > source.segments[0].address:
        raise InputError(
            "the image begins before --load-address",
            file=str(file),
            key="--load-address",
            found=_listed(source.ranges),
            allowed=f"up to {_hex(source.segments[0].address)}",
            hint="cut it first: otabench image convert --crop START-END",
        )
    whole = filled(source, ERASED, AddressRange(first, source.ranges[-1].end), file=str(file))
    signed = _signed(whole.segments[0].data, first, counter, ids, signer)
    _write(target, signed.file)
    if as_json:
        public = signer.public_key().public_bytes_raw().hex()
        _print_json({"file": str(target), "signed": _header(signed.header), "public_key": public})
    else:
        click.echo(f"{target}: header of {HEADER_BYTES} bytes, image of {len(signed.data)} bytes at {_hex(first)}")
        if test_key is not None:
            click.echo(f"signed with the test key {test_key}: for simulation only", err=True)
    return 0


def _signed(data: bytes, address: int, counter: int, ids: dict[str, str], signer: Ed25519PrivateKey) -> SignedImage:
    texts = {name: ids[name] for name in ("hardware_id", "software_id", "version")}
    for name, text in texts.items():
        if not (0 < len(text) <= 32 and text.isascii() and text.isprintable()):
            option = f"--{name.replace('_', '-')}"
            allowed = "1 to 32 printable ASCII characters"
            raise InputError(f"{option} does not fit the header", key=option, found=repr(text), allowed=allowed)
    return sign_image(data, **texts, release_counter=counter, load_address=address, key=signer)


def _signer(key: Path | None, test_key: str | None) -> Ed25519PrivateKey:
    if (key is None) == (test_key is None):
        raise InputError(
            "one key is needed",
            key="--key",
            found="none" if key is None else "both --key and --test-key",
            allowed="--key KEYFILE.pem, or --test-key NAME in simulation",
            hint="make a key with: openssl genpkey -algorithm ed25519 -out key.pem",
        )
    if key is None:
        return signing_key(str(test_key))
    return private_key(key)


def _fitted(source: MemoryImage, region: AddressRange | None, fill: str | None, file: Path) -> Fitted:
    """Crop and fill; returns the image and what was left out."""
    value = None if fill is None else _number("--fill", fill, limit=0xFF)
    chosen, left_out = (source, ()) if region is None else source.crop(region)
    if not chosen.segments:
        raise InputError(
            "nothing of the image lies in this range",
            file=str(file),
            key="--crop",
            found=str(region),
            allowed=_listed(source.ranges),
        )
    return (chosen if value is None else filled(chosen, value, region, file=str(file))), left_out


def _region(text: str) -> AddressRange:
    start, _, end = text.partition("-")
    try:
        region = AddressRange(int(start, 0), int(end, 0))
    except ValueError:
        region = AddressRange(0, 0)
    if not 0 <= region.start < region.end <= 1 << 32:
        allowed = "START-END with START below END, 0 to 0x100000000, as 0x8000-0x40000"
        raise InputError("--crop is no range of addresses", key="--crop", found=text, allowed=allowed)
    return region


def _number(option: str, text: str, *, limit: int = 0xFFFF_FFFF) -> int:
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= limit:
        allowed = f"0 to 0x{limit:X}, as 0x… or decimal"
        raise InputError(f"{option} is no such number", key=option, found=text, allowed=allowed)
    return value


def _write(path: Path, data: bytes) -> None:
    """Write the file whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(data)
        os.replace(part, path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise InputError(f"the file cannot be written: {error.strerror}", file=str(path)) from None


def _described(file: Path, firmware: Firmware) -> dict[str, Any]:
    return {
        "file": str(file),
        "format": firmware.file_format,
        "size_bytes": firmware.image.size_bytes,
        "start_address": firmware.start_address,
        "segments": [
            _range(each.range) | {"sha256": hashlib.sha256(each.data).hexdigest()} for each in firmware.image.segments
        ],
        "erase": [_range(each) for each in firmware.erase],
        "fields": firmware.fields,
        "signed": _signed_header(firmware),
    }


def _signed_header(firmware: Firmware) -> dict[str, Any] | None:
    """Return the header that `sign` put before the image, and whether length and hash are those of the image."""
    data = firmware.image.segments[0].data
    if firmware.file_format != "binary" or not data.startswith(MAGIC):
        return None
    try:
        header = ImageHeader.decode(data[:HEADER_BYTES])
    except HeaderError:
        return None
    return _header(header) | {"whole": header.fits(data[HEADER_BYTES:])}


def _header(header: ImageHeader) -> dict[str, Any]:
    names = ("hardware_id", "software_id", "version", "release_counter", "load_address", "length")
    return {name: getattr(header, name) for name in names} | {"sha256": header.sha256.hex()}


def _first(difference: Difference) -> dict[str, int | None]:
    return {"address": difference.range.start, "a": difference.a, "b": difference.b}


def _range(each: AddressRange) -> dict[str, int | str]:
    return {"start": each.start, "end": each.end, "size_bytes": each.size_bytes}


def _print_differences(found: tuple[Difference, ...], size_bytes: int) -> None:
    if not found:
        click.echo(f"the same {size_bytes} bytes at the same addresses")
        return
    first = found[0]
    a, b = ("nothing" if value is None else f"0x{value:02X}" for value in (first.a, first.b))
    rows = [("first", f"{_hex(first.range.start)}: A has {a}, B has {b}")]
    rows += [(str(each.kind).replace("_", " "), str(each.range)) for each in found[:SHOWN_RANGES]]
    rows += [("more", f"{len(found) - SHOWN_RANGES} ranges")] if len(found) > SHOWN_RANGES else []
    _print_rows(rows)


def _print_rows(rows: list[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"{name:<{width}}  {value}")


def _print_json(values: dict[str, Any]) -> None:
    tool = {"version": __version__, "python": platform.python_version()}
    click.echo(json.dumps({"schema": 1, "tool": tool} | values, indent=2))


def _listed(ranges: tuple[AddressRange, ...]) -> str:
    shown = ", ".join(str(each) for each in ranges[:4])
    return f"{shown} and {len(ranges) - 4} more" if len(ranges) > 4 else shown


def _hex(address: int) -> str:
    return f"0x{address:08X}"
