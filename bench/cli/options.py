"""Options that several commands share, and how names become files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bench.config import data_root
from bench.core.errors import InputError

NOUNS = {"scenarios": "scenario", "benches": "bench", "vehicles": "vehicle"}
Command = TypeVar("Command", bound=Callable[..., Any])


def common(command: Command) -> Command:
    """Add --debug, --json, --out and --seed."""
    for option in (
        click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks."),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout."),
        click.option(
            "--out", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="Where files go."
        ),
        click.option(
            "--seed", type=click.IntRange(0, 2**63 - 1), default=1, show_default=True, help="Of all random bytes."
        ),
    ):
        command = option(command)
    return command


def debug_only(command: Command) -> Command:
    """Add --debug."""
    return click.option("--debug", is_flag=True, expose_value=False, help="Show tracebacks.")(command)


def find(kind: str, name: str) -> Path:
    """Return the file that the user means: a path, or the name of a built-in one."""
    path = Path(name)
    if path.suffix == ".toml" or "/" in name or path.exists():
        if path.is_dir():
            raise InputError(f"{NOUNS[kind]} is a folder, not a file", file=name, allowed=_built_in(kind))
        if not path.is_file():
            raise InputError(f"{NOUNS[kind]} file does not exist", file=name, allowed=_built_in(kind))
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
