"""`otabench recipe`: draft a recipe from firmware files, say in words what one does, list those that are built in."""

from __future__ import annotations

import click

from bench.cli.recipe.check import check
from bench.cli.recipe.draft import draft
from bench.cli.recipe.listing import list_recipes


@click.group()
def recipe() -> None:
    """Recipes: how a kind of ECU is flashed, as a TOML file.

    \b
    Examples:
      otabench recipe from sbl.vbf exe.vbf data.vbf -o recipes/engine.toml
      otabench recipe check recipes/engine.toml --vehicle vehicles/mine.toml
      otabench recipe list
    """


for command in (draft, check, list_recipes):
    recipe.add_command(command)
