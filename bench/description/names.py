"""Names and labels in the files of a bench: their form, and which the bench keeps for itself."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import Field

Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Label = Annotated[str, Field(pattern=r"^[ -~]{1,32}$")]
"""What an image header can carry: 1 to 32 printable ASCII characters."""
RESERVED_PARTS = ("agent", "car", "server", "tester", "vehicle")


def refuse_repeats(what: str, values: Iterable[str]) -> None:
    """Raise ValueError for the first value that stands twice; `what` names what they are."""
    seen: list[str] = []
    for value in values:
        if value in seen:
            raise ValueError(f"{what} {value} stands twice")
        seen.append(value)
