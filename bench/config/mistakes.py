"""From pydantic's errors to our rows: what is wrong, file, key, found as the user wrote it, allowed, next."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.config.invalid_key import INVALID_KEY
from bench.config.toml_text import Path, Spelled, leaves, spelled
from bench.config.words import added, allowed_at, allowed_key, keys_of
from bench.core.errors import InputError

KINDS = {str: "text", bool: "true or false", int: "a whole number", float: "a number", list: "a list", dict: "a table"}
WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "list_type": "a list",
    "model_type": "a table",
    "dict_type": "a table",
    "model_attributes_type": "a table",
    "finite_number": "a finite number",
}
PROBLEMS = {
    "literal_error": "a value that is none of the allowed ones",
    "enum": "a value that is none of the allowed ones",
    "greater_than": "a number that is too small",
    "greater_than_equal": "a number that is too small",
    "less_than": "a number that is too large",
    "less_than_equal": "a number that is too large",
    "string_pattern_mismatch": "text of a wrong form",
    "string_too_short": "text that is too short",
    "string_too_long": "text that is too long",
    "too_short": "a list that is too short",
    "too_long": "a list that is too long",
}
RULE = re.compile(r"need |.*\bmust\b")
"""How a validator's sentence begins that says what is allowed, and not what is wrong."""
ALLOWED_CHARS, NEAREST = 320, 8
"""A list of choices that is longer is no help: then those that look most like what was found."""
SHOWN_KEYS = 4


@dataclass(frozen=True, slots=True)
class Source:
    """What was read: its name in messages, where it lies, its text and values, and where the values begin in it."""

    what: str
    file: str | None
    toml: str
    values: Mapping[str, Any]
    above: str = ""
    """Key of the table that `values` is, where it is not the whole file."""


