"""What every rule of the judge is: a fold over events in order of time, whose state is a value.

How a rule is written stands in docs/guides/rules.md.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar, Protocol

from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding
from bench.oracle.situation import Situation
from bench.oracle.state import state_of
from bench.oracle.stream import Event


class Fold(Protocol):
    """Anything that reads the events of a run."""

    def take(self, event: Event) -> None:
        """Read one event; events come in order of time."""

    def key(self) -> Hashable:
        """Return the whole state as one value: equal keys go on equally with equal events."""


class Rule:
    """One part of an invariant. A subclass keeps its state in attributes that are plain values."""

    takes: ClassVar[tuple[type, ...]] = ()
    """The kinds of events that it reads; others never reach `take`."""
    relies_on: ClassVar[tuple[Source, ...]] = ()
    """Sources whose gaps, losses or contradictions make a pass of this rule worthless."""

    only_shown: ClassVar[tuple[str, ...]] = ()
    """Attributes that stand in evidence and nowhere else: they are no part of the key."""

    def __init__(self, facts: Facts, situation: Situation) -> None:
        self.facts, self.situation = facts, situation

    def take(self, event: Event) -> None:
        """Read one event of a kind in `takes`; `situation` has read it before."""

    def findings(self) -> list[Finding]:
        """Return what can be said by now; asked for once the run is over."""
        raise AssertionError(f"{type(self).__name__} finds nothing")

    def key(self) -> Hashable:
        """Return the rule's own state; what lies in `situation` has a key of its own."""
        return state_of(self, without=("facts", "situation"))
