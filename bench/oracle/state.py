"""The state of folds as values: what two runs must have in common so that they are judged alike from here on.

Instants count by how long ago they were, not by the clock: of two runs that differ in nothing but a later start the
states are equal. What is only shown (evidence) counts by its kind, and how often there was some.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Set
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum

from bench.oracle.findings import Finding
from bench.oracle.result import Evidence, Verdict

_ATOMS = (int, float, str, bytes, bool, Enum, type(None))
DURATIONS = frozenset({"elapsed_ns", "gap_ns", "live_within_ns", "longest_ns", "poll_interval_ns", "slowest_ns"})
"""Attributes in nanoseconds that are no instants; every other name that ends in `_ns` is one."""


@dataclass(frozen=True, slots=True)
class Instant:
    """A time of the run inside a state, until it is known how long ago it was (`relative`)."""

    t_ns: int


def state_of(owner: object, without: tuple[str, ...] = ()) -> Hashable:
    """Return the attributes of an object as one hashable value; TypeError names one that is no plain value.

    Its class may name attributes that only stand in evidence (`only_shown`): nothing depends on them.
    """
    names = [each.name for each in fields(owner)] if is_dataclass(owner) else list(vars(owner))
    without = (*without, *getattr(type(owner), "only_shown", ()))
    return tuple((name, _attribute(name, getattr(owner, name))) for name in names if name not in without)


def _attribute(name: str, value: object) -> Hashable:
    return frozen(value, instants=name.endswith("_ns") and name not in DURATIONS)


def frozen(value: object, *, instants: bool = False) -> Hashable:
    """Return a plain value (numbers, texts, bytes, collections, dataclasses, folds) as something that hashes.

    `instants`: the numbers in it are times of the run.
    """
    if isinstance(value, Evidence):
        return value.kind
    if isinstance(value, Finding):
        return (value.verdict, value.sentence, value.blame, value.beside)
    if isinstance(value, _ATOMS):
        return Instant(value) if instants and isinstance(value, int) else value
    if isinstance(value, bytearray):
        return bytes(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return tuple(_attribute(name, item) for name, item in zip(value._fields, value, strict=True))
    if isinstance(value, Mapping):
        return tuple((frozen(key), frozen(item, instants=instants)) for key, item in value.items())
    if isinstance(value, list) and value and all(isinstance(item, Finding) for item in value):
        return _of_findings(value)
    if isinstance(value, list | tuple):
        return tuple(frozen(item, instants=instants) for item in value)
    if isinstance(value, Set):
        return frozenset(frozen(item, instants=instants) for item in value)
    key = getattr(value, "key", None)
    if callable(key):  # a condition's record has a text of that name
        return (type(value).__name__, key())
    if is_dataclass(value):
        return (type(value).__name__, state_of(value))
    raise TypeError(f"{type(value).__name__} is no plain value, so that a state which holds it has no key")


def _of_findings(findings: list[Finding]) -> Hashable:
    """Return what counts of findings: passes, however many, only say that something was seen."""
    kept = tuple(frozen(each) for each in findings if each.verdict is not Verdict.PASS)
    return (len(kept) < len(findings), kept)


def relative(state: Hashable, now_ns: int) -> Hashable:
    """Return a state in which each instant is how long ago it was at `now_ns`."""
    if isinstance(state, Instant):
        return now_ns - state.t_ns
    if isinstance(state, tuple):
        return tuple(relative(item, now_ns) for item in state)
    return frozenset(relative(item, now_ns) for item in state) if isinstance(state, frozenset) else state
