"""What a reader raises; `bench.images.readers` turns it into an `InputError` that names the file."""

from __future__ import annotations


class Damaged(Exception):
    """A record or field that cannot be used, at a line (text, from 1) or an offset (binary, from 0)."""

    def __init__(
        self, why: str, line: int | None = None, *, offset: int | None = None, hint: str | None = None
    ) -> None:
        super().__init__(why)
        self.line, self.offset, self.hint = line, offset, hint

    @property
    def where(self) -> str:
        """Return ` at line 3`, ` at offset 0x34`, or nothing."""
        if self.line is not None:
            return f" at line {self.line}"
        return f" at offset 0x{self.offset:X}" if self.offset is not None else ""


class Unsuited(Exception):
    """A whole file of a kind that holds no memory image as it is; what was found, and what to do."""

    def __init__(self, problem: str, *, found: str, allowed: str, hint: str | None = None) -> None:
        super().__init__(problem)
        self.problem, self.found, self.allowed, self.hint = problem, found, allowed, hint
