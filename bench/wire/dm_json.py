"""Reading JSON objects of strangers: every mistake becomes one `DmError` that says where and what was found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class DmError(ValueError):
    """This is not a DM message; the text says what is wrong and where."""


def parse_object(raw: bytes, what: str = "body") -> dict[str, Any]:
    """Return the JSON object in `raw`; refuses other text, duplicate members, NaN and too deep nesting."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DmError(f"{what} is not UTF-8 at offset {error.start}") from None
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise DmError(f"{what} is not JSON at offset {error.pos}: {error.msg}") from None
    except RecursionError:
        raise DmError(f"{what} is nested too deeply") from None
    except DmError:
        raise
    except ValueError as error:
        raise DmError(f"{what} holds a number that cannot be read: {error}") from None
    return as_object(value, what)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        # RFC 8259 leaves it open which one counts: server and agent could read two orders out of one message.
        if name in found:
            raise DmError(f"member {name!r} occurs twice in one object")
        found[name] = value
    return found


def _constant(name: str) -> Any:
    raise DmError(f"{name} is not a JSON value")


def as_object(value: Any, where: str) -> dict[str, Any]:
    """Return `value` if it is an object."""
    if not isinstance(value, dict):
        raise DmError(f"{where} is {kind_of(value)}, expected an object")
    return value


def as_list(value: Any, where: str) -> list[Any]:
    """Return `value` if it is a list."""
    if not isinstance(value, list):
        raise DmError(f"{where} is {kind_of(value)}, expected a list")
    return value


def as_text(value: Any, where: str) -> str:
    """Return `value` if it is a string of real characters (no lone surrogates)."""
    if not isinstance(value, str):
        raise DmError(f"{where} is {kind_of(value)}, expected a string")
    # Half a surrogate pair cannot be encoded: the message would fail later, where it is stored.
    if any("\ud800" <= char <= "\udfff" for char in value):
        raise DmError(f"{where} holds half of a surrogate pair")
    return value


def as_int(value: Any, where: str) -> int:
    """Return `value` if it is an integer (true and false are not)."""
    # true is an int in Python: a result code of true would be 1.
    if not isinstance(value, int) or isinstance(value, bool):
        raise DmError(f"{where} is {kind_of(value)}, expected an integer")
    return value


def as_texts(value: Any, where: str) -> tuple[str, ...]:
    """Return `value` if it is a list of strings."""
    return tuple(as_text(item, f"{where}[{n}]") for n, item in enumerate(as_list(value, where)))


def member(found: Mapping[str, Any], name: str, where: str) -> Any:
    """Return the member `name`; it must be there."""
    if name not in found:
        present = ", ".join(sorted(found)[:8]) or "nothing"
        raise DmError(f"{where} lacks {name}; it has {present}")
    return found[name]


def kind_of(value: Any) -> str:
    """Return the JSON type of `value` in words."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    names = {str: "a string", int: "an integer", float: "a number", list: "a list", dict: "an object"}
    return names[type(value)]
