"""How a frame that was handed to a port ended: one value for each frame, and how exactly its instant is known."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple


class Fate(StrEnum):
    """What became of a frame."""

    SENT = "sent"
    """It crossed the bus and somebody acknowledged it, as far as `Outcome.exact` says."""
    LOST = "lost"
    """It will not cross, or nobody can tell any more: the controller left the bus or was flushed."""
    CANCELLED = "cancelled"
    """It was taken back before the controller began to send it."""
    REFUSED = "refused"
    """The interface did not take it."""


class Exactness(StrEnum):
    """How exactly the instant of a frame that was sent is known."""

    WIRE = "wire"
    """The end of its last bit."""
    ECHO = "echo"
    """The interface gave it back, which it does once it crossed: late by what the host needs, never early."""
    QUEUED = "queued"
    """The interface took it and tells no more; where a wire is behind it, its end is computed from the bit rate."""


class Outcome(NamedTuple):
    """How a frame ended, and when (ns of the run); `exact` is told of a frame that was sent, `why` of others."""

    fate: Fate
    t_ns: int
    exact: Exactness | None = None
    why: str = ""


OutcomeCallback = Callable[[Outcome], object]
"""Called exactly once for a frame, never from within the call that sends it."""
made_outcome: Callable[[tuple[Any, ...]], Outcome] = partial(tuple.__new__, Outcome)
"""An outcome of all its four fields, for who makes one for each frame: a third of the time of the class itself."""
SENT, ON_WIRE = Fate.SENT, Exactness.WIRE


def sent_on_wire(t_ns: int) -> Outcome:
    """Return the outcome of a frame whose last bit ended then."""
    return made_outcome((SENT, t_ns, ON_WIRE, ""))


def ignore_outcome(_outcome: Outcome) -> None:
    """Do nothing about how a frame ended."""