def explained(error: ValidationError, model: type[BaseModel], source: Source) -> InputError:
    """Return the first mistake as a message; the others are named in its next step. Unknown keys come first."""
    found = error.errors(include_url=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    mistake = _Mistake(first, model, source)
    others = dict.fromkeys(_Mistake(each, model, source).key for each in found)
    # a list with a wrong entry is reported as too short besides: that is no mistake of its own
    others = {key: None for key in others if not f"{mistake.key}.".startswith(f"{key}.")}
    shown = [*others][:SHOWN_KEYS]
    more = f", then see to {', '.join(shown)}{' and others' if len(others) > len(shown) else ''}" if others else ""
    return InputError(
        f"{source.what} {mistake.problem()}",
        file=source.file,
        key=mistake.key,
        found=mistake.found(),
        allowed=mistake.allowed(),
        hint=f"{mistake.next_step()}{more}",
    )


class _Mistake:
    """One of pydantic's errors, seen beside the text."""

    def __init__(self, error: Any, model: type[BaseModel], source: Source) -> None:
        self._kind: str = error["type"]
        self._source, self._input = source, error["input"]
        self._schema = model.model_json_schema()
        self._names_a_key = error["loc"][-1:] == ("[key]",)
        self._context: Mapping[str, str] = error["ctx"] if self._kind == INVALID_KEY else {}
        location = (*error["loc"], *_parts(self._context["key"])) if self._context else error["loc"]
        self._path, self._there = _real_path(source.values, location, self._schema)
        if self._context:
            self._input = _value_at(source.values, self._path)
        self._spelled = spelled(source.toml, self._path, self._input)
        self._pattern = str(error.get("ctx", {}).get("pattern", ""))
        self._sentence = str(error["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
        self._involved = [*_mentioned(source, self._path, self._input, self._sentence)][:SHOWN_KEYS]

    @property
    def key(self) -> str:
        """Dotted key, counted from 0 in lists."""
        parts = [self._source.above, *map(str, self._path)]
        return ".".join(part for part in parts if part) or "(the whole file)"

    def problem(self) -> str:
        """What is wrong, after the name of the file."""
        if self._context:
            return f"has values that do not fit each other: {self._sentence}"
        if not self._there:
            return "lacks a key"
        if self._names_a_key:
            return "has a key of a wrong form"
        if self._kind == "extra_forbidden":
            return "has an unknown key"
        if self._kind in WANTED:
            return f"has {KINDS.get(type(self._input), 'a value')} where {WANTED[self._kind]} belongs"
        if self._of_a_table and not RULE.match(self._sentence):
            return f"has values that do not fit each other: {self._sentence}"
        if self._too_long:
            return f"has {PROBLEMS['string_too_long']}"
        return f"has {PROBLEMS.get(self._kind, 'a wrong value')}"

    @property
    def _too_long(self) -> bool:
        """Whether a pattern refuses a text for its length alone: its characters are right."""
        if self._kind != "string_pattern_mismatch":
            return False
        unbounded = re.sub(r"\{(\d+),\d+\}", r"{\1,}", self._pattern)
        return unbounded != self._pattern and re.match(unbounded, self._input) is not None

    def found(self) -> str | None:
        """What stands there, as the user wrote it."""
        if self._context.get("found"):
            return self._context["found"]
        if not self._there:  # a default, or what is taken over from elsewhere, may not fit either
            default = self._kind != "missing" and self._input is not None
            return f"{self._spelled.text}, not given here" if default else "no such key"
        if self._of_a_table:
            return ", ".join(f"{key} = {value.text}" for key, value in self._involved) or self._spelled.text
        return f"{self._spelled.text}, {len(self._input)} characters" if self._too_long else self._spelled.text

    def allowed(self) -> str | None:
        """What may stand there."""
        if self._context:
            return self._context["allowed"]
        if self._names_a_key:
            return allowed_key(self._schema, self._path[:-1])
        if self._kind == "extra_forbidden":
            return ", ".join(keys_of(self._schema, self._path[:-1])) or None
        if self._kind == "value_error":
            if self._of_a_table and not RULE.match(self._sentence):
                return "each once" if "twice" in self._sentence else "values that fit each other"
            return self._sentence
        # `header_address` is one; `address_bytes` and `address_width` count.
        address = bool(self._path) and str(self._path[-1]).endswith("address")
        words = allowed_at(self._schema, self._path, hexadecimal=address or self._spelled.hexadecimal)
        return words if words is None or len(words) <= ALLOWED_CHARS else _nearest(words, self._spelled.text)

    def next_step(self) -> str:
        """What to do about it."""
        name = str(self._path[-1]) if self._path else "the file"
        if not self._there:
            return added(self._schema, self._path, self._source.above) or f"add {name} = … {self._table()}"
        if self._kind == "extra_forbidden":
            close = difflib.get_close_matches(name, keys_of(self._schema, self._path[:-1]), 1)
            return f"write {close[0]} in its place" if close else "remove it, or correct its name"
        if isinstance(self._input, str) and self._kind in ("int_type", "float_type", "bool_type"):
            return f"write it without quotes{self._line()}"
        if self._kind == "string_type":
            return f"put it in quotes{self._line()}"
        if self._of_a_table and self._involved:
            return f"change {' or '.join(dict.fromkeys(key for key, _ in self._involved))}"
        return f"correct {self.key}{self._line()}"

    @property
    def _of_a_table(self) -> bool:
        return self._kind == "value_error" and isinstance(self._input, (dict, list))

    def _line(self) -> str:
        return f" in line {self._spelled.line}" if self._spelled.line else ""

    def _table(self) -> str:
        above = self._path[:-1]
        if not above and not self._source.above:
            return "at the top of the file, before the first [table]"
        return f"to the table {self.key.rpartition('.')[0]}"


def _real_path(values: object, loc: Sequence[str | int], schema: Mapping[str, Any]) -> tuple[Path, bool]:
    """Return `loc` without what pydantic adds for the branches of a union, which is no key of the file.

    Also whether the file has it: a key may be lacking, or be left out and have a default that does not fit.
    """
    path: list[str | int] = []
    here: Any = values
    for part in loc:
        known = (isinstance(here, Mapping) and part in here) or (
            isinstance(here, list) and isinstance(part, int) and part < len(here)
        )
        if known:
            here = here[part]
            path.append(part)
        elif isinstance(here, Mapping) and part in keys_of(schema, path):
            return (*path, part), False
    return tuple(path), True


def _parts(key: str) -> Path:
    return tuple(int(part) if part.isdecimal() else part for part in key.split("."))


def _value_at(values: object, path: Path) -> object:
    """Return what stands at `path`; None where nothing does."""
    here: Any = values
    for part in path:
        known = part in here if isinstance(here, Mapping) else isinstance(here, list) and isinstance(part, int)
        if not known:
            return None
        here = here[part]
    return here


def _mentioned(source: Source, path: Path, value: object, sentence: str) -> Iterator[tuple[str, Spelled]]:
    """Yield the keys below `path` that a validator's sentence speaks of, by name or by value."""
    words = set(re.findall(r"[\w.-]+", sentence))
    numbers = {int(word, 16) for word in words if re.fullmatch(r"0x[0-9A-Fa-f]+", word)}
    for below, leaf in leaves(value, ()):
        name = next((part for part in reversed(below) if isinstance(part, str)), "")
        dotted = ".".join(str(part) for part in below if isinstance(part, str))
        by_value = leaf in numbers if isinstance(leaf, int) else isinstance(leaf, str) and leaf in words
        if {name, dotted} & words or (by_value and not isinstance(leaf, bool)):
            whole = (*path, *below)
            key = ".".join([*([source.above] if source.above else []), *map(str, whole)])
            yield key, spelled(source.toml, whole, leaf)


def _nearest(choices: str, found: str) -> str:
    """Return of a long list the choices that are most like what stands there, the best first, and how many it has."""
    every = re.split(", | or ", choices)
    like = difflib.get_close_matches(found, every, n=NEAREST, cutoff=0.0)
    return f"{', '.join(like)} or another of the {len(every)}"
