"""At which of its chances something strikes: the 5th, the 5th to 7th, every third, always."""

from __future__ import annotations

import re
from dataclasses import dataclass

GRAMMAR = "@always (or nothing): each; @N: the N-th, N from 1; @N..M: the N-th to the M-th; @N..: the N-th on; @everyK"
_RANGE = re.compile(r"([1-9][0-9]{0,8})(?:(\.\.)([1-9][0-9]{0,8})?)?\Z")
_EVERY = re.compile(r"every([1-9][0-9]{0,8})\Z")


@dataclass(frozen=True, slots=True)
class Occasions:
    """Chances from `first` to `last` (None: without end), every `every`-th of all; they count from 1."""

    first: int = 1
    last: int | None = None
    every: int = 1

    def include(self, n: int) -> bool:
        """Return whether the n-th chance is one of them."""
        return n >= self.first and (self.last is None or n <= self.last) and n % self.every == 0

    def __str__(self) -> str:
        if self.every > 1:
            return f"@every{self.every}"
        if self.last is None:
            return "" if self.first == 1 else f"@{self.first}.."
        return f"@{self.first}" if self.last == self.first else f"@{self.first}..{self.last}"

    @classmethod
    def parse(cls, text: str) -> Occasions:
        """Read what stands behind the `@`; ValueError with the grammar."""
        if text == "always":
            return cls()
        every = _EVERY.match(text)
        if every:
            return cls(every=int(every[1]))
        found = _RANGE.match(text)
        if not found:
            raise ValueError(GRAMMAR)
        first = int(found[1])
        last = int(found[3]) if found[3] else None if found[2] else first
        if last is not None and last < first:
            raise ValueError(GRAMMAR)
        return cls(first, last)


ALWAYS = Occasions()


def split(text: str) -> tuple[str, Occasions]:
    """Return what stands before the `@` and the occasions behind it; ValueError with the grammar."""
    what, separator, when = text.partition("@")
    return what, Occasions.parse(when) if separator else ALWAYS
