"""The built-in recipes, by name."""

from __future__ import annotations

from pathlib import Path

from bench.config import data_root
from bench.description.catalogue import Catalogue
from bench.flasher.recipe import Recipe, load_recipe


def recipe_named(name: str) -> Recipe:
    """Return a built-in recipe; `InputError` lists those that exist."""
    return load_recipe(Catalogue((data_root(),)).path("recipes", name, named_by=Path(__file__)))
