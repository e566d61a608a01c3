"""Finding planted defects by id (entry points `otabench.defects`)."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import entry_points

from bench.core.defects import Defect
from bench.core.errors import InputError


def all_defects() -> dict[str, Defect]:
    """Return every installed defect by id."""
    found: dict[str, Defect] = {}
    for point in sorted(entry_points(group="otabench.defects"), key=lambda p: p.name):
        for defect in point.load():
            found[defect.id] = defect
    return found


def planted(defect_id: str | None, *, file: str | None = None) -> AbstractContextManager[object]:
    """Return a context in which the defect is active; `InputError` lists the known ids (`file` named it)."""
    if defect_id is None:
        return nullcontext()
    known = all_defects()
    if defect_id not in known:
        raise InputError(
            "unknown defect",
            file=file,
            key="defect",
            found=f'"{defect_id}"',
            allowed=", ".join(known) or "none installed",
            hint="name one of these, or remove the key",
        )
    return known[defect_id].apply()
