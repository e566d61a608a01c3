"""What an installed package brings to the bench by entry points."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from bench.core.errors import EquipmentError


@cache
def installed(group: str) -> tuple[EntryPoint, ...]:
    """Return the entry points of a group.

    What is installed does not change while a process runs, and each run of a sweep asks: the metadata of all packages
    is read once.
    """
    return tuple(entry_points(group=group))


@cache
def plug_in(group: str, name: str) -> Any:
    """Return what the entry point `name` of `group` names; `EquipmentError` lists the installed ones."""
    found = {point.name: point for point in installed(group)}
    if name not in found:
        raise EquipmentError(f"no driver {name!r} in {group}; installed: {', '.join(sorted(found)) or 'none'}")
    return found[name].load()
