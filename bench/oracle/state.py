"""The state of folds as values: what two runs must have in common so that they go on alike."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum

_ATOMS = (int, float, str, bytes, bool, Enum, type(None))


def state_of(owner: object, without: tuple[str, ...] = ()) -> Hashable:
    """Return the attributes of an object as one hashable value; TypeError names one that is no plain value."""
    names = [each.name for each in fields(owner)] if is_dataclass(owner) else list(vars(owner))
    return tuple((name, frozen(getattr(owner, name))) for name in names if name not in without)


def frozen(value: object) -> Hashable:
    """Return a plain value (numbers, texts, bytes, collections, dataclasses, folds) as something that hashes."""
    if isinstance(value, _ATOMS):
        return value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, Mapping):
        return tuple((frozen(key), frozen(item)) for key, item in value.items())
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if isinstance(value, Set):
        return frozenset(frozen(item) for item in value)
    if hasattr(value, "key"):
        return (type(value).__name__, value.key())
    if is_dataclass(value):
        return (type(value).__name__, state_of(value))
    raise TypeError(f"{type(value).__name__} is no plain value, so that a state which holds it has no key")
