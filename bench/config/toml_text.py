"""How the user wrote a value: tomllib gives 2217 where the file says 0x8A9, so messages look into the text again."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

TOKEN = re.compile(r"\"(?:[^\"\\\n]|\\.)*\"|'[^'\n]*'|[^\s,{}\[\]#=\"']+")
SHOWN_CHARACTERS = 100
Path = tuple[str | int, ...]
"""Where a value stands: keys, and numbers in lists from 0."""
PLACE = re.compile(r"(?P<why>.*) \(at (?:line (?P<line>\d+), column \d+|end of document)\)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spelled:
    """A value as it stands in the file, and its line where that is certain."""

    text: str
    line: int | None = None

    @property
    def hexadecimal(self) -> bool:
        """Whether the user thinks of it in hexadecimal."""
        return self.text.lower().lstrip("+-").startswith("0x")


def spelled(toml: str, path: Sequence[str | int], value: object) -> Spelled:
    """Return how `value` at `path` is written in `toml`."""
    if isinstance(value, dict):
        return Spelled(shortened(f"a table with the keys {', '.join(map(str, value))}" if value else "an empty table"))
    if isinstance(value, list):
        return Spelled(shortened(f"[{', '.join(spelled(toml, [*path, n], x).text for n, x in enumerate(value))}]"))
    matches = [(token, line) for token, line in _tokens(toml, path) if _same(token, value)]
    if not matches:
        return Spelled(shortened(_as_toml(value)))
    lines = {line for _, line in matches}
    return Spelled(shortened(matches[0][0]), lines.pop() if len(lines) == 1 else None)


def shortened(text: str) -> str:
    """Return one line of limited length, without characters that a terminal would obey."""
    plain = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
    return plain if len(plain) <= SHOWN_CHARACTERS else f"{plain[: SHOWN_CHARACTERS - 1]}…"


def syntax_place(error: tomllib.TOMLDecodeError, toml: str) -> tuple[str, int, str]:
    """Return why a text is no TOML, the number of the line, and the line."""
    match = PLACE.match(str(error))
    lines = toml.splitlines() or [""]
    number = int(match["line"]) if match and match["line"] else len(lines)
    line = lines[number - 1] if number <= len(lines) else ""
    return (match["why"] if match else str(error)), number, shortened(line.strip())


def _as_toml(value: object) -> str:
    if isinstance(value, float):
        return repr(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _same(token: str, value: object) -> bool:
    try:
        meant: Any = tomllib.loads(f"x = {token}")["x"]
    except ValueError:
        return False
    return type(meant) is type(value) and bool(meant == value)


def _tokens(toml: str, path: Sequence[str | int]) -> Iterator[tuple[str, int]]:
    """Yield the tokens (and their lines) given to the last key of `path`, wherever a key of that name stands."""
    key = next((part for part in reversed(path) if isinstance(part, str)), None)
    if key is None:
        return
    for match in re.finditer(rf"(?<![\w-])[\"']?{re.escape(key)}[\"']?[ \t]*=[ \t]*", toml):
        end = match.end()
        stop = toml.find("]", end) if toml.startswith("[", end) else end
        token = TOKEN.search(toml, end)
        while token is not None and (token.start() == end or token.end() <= stop):
            yield token[0], toml.count("\n", 0, token.start()) + 1
            token = TOKEN.search(toml, token.end()) if stop > end else None


def leaves(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    """Yield each value that is neither table nor list, with its path; `path` is that of `value` itself."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if inner is None:
        yield path, value
        return
    for part, below in inner:
        yield from leaves(below, (*path, part))
