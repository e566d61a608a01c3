"""How a source of a record was watched: an empty list says something only of the time in which somebody looked (D5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

T = TypeVar("T")

Span = tuple[int, int]
"""From when to when, both in ns of the run."""


@dataclass(frozen=True, slots=True)
class Watch:
    """When somebody looked, and how many messages are known to be lost meanwhile.

    No span: nobody watched. Several spans: what lies between them is a gap. A source that is read at one instant
    (a dump, a reading) has a span of that instant.
    """

    spans_ns: tuple[Span, ...] = ()
    lost: int = 0

    @property
    def watched(self) -> bool:
        """Whether anybody looked at all."""
        return bool(self.spans_ns)

    def gaps_ns(self, since_ns: int, until_ns: int) -> tuple[Span, ...]:
        """Return the parts of a time in which nobody looked."""
        gaps: list[Span] = []
        reached_ns = since_ns
        for begin_ns, end_ns in sorted(self.spans_ns):
            if begin_ns > reached_ns:
                gaps.append((reached_ns, min(begin_ns, until_ns)))
            reached_ns = max(reached_ns, end_ns)
            if reached_ns >= until_ns:
                break
        if reached_ns < until_ns:
            gaps.append((reached_ns, until_ns))
        return tuple(gap for gap in gaps if gap[0] < gap[1])

    def whole(self, since_ns: int, until_ns: int) -> bool:
        """Return whether a time was watched without a gap and without a loss."""
        return self.watched and not self.lost and not self.gaps_ns(since_ns, until_ns)


NOBODY = Watch()
"""Nobody watched."""


@dataclass(frozen=True, slots=True)
class Watched(Generic[T]):
    """Items of one source, and how it was watched.

    `places` tells channels (of frames), ECUs (of boots, dumps, …) or parts (of the supply) apart where they were
    watched in different ways; a place that is missing there was not watched. Empty: all places alike.
    """

    items: Sequence[T] = ()
    """Never changed: a tuple, or what keeps frames in less room (`Frames`)."""
    spans_ns: tuple[Span, ...] = ()
    lost: int = 0
    places: Mapping[str, Watch] = field(default_factory=dict)

    @classmethod
    def during(cls, items: Iterable[T], since_ns: int, until_ns: int) -> Watched[T]:
        """Return a source that was watched without a gap."""
        return cls(tuple(items), ((since_ns, until_ns),))

    @classmethod
    def at(cls, items: Iterable[T], t_ns: int) -> Watched[T]:
        """Return a source that was read at one instant."""
        return cls(tuple(items), ((t_ns, t_ns),))

    @property
    def watched(self) -> bool:
        """Whether anybody looked, at any place."""
        return self.watch().watched or any(watch.watched for watch in self.places.values())

    def watch(self, place: str | None = None) -> Watch:
        """Return how a place was watched; without one, the source as a whole."""
        if place is None or not self.places:
            return Watch(self.spans_ns, self.lost)
        return self.places.get(place, NOBODY)


UNWATCHED: Watched[Any] = Watched()
"""A source that this bench does not watch."""
