"""A draft of a recipe as it is written: tables, keys with values, comments, and gaps with what to look up."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from bench.flasher.recipe_gaps import GAP

WIDTH = 118


@dataclass(frozen=True, slots=True)
class Gap:
    """A value that no file says: its dotted key (counted from 0 in lists), its line from 1, what to look up."""

    key: str
    line: int
    look_up: str


class DraftText:
    """A TOML file in the making."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._place = ""
        self._tables: dict[str, int] = {}
        self.gaps: list[Gap] = []

    @property
    def text(self) -> str:
        """Return the file."""
        return "\n".join(self._lines).strip() + "\n"

    def table(self, name: str) -> None:
        """Begin a table."""
        self._lines += ["", f"[{name}]"]
        self._place = f"{name}."

    def entry(self, name: str) -> None:
        """Begin another table of a list."""
        number = self._tables[name] = self._tables.get(name, -1) + 1
        self._lines += ["", f"[[{name}]]"]
        self._place = f"{name}.{number}."

    def says(self, *sentences: str) -> None:
        """Write comments, each from a new line on; what a file brought in cannot end one, nor break TOML."""
        for sentence in sentences:
            plain = "".join(letter if letter.isprintable() else " " for letter in sentence)
            self._lines += textwrap.wrap(
                plain, WIDTH, initial_indent="# ", subsequent_indent="#   ", break_on_hyphens=False
            )

    def key(self, name: str, value: str) -> None:
        """Write a key; `value` is TOML already."""
        self._lines.append(f"{name} = {value}")

    def listed(self, name: str, values: Sequence[str]) -> None:
        """Write a list of texts, one a line, so that one can be taken out."""
        self._lines += [f"{name} = [", *(f'  "{each}",' for each in values), "]"]

    def gap(self, name: str, look_up: str) -> None:
        """Write a key that waits for its value, under what to look up and what happens without it."""
        self.says(f"{GAP}: {look_up}")
        self.key(name, f'"{GAP}"')
        self.gaps.append(Gap(f"{self._place}{name}", len(self._lines), look_up))


def hexadecimal(number: int, digits: int = 8) -> str:
    """Return a number as data sheets write addresses."""
    return f"0x{number:0{digits}X}"
