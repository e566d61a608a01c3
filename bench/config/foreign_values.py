"""Values that TOML has and the models would take for something else: dates, true for 1, whole numbers without end."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from functools import cache
from typing import Any

from pydantic import BaseModel

from bench.config.toml_text import leaves, spelled
from bench.config.words import allowed_at, kinds_at
from bench.core.errors import InputError

DATES = (datetime.date, datetime.time)
MOST = 2**63 - 1
"""TOML 1.0: whole numbers are those of 64 bits with a sign; one that cannot be kept exactly is an error."""


def refuse_foreign_values(what: str, file: str, toml: str, values: Mapping[str, Any], model: type[BaseModel]) -> None:
    """Raise `InputError` for the first value of a kind that its key does not take, which no model would notice.

    Dates would become text on their way through JSON, and Python holds True and 1.0 for equal to 1, so that a
    list of choices takes them. Keys that the model does not know are left to it.
    """
    suspects = [(path, value) for path, value in leaves(values, ()) if _suspect(value)]
    for path, value in suspects:
        schema = _schema(model)
        wrong, allowed = _wrong(value, kinds_at(schema, path)), allowed_at(schema, path)
        if wrong is None or allowed is None:
            continue
        key, found = ".".join(map(str, path)), spelled(toml, path, value)
        place = f" in line {found.line}" if found.line else ""
        step = f"write {key} in quotes, as text" if isinstance(value, DATES) and "text" in allowed else f"correct {key}"
        raise InputError(
            f"{what} has {wrong}", file=file, key=key, found=found.text, allowed=allowed, hint=f"{step}{place}"
        )


@cache
def _schema(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema()


def _suspect(value: object) -> bool:
    """Whether a value may be wrong in a way that no model notices: most files have none, and need no schema then."""
    if isinstance(value, bool | datetime.date | datetime.time):
        return True
    return value.is_integer() if isinstance(value, float) else isinstance(value, int) and abs(value) > MOST


def _wrong(value: object, kinds: frozenset[type]) -> str | None:
    if isinstance(value, DATES):
        return "a date or time where none belongs"
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > MOST:
        return "a number that is too large"
    if isinstance(value, bool) and kinds == {int}:
        return "true or false where a whole number belongs"
    if isinstance(value, float) and kinds == {int}:
        return "a number with a fraction where a whole number belongs"
    return None
