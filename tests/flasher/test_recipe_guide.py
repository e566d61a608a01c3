"""docs/guides/recipes.md names every step, every key and every error that a recipe can meet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from pydantic import BaseModel

import bench.flasher.key_helpers as key_helpers
from bench.flasher.recipe import Recipe, Step

GUIDE = Path(__file__).parents[2] / "docs" / "guides" / "recipes.md"
COMMENTED = ("Timing", "Retries")
"""Tables whose keys the built-in recipes explain, line by line."""


def keys(model: type[BaseModel]) -> Iterator[str]:
    """Yield the keys of a model and of the tables in it."""
    for name, field in model.model_fields.items():
        yield name
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel) and kind.__name__ not in COMMENTED:
                yield from keys(kind)


@pytest.fixture(scope="module")
def words() -> set[str]:
    return set(re.findall(r"[A-Za-z0-9_]+", GUIDE.read_text(encoding="utf-8")))


def test_guide_names_every_step(words: set[str]) -> None:
    assert {str(step) for step in Step} - words == set()


def test_guide_names_every_key(words: set[str]) -> None:
    found = set(keys(Recipe))
    assert {"secret_name", "certificate_name", "first_counter", "granularity", "base", "lzma_dictionary_bytes"} <= found
    assert found - words == set()


def test_guide_names_every_error_of_a_key_helper(words: set[str]) -> None:
    source = Path(key_helpers.__file__).read_text(encoding="utf-8")
    assert set(re.findall(r'"(KEY_\w+)"', source)) - words == set()
