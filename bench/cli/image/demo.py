"""`otabench image make`: demonstration software of any size, signed, so that nobody needs real firmware."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.assembly.images import IMAGE_KEY
from bench.cli.image.common import FILE, as_json_option, header_json, hex_address, number, print_json, write_whole
from bench.cli.image.keys import signer
from bench.cli.image.sign import header_texts
from bench.cli.options import debug_only, find
from bench.core.errors import InputError
from bench.images.memory import MemoryImage, Segment
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.images.spoiling import BAD, HARDWARE, OTHER_HARDWARE, RELEASE, spoiled_file
from bench.images.writers import encode_chunks, written_format
from bench.serving.demo_image import ImageTarget, check_size, target_of_ecu, target_of_kind
from bench.wire.image_behaviour import AFTER_MAX_MS, MARKER_BYTES, WELL, Behaviour, ImageBehaviour, marked

BINARY = "binary"
BEHAVIOURS = [kind.name.lower() for kind in Behaviour if kind is not Behaviour.NORMAL]
UNITS = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}
_SIZE = re.compile(r"(0x[0-9A-Fa-f]{1,8}|[0-9]{1,10}) ?(KiB|MiB|GiB|)\Z")


class Wanted(NamedTuple):
    """What is asked for."""

    target: ImageTarget
    size_bytes: int
    version: str
    release_counter: int
    seed: int
    bad: str | None
    behaviour: ImageBehaviour

    @property
    def marks(self) -> tuple[str, ...]:
        """What stands in the file's name beside ECU and version."""
        kind = self.behaviour.kind
        return (
            *(() if kind is Behaviour.NORMAL else (kind.name.lower(),)),
            *((f"bad-{self.bad}",) if self.bad else ()),
        )


@click.command("make")
@click.argument("vehicle", required=False)
@click.argument("ecu", required=False)
@click.option("--personality", metavar="NAME", help="Instead of VEHICLE ECU: a kind of ECU, with its ids as options.")
@click.option("--hardware-id", help="Of the ECU; default: that of VEHICLE's ECU.")
@click.option("--software-id", help="Default: that of VEHICLE's ECU.")
@click.option("--size", "size_text", default="32KiB", show_default=True, help="Bytes, 0x… or decimal; KiB, MiB, GiB.")
@click.option("--version", default="2.0.0", show_default=True, help="1 to 32 ASCII characters.")
@click.option("--release-counter", help="Default: one more than what VEHICLE's ECU runs.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Of the payload.")
@click.option("--bad", type=click.Choice(list(BAD)), help="Make it bad on purpose, in this one way.")
@click.option("--behaviour", type=click.Choice(BEHAVIOURS), help="What it does once it runs; default: it runs well.")
@click.option("--after-ms", type=click.IntRange(0, AFTER_MAX_MS), help="With --behaviour: when; default: at once.")
@click.option("--key", type=FILE, metavar="KEYFILE.pem", help="Your Ed25519 private key; default: --test-key image.")
@click.option("--test-key", metavar="NAME", help="For simulation only: a key that anybody can derive.")
@click.option("-o", "--out", type=FILE, metavar="OUT", help="Default: <ecu>-<version>[-bad-<kind>].bin.")
@as_json_option
@debug_only
def make_demo(
    vehicle: str | None,
    ecu: str | None,
    personality: str | None,
    hardware_id: str | None,
    software_id: str | None,
    size_text: str,
    version: str,
    release_counter: str | None,
    seed: int,
    bad: str | None,
    behaviour: str | None,
    after_ms: int | None,
    key: Path | None,
    test_key: str | None,
    out: Path | None,
    as_json: bool,
) -> int:
    """Make demonstration software for VEHICLE's ECU: random bytes by seed, with a signed header before them.

    The same arguments give the same bytes. OUT as .bin is header and image, signed, as `otabench flash` takes it.
    OUT as .hex, .srec or .txt is the image alone at its addresses, as a linker writes it: `otabench flash` signs it.

    \b
    Examples:
      otabench image make two_ecu_car body --size 64KiB --version 2.0.0 -o body.bin
      otabench flash body=body.bin --dry-run
      otabench image make two_ecu_car body --size 0x8000 --bad signature
      otabench image make two_ecu_car gateway --behaviour crash --after-ms 500
      otabench image make --personality head_unit --hardware-id HU-HW-07 --software-id HU-APP --size 16MiB -o hu.bin
      otabench image make two_ecu_car gateway --size 96KiB -o gateway.hex

    --bad: signature, hash (a bit of the image), hardware (signed for other hardware), release (below what the ECU
    runs), truncated (half of the image is missing). --behaviour: signed and whole, and it crashes or
    hangs once it runs.

    Exit codes: 0 made, 2 wrong usage or input (nothing is written).
    """
    target = _target(vehicle, ecu, personality, hardware_id, software_id)
    size_bytes = _size(size_text, target.limit_bytes)
    does = _behaviour(behaviour, after_ms)
    least_bytes = 1 if does == WELL else MARKER_BYTES
    check_size(target, size_bytes, key="--size", found=size_text, least_bytes=least_bytes)
    wanted = Wanted(target, size_bytes, version, _release(target, release_counter, bad), seed, bad, does)
    file = out or Path(f"{'-'.join((target.name, version, *wanted.marks))}.bin")
    chosen = written_format(file, hint="name OUT with one of these suffixes, for example x.bin")
    private, warning = _key(key, test_key)
    if chosen == BINARY:
        image = _signed(wanted, private)
        write_whole(file, (spoiled_file(image, bad),), option="--out")
    else:
        _refuse_signing(file, bad, key, test_key)
        image, warning = None, None
        segment = Segment(target.load_address, _payload(wanted))
        write_whole(file, encode_chunks(MemoryImage.of((segment,)), chosen), option="--out")
    _tell(file, chosen, wanted, image, private, as_json=as_json)
    if warning is not None:
        click.echo(warning, err=True)
    return 0


