"""Columns of tables that are narrower than their texts: lines break where a reader would break them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.text import Text

_AFTER = re.compile(r"(?<=[:,._-])(?=[^:,._-])|(?<= )")
"""Where a line may end: after the marks that part the words of fault points and names, and after a blank."""


class Breakable:
    """Text for a cell of rich's tables, which would itself break a fault point in the middle of a word."""

    def __init__(self, text: str) -> None:
        self.text = text

    def lines(self, width: int) -> Iterator[str]:
        """Yield lines of at most `width` characters; a single word that is longer has a line of its own."""
        line = ""
        for piece in _AFTER.split(self.text):
            if line and len((line + piece).rstrip()) > width:
                yield line.rstrip()
                line = ""
            line += piece
        yield line.rstrip()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the lines."""
        for line in self.lines(options.max_width):
            yield Text(line)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Return the widths of the longest word and of the whole."""
        return Measurement(max(len(piece.rstrip()) for piece in _AFTER.split(self.text)), len(self.text))
