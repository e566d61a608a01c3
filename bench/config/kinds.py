"""Which kind of file someone gave where another kind belongs, told by keys that no other kind has together."""

from __future__ import annotations

from collections.abc import Container

KINDS: dict[str, frozenset[str]] = {
    "a bench file": frozenset({"clock", "channels", "agent"}),
    "a vehicle file": frozenset({"vin", "dev_id", "ecus"}),
    "an ECU file": frozenset({"banks", "flash", "nvm"}),
    "a recipe": frozenset({"steps", "memory", "routines"}),
    "a scenario": frozenset({"order", "title"}),
    "a supply profile": frozenset({"title", "points"}),
}
"""Kind: the keys by which a file of that kind is known."""


def kind_of(keys: Container[str]) -> str | None:
    """Return the kind of a file, or of a model, that has these keys at its top; None when it is none for certain."""
    return next((kind for kind, known in KINDS.items() if all(key in keys for key in known)), None)