def _target(
    vehicle: str | None, ecu: str | None, personality: str | None, hardware_id: str | None, software_id: str | None
) -> ImageTarget:
    if (personality is None) == (vehicle is None or ecu is None) or (personality is not None and vehicle is not None):
        raise InputError(
            "for which ECU?", key="VEHICLE ECU", found=" ".join(filter(None, (vehicle, ecu, personality))) or "nothing",
            allowed="VEHICLE ECU, or --personality NAME with --hardware-id and --software-id",
            hint="otabench ecu --list shows vehicles, ECUs and personalities",
        )  # fmt: skip
    if personality is None:
        known = target_of_ecu(find("vehicles", str(vehicle)), str(ecu))
        ids = header_texts({"hardware_id": hardware_id or known.hardware_id,
                            "software_id": software_id or known.software_id})  # fmt: skip
        return _with_ids(known, ids)
    for name, value in (("--hardware-id", hardware_id), ("--software-id", software_id)):
        if value is None:
            raise InputError(f"a kind of ECU has no {name[2:]} of its own", key=name, found="none", allowed="a text")
    ids = header_texts({"hardware_id": str(hardware_id), "software_id": str(software_id)})
    return target_of_kind(find("ecus", personality), ids["hardware_id"], ids["software_id"])


def _with_ids(target: ImageTarget, ids: dict[str, str]) -> ImageTarget:
    return replace(target, hardware_id=ids["hardware_id"], software_id=ids["software_id"])


def _size(text: str, limit_bytes: int) -> int:
    found = _SIZE.match(text)
    if not found:
        raise InputError(
            "--size is no size", key="--size", found=text,
            allowed=f"1 to {limit_bytes} bytes, as 65536, 0x10000, 64KiB, 1MiB",
            hint="bytes as 0x… or decimal, or a whole number of KiB, MiB or GiB",
        )  # fmt: skip
    return int(found[1], 0) * UNITS[found[2]]


def _behaviour(kind: str | None, after_ms: int | None) -> ImageBehaviour:
    if kind is None and after_ms is not None:
        raise InputError(
            "--after-ms without --behaviour", key="--after-ms", found=after_ms, allowed="--behaviour crash or hang"
        )
    return WELL if kind is None else ImageBehaviour(Behaviour[kind.upper()], after_ms or 0)


