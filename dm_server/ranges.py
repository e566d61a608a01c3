"""HTTP byte ranges of one part (RFC 9110, 14): enough to go on with a download that broke off."""

from __future__ import annotations

import re
from typing import NamedTuple

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Span(NamedTuple):
    """Bytes `first` to `last` of a document, both counted from 0 and included."""

    first: int
    last: int

    @property
    def length(self) -> int:
        """Return how many bytes these are."""
        return self.last - self.first + 1


class Unsatisfiable(Exception):
    """No byte of the document lies in the range that was asked for (416)."""


def read_range(header: str | None, size_bytes: int) -> Span | None:
    """Return the span that a Range header asks for; None means the whole document.

    A header that is missing, malformed or names several ranges is ignored, as the standard allows.
    """
    found = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        length = min(int(last), size_bytes)
        if length == 0:
            raise Unsatisfiable
        return Span(size_bytes - length, size_bytes - 1)
    # Malformed, so the header counts as absent (RFC 9110, 14.1.1): 416 would tell the client that its part is past the
    # end.
    if last and int(last) < int(first):
        return None
    if int(first) >= size_bytes:
        raise Unsatisfiable
    return Span(int(first), min(int(last), size_bytes - 1) if last else size_bytes - 1)
