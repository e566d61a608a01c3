"""The built-in recipes, by name."""

from __future__ import annotations

from pathlib import Path

from bench.config import data_root
from bench.description.catalogue import Catalogue
from bench.flasher.recipe import Recipe, load_recipe


def recipe_named(name: str) -> Recipe:
    """Return a built-in recipe; `InputError` lists those that exist."""
    return load_recipe(Catalogue((data_root(),)).path("recipes", name, named_by=Path(__file__)))


def erase_routine(recipe: Recipe) -> int:
    """Return the erase routine of a recipe for signed images."""
    assert recipe.routines.erase is not None
    return recipe.routines.erase


def header_slot(recipe: Recipe) -> int:
    """Return where a recipe for signed images puts the header."""
    assert recipe.memory.header_address is not None
    return recipe.memory.header_address
