"""`otabench recipe list`: the recipes that are built in."""

from __future__ import annotations

import click

from bench.cli.image.common import as_json_option, print_json, print_rows
from bench.cli.options import debug_only
from bench.config import data_root
from bench.flasher.recipe import load_recipe


@click.command(name="list")
@as_json_option
@debug_only
def list_recipes(as_json: bool) -> int:
    """List the recipes that are built in.

    \b
    Examples:
      otabench recipe list
      otabench recipe list --json
    """
    recipes = [load_recipe(path) for path in sorted((data_root() / "recipes").glob("*.toml"))]
    if as_json:
        print_json(
            {"recipes": [{"name": each.name, "title": each.title, "steps": list(each.steps)} for each in recipes]}
        )
        return 0
    print_rows([(each.name, each.title) for each in recipes])
    return 0
