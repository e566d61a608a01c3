"""`otabench recipe check`: a recipe in plain words, and what a vehicle that uses it contradicts."""

from __future__ import annotations

import click
from rich.console import Console

from bench.cli.image.common import as_json_option
from bench.cli.options import debug_only, find
from bench.cli.output import answers
from bench.flasher.recipe import load_recipe
from bench.flashing.explain import ExplainedRecipe, explain
from bench.serving.ecu_server import load_vehicle


@click.command()
@click.argument("recipe")
@click.option("--vehicle", metavar="V", help="A vehicle file (or a built-in name): what in it contradicts the recipe.")
@as_json_option
@debug_only
def check(recipe: str, vehicle: str | None, as_json: bool) -> int:
    """Say in plain words what RECIPE (a file, or the name of a built-in one) does, checks, repeats, and does not do.

    Ends with 1 when something here or in the vehicle keeps it from working, with 2 when it has gaps or is wrong.

    \b
    Examples:
      otabench recipe check recipes/engine.toml
      otabench recipe check recipes/engine.toml --vehicle vehicles/mine.toml
      otabench recipe check dual_bank --vehicle two_ecu_car --json
    """
    path = find("recipes", recipe)
    loaded = load_recipe(path)
    if vehicle is None:
        explained = explain(loaded, path)
    else:
        vehicle_path = find("vehicles", vehicle)
        explained = explain(loaded, path, load_vehicle(vehicle_path), vehicle_path)
    if as_json:
        click.echo(explained.to_json(), nl=False)
    else:
        _show(explained)
    return 1 if explained.problems else 0


def _show(explained: ExplainedRecipe) -> None:
    console = answers()
    title = f": {explained.title}" if explained.title else ""
    _line(console, f"{explained.name}{title}", style="bold")
    if explained.ecus:
        _line(console, f"flashes {', '.join(explained.ecus)} of {explained.vehicle}")
    for number, step in enumerate(explained.steps, 1):
        _line(console, f"{number:>2}. {step.step}: {step.does}")
        for request in step.requests:
            _line(console, f"      {request}")
    for heading, style, lines in (
        ("is checked", "", explained.checked),
        ("is NOT checked", "bold red", explained.unchecked),
        ("is repeated", "", explained.retried),
        ("tester present", "", (explained.tester_present,)),
        ("it does not", "", explained.does_not),
        ("keeps it from working", "bold red", explained.problems),
    ):
        if lines:
            _line(console, f"{heading}:", style=style or "bold")
        for line in lines:
            _line(console, f"  - {line}", style=style)


def _line(console: Console, text: str, *, style: str = "") -> None:
    console.print(text, style=style, markup=False, soft_wrap=True)