def _release(target: ImageTarget, text: str | None, bad: str | None) -> int:
    """Return the release counter; one that is bad on purpose lies below what the ECU runs."""
    if bad != RELEASE:
        return target.installed_release + 1 if text is None else number("--release-counter", text)
    if text is None and target.installed_release:
        return target.installed_release - 1
    counter = -1 if text is None else number("--release-counter", text)
    if not 0 <= counter < target.installed_release:
        raise InputError(
            f"--bad release needs a release counter below what {target.name} runs", key="--release-counter",
            found="none" if text is None else text, allowed=f"below {target.installed_release}",
        )  # fmt: skip
    return counter


def _key(key: Path | None, test_key: str | None) -> tuple[Ed25519PrivateKey, str | None]:
    """Return the private key, and the warning that belongs to a test key."""
    if key is not None:
        return signer(key, test_key), None
    name = test_key or IMAGE_KEY
    return signer(None, name), (
        f"signed with the test key {name}: for simulation only, anybody can derive it; `otabench image info` checks it "
        f"with --test-key {name}"
    )


def _refuse_signing(file: Path, bad: str | None, key: Path | None, test_key: str | None) -> None:
    """`InputError` for what needs a header, in a format that has none."""
    for name, given in (("--bad", bad), ("--key", key), ("--test-key", test_key)):
        if given is not None:
            raise InputError(
                f"{name} is for signed images, and a {file.suffix} file has no signed header", file=str(file), key=name,
                found=str(given), allowed="OUT with the suffix .bin",
                hint=f"leave out {name}, or name OUT {file.stem}.bin",
            )  # fmt: skip


def _payload(wanted: Wanted) -> bytes:
    payload = demo_payload(wanted.seed, wanted.target.name, wanted.version, wanted.size_bytes)
    return payload if wanted.behaviour == WELL else marked(payload, wanted.behaviour)


def _signed(wanted: Wanted, private: Ed25519PrivateKey) -> SignedImage:
    target = wanted.target
    header_texts({"version": wanted.version})
    return sign_image(
        _payload(wanted), hardware_id=OTHER_HARDWARE if wanted.bad == HARDWARE else target.hardware_id,
        software_id=target.software_id, version=wanted.version, release_counter=wanted.release_counter,
        load_address=target.load_address, key=private,
    )  # fmt: skip


def _tell(
    file: Path, chosen: str, wanted: Wanted, image: SignedImage | None, private: Ed25519PrivateKey, *, as_json: bool
) -> None:
    if as_json:
        values: dict[str, Any] = {
            "file": str(file), "format": chosen, "size_bytes": wanted.size_bytes, "seed": wanted.seed,
            "bad": wanted.bad, "behaviour": wanted.behaviour.kind.name.lower(),
            "after_ms": wanted.behaviour.after_ms, "load_address": wanted.target.load_address,
            "signed": None if image is None else header_json(image.header),
            "public_key": None if image is None else private.public_key().public_bytes_raw().hex(),
        }  # fmt: skip
        print_json(values)
        return
    what = f"image of {wanted.size_bytes} bytes at {hex_address(wanted.target.load_address)}"
    if image is None:
        click.echo(f"{file}: {chosen}, {what}, not signed")
        more = f" --version {wanted.version} --release-counter {wanted.release_counter}"
    else:
        ids = f"{image.header.hardware_id}, {image.header.software_id} {wanted.version}"
        click.echo(f"{file}: signed {what} for {ids}, release counter {wanted.release_counter}")
        more = ""
    if wanted.behaviour != WELL:
        does = wanted.behaviour
        click.echo(f"BAD ON PURPOSE ({does.kind.name.lower()}): it does so {does.after_ms} ms after it was started")
    if wanted.bad is not None:
        click.echo(f"BAD ON PURPOSE ({wanted.bad}): {BAD[wanted.bad]}")
    click.echo(f"flash it: otabench flash {wanted.target.name}={file}{more}")
