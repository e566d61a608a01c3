"""The catalogue: which faults there are, and at which kinds of event they strike.

Nothing here names a fault's part. A fault of otabench's own is a module of this package that gives `KINDS`; a package
brings its own by the entry point `otabench.faults`. Kinds of event are registered by the parts that announce them,
by the entry point `otabench.events`. Each names an iterable of `FaultKind` or of `EventKind`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from bench.config import FileModel
from bench.config.mistakes import Source, explained
from bench.core.errors import EquipmentError, InputError
from bench.core.points import EventKind, FaultPoint
from bench.faults import car, forgery, memory, misbehaviour, network, power, supply
from bench.faults.kinds import FaultKind

FAULTS_GROUP, EVENTS_GROUP = "otabench.faults", "otabench.events"
BUILT_IN = (power.KINDS, supply.KINDS, network.KINDS, forgery.KINDS, car.KINDS, misbehaviour.KINDS, memory.KINDS)
Kind = TypeVar("Kind")


@cache
def fault_kinds() -> Mapping[str, FaultKind]:
    """Return every fault by its class; looked up once (`fault_kinds.cache_clear()` forgets)."""
    own = (kind for kinds in BUILT_IN for kind in kinds)
    return _once((kind.fault_class, kind) for kind in (*own, *_brought(FAULTS_GROUP, FaultKind)))


@cache
def event_kinds() -> Mapping[str, EventKind]:
    """Return every kind of event by its name; looked up once."""
    found = _once((kind.name, kind) for kind in _brought(EVENTS_GROUP, EventKind))
    if not found:
        raise EquipmentError(
            f"no part of otabench registers its events ({EVENTS_GROUP})", found="an older installation",
            hint="install it anew: pip install .",
        )  # fmt: skip
    return found


def events_of(kind: FaultKind) -> tuple[str, ...]:
    """Return the kinds of event that a fault may strike at."""
    if kind.events is not None:
        return kind.events
    return tuple(name for name, event in event_kinds().items() if set(event.announced_by) & set(kind.strikes))


def _brought(group: str, model: type[Kind]) -> list[Kind]:
    """Return what installed packages register; `EquipmentError` for anything else."""
    found = [kind for point in sorted(entry_points(group=group), key=lambda p: p.name) for kind in point.load()]
    for kind in found:
        if not isinstance(kind, model):
            raise EquipmentError(f"{group} names something else", found=repr(kind), allowed=model.__name__)
    return found


def _once(named: Iterable[tuple[str, Kind]]) -> Mapping[str, Kind]:
    """Return kinds by name; `EquipmentError` when two packages bring one of the same name."""
    found: dict[str, Kind] = {}
    for name, kind in named:
        if name in found:
            raise EquipmentError("two kinds of fault or event have one name", found=name, hint="remove a package")
        found[name] = kind
    return found


def check_fault(point: FaultPoint, parameters: Mapping[str, object], *, file: str | None) -> FileModel:
    """Return the checked parameters; `InputError` when there is no such fault or event, or a value is wrong."""
    kind = fault_kinds().get(point.fault_class)
    if kind is None:
        raise InputError(
            f"no injector for the fault class {point.fault_class!r}",
            file=file,
            key="faults.point",
            found=str(point),
            allowed=", ".join(fault_kinds()),
            hint="choose a class that has an injector",
        )
    if point.event not in events_of(kind):
        raise InputError(
            f"{point.fault_class} does not strike at {point.event!r}",
            file=file,
            key="faults.point",
            found=str(point),
            allowed=", ".join(events_of(kind)),
            hint="choose one of these events",
        )
    try:
        return kind.parameters.model_validate_json(json.dumps(dict(parameters)), strict=True)
    except ValidationError as error:
        text = Path(file).read_text(encoding="utf-8") if file is not None and Path(file).is_file() else ""
        source = Source(f"fault {point}", file, text, dict(parameters), above="faults.parameters")
        raise explained(error, kind.parameters, source) from None
