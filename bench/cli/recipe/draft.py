"""`otabench recipe from`: a commented draft of what firmware files say of how their ECU is flashed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from bench.cli.image.common import (
    FILE,
    as_json_option,
    lenient_option,
    print_json,
    print_rows,
    session_option,
    tell_tolerated,
    write_whole,
)
from bench.cli.options import address_option, base_option, debug_only
from bench.core.errors import InputError
from bench.flashing.draft_text import Gap
from bench.flashing.drafts import draft_recipe
from bench.images.software import read_software

_NO_NAME = re.compile(r"[^a-z0-9_-]+")
SHOWN_GAPS = 20


@click.command(name="from")
@click.argument("files", type=FILE, nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="The recipe to write, a .toml file.")
@session_option
@base_option
@lenient_option
@click.option("--force", is_flag=True, help="Replace the recipe that is there.")
@as_json_option
@debug_only
def draft(
    files: tuple[Path, ...],
    output: Path,
    session: str | None,
    base: str | None,
    lenient: bool,
    force: bool,
    as_json: bool,
) -> int:
    """Write a draft of a recipe: what FILES (VBF, ODX-F, PDX; any firmware) say, and gaps where they say nothing.

    All files of one ECU together, the secondary bootloader too; their order does not matter. A draft is refused by
    every command until its gaps are filled from the ECU's data sheet.

    \b
    Examples:
      otabench recipe from sbl.vbf exe.vbf data.vbf -o recipes/engine.toml
      otabench recipe from inverter.pdx --session UPDATE -o recipes/inverter.toml
      otabench recipe from pump.bin --base 0x2000 -o recipes/pump.toml --force
    """
    _refuse_place(output, files, force=force)
    address = address_option(base)
    software = [read_software(each, binary_base=address, session=session, lenient=lenient) for each in files]
    tell_tolerated(software)
    made = draft_recipe(_name(output), software)
    write_whole(output, [made.text.encode()], option="-o")
    if as_json:
        gaps = [{"key": each.key, "line": each.line, "look_up": each.look_up} for each in made.gaps]
        print_json({"file": str(output), "firmware": [str(each) for each in files], "gaps": gaps})
        return 0
    print_rows([("draft", str(output)), *_rows(made.gaps)])
    click.echo(f"{len(made.gaps)} gaps to fill from the data sheet; until then the recipe is refused")
    return 0


def _rows(gaps: Sequence[Gap]) -> list[tuple[str, str]]:
    rows = [(f"line {each.line}", each.key) for each in gaps[:SHOWN_GAPS]]
    return rows + ([("...", f"and {len(gaps) - SHOWN_GAPS} more")] if len(gaps) > SHOWN_GAPS else [])


def _name(output: Path) -> str:
    return _NO_NAME.sub("_", output.stem.lower()).lstrip("_-") or "recipe"


def _refuse_place(output: Path, files: tuple[Path, ...], *, force: bool) -> None:
    """Refuse a place that is no recipe's, or where one is already."""
    if output.suffix != ".toml":
        raise InputError(
            "a recipe is a .toml file", key="-o", found=str(output), allowed="a name that ends with .toml",
            hint=f"name {output.with_suffix('.toml')}",
        )  # fmt: skip
    if output.exists() and not force:
        raise InputError(
            "there is a file already, and it may be filled in", file=str(output), key="-o", found=str(output),
            allowed="a file that does not exist yet, or --force", hint="name another file, or replace it with --force",
        )  # fmt: skip
    if output.resolve() in [each.resolve() for each in files]:
        raise InputError(
            "the draft would replace its own firmware", key="-o", found=str(output), allowed="another file"
        )
