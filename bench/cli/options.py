"""Options that several commands share, and how names become files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.config import data_root
from bench.core.errors import InputError
from bench.evidence.places import DEFAULT_OUT

NOUNS = {"scenarios": "scenario", "benches": "bench", "vehicles": "vehicle", "ecus": "personality", "recipes": "recipe"}
Command = TypeVar("Command", bound=Callable[..., Any])


def common(command: Command) -> Command:
    """Add --debug, --json, --out and --seed."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout."),
        click.option(
            "--out", type=click.Path(path_type=Path), default=DEFAULT_OUT, show_default=True, help="Where files go."
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Of all random bytes."
        ),
    ):
        command = option(command)
    return command


base_option = click.option(
    "--base",
    metavar="ADDRESS",
    help="Where a binary file begins, 0x… or decimal. Without it only .bin, .img and .raw are binaries, from 0 on.",
)


def debug_only(command: Command) -> Command:
    """Add --debug."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")(command)


def find(kind: str, name: str) -> Path:
    """Return the file that the user means: a path, or the name of a built-in one."""
    path = Path(name)
    if path.suffix == ".toml" or "/" in name or path.exists():
        if path.is_dir():
            raise InputError(
                f"{NOUNS[kind]} is a folder, not a file",
                file=name,
                found="a folder",
                allowed=_built_in(kind),
                hint="name a file in it, or a built-in one",
            )
        if not path.is_file():
            raise InputError(
                f"{NOUNS[kind]} file does not exist",
                file=name,
                found="no such file",
                allowed=_built_in(kind),
                hint="check the path, or give the name of a built-in one",
            )
        return path
    built_in = data_root() / kind / f"{name}.toml"
    if not built_in.is_file():
        raise InputError(
            f"no such {NOUNS[kind]}",
            found=name,
            allowed=_built_in(kind),
            hint="give a built-in name or the path of a file",
        )
    return built_in


def _built_in(kind: str) -> str:
    names = sorted(path.stem for path in (data_root() / kind).glob("*.toml"))
    return f"a file, or one of the built-in {', '.join(names)}"


def image_options(pairs: tuple[str, ...]) -> dict[str, Path]:
    """Read `ECU=FILE` options."""
    images: dict[str, Path] = {}
    for pair in pairs:
        ecu, separator, file = pair.partition("=")
        if not separator or not ecu or not file:
            raise InputError(
                "--image is not ECU=FILE", key="--image", found=pair, allowed="for example body=firmware.hex"
            )
        if ecu in images:
            raise InputError("--image names an ECU twice", key="--image", found=ecu, allowed="one file per ECU")
        images[ecu] = Path(file)
    return images


def firmware_options(pairs: tuple[str, ...], crop: bool, base: str | None) -> dict[str, Path]:
    """Read `ECU=FILE` options; `--crop` and `--base` say how firmware is read, and are refused without any."""
    idle = [text for text, given in (("--crop", crop), (f"--base {base}", base is not None)) if given]
    if idle and not pairs:
        raise InputError(
            f"{' and '.join(text.split()[0] for text in idle)} without --image",
            key="--image",
            found=" ".join(idle),
            allowed="--crop and --base beside --image ECU=FILE",
            hint="name the firmware with --image ECU=FILE, or leave them out",
        )
    return image_options(pairs)


def address_option(text: str | None) -> int | None:
    """Read `--base`; None where it was not given: then only a file whose suffix says so is read as a binary."""
    if text is None:
        return None
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value < 2**32:
        raise InputError(
            "--base is no address",
            key="--base",
            found=text,
            allowed="0 to 0xFFFFFFFF, as 0x… or decimal",
            hint="give the address of the first byte of the binary file",
        )
    return value
