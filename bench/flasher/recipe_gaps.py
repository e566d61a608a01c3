"""Gaps of a draft: values that no file says, and that somebody must look up before the recipe may be used."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.config.toml_text import leaves
from bench.config.words import allowed_at
from bench.core.errors import InputError

GAP = "todo".upper()
"""The text that stands in the place of a value; no key of a recipe takes it."""
SHOWN_KEYS = 4
_LINE = re.compile(rf'^[^#]*"{GAP}"')


def gap_keys(values: object) -> tuple[str, ...]:
    """Return the dotted keys of all gaps, in the order of the file, counted from 0 in lists."""
    return tuple(".".join(map(str, path)) for path, value in leaves(values, ()) if value == GAP)


def gap_lines(toml: str) -> tuple[int, ...]:
    """Return the lines of a draft that have a gap, from 1."""
    return tuple(number for number, line in enumerate(toml.splitlines(), 1) if _LINE.match(line))


def refuse_gaps(file: str, toml: str, values: Mapping[str, object], schema: Callable[[], Mapping[str, Any]]) -> None:
    """Raise `InputError` that names the first gap, what may stand there, and the others; `schema` is the recipe's."""
    keys = gap_keys(values)
    if not keys:
        return
    line = next(iter(gap_lines(toml)), None)
    place = "its comment" if line is None else f"the comment above line {line}"
    raise InputError(
        "recipe is a draft: it has values that only the data sheet of the ECU can fill in",
        file=file, key=keys[0], found=f'"{GAP}"',
        allowed=allowed_at(schema(), _parts(keys[0])) or f"a value, or not the key at all: {place} says which",
        hint=f"{place} says what to look up{_others(keys[1:])}",
    )  # fmt: skip


def _parts(key: str) -> tuple[str | int, ...]:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def _others(keys: Sequence[str]) -> str:
    if not keys:
        return ""
    return f", then see to {', '.join(keys[:SHOWN_KEYS])}" + (
        f" and {len(keys) - SHOWN_KEYS} more" if len(keys) > SHOWN_KEYS else ""
    )
