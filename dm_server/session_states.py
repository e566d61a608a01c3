"""The states of a session as a transition table."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Phase(StrEnum):
    """What the server waits for."""

    DATA = "data"
    REPORTED = "reported"
    OFFER = "offer"
    ENDED = "ended"


class Move(StrEnum):
    """What moves a session on."""

    OPEN = "open"
    REPORT = "report"
    OFFER = "offer"
    END = "end"


TRANSITIONS: dict[tuple[Phase, Move], Phase] = {
    # Only the client opens a session, with package #1, and it may open a new one at any time: nothing tells the server
    # that the last #2 or #3 was lost (OMA-TS-DM_Protocol-V2_0, session rules, from memory). It is asked for its data.
    (Phase.DATA, Move.OPEN): Phase.DATA,
    (Phase.REPORTED, Move.OPEN): Phase.DATA,
    (Phase.OFFER, Move.OPEN): Phase.DATA,
    (Phase.ENDED, Move.OPEN): Phase.DATA,
    # A vehicle that reports results is at the end of an order and not ready for the next: after reporting it stores
    # that it did, and a new EXEC before that would be answered with 405. The next order waits for the next session.
    (Phase.DATA, Move.REPORT): Phase.REPORTED,
    (Phase.REPORTED, Move.REPORT): Phase.REPORTED,
    # Results beside the statuses of HGET and EXEC (a lost 202, proved by the result): END follows in any case.
    (Phase.OFFER, Move.REPORT): Phase.OFFER,
    # A #2 with commands demands a #3, a #2 with END forbids one (same standard): the offer's answer is awaited.
    (Phase.DATA, Move.OFFER): Phase.OFFER,
    (Phase.DATA, Move.END): Phase.ENDED,
    (Phase.REPORTED, Move.END): Phase.ENDED,
    (Phase.OFFER, Move.END): Phase.ENDED,
}


@dataclass(frozen=True, slots=True)
class Session:
    """A vehicle's latest session; `order` is the one on offer."""

    session: str
    phase: Phase
    order: str | None = None

    def after(self, move: Move, order: str | None = None) -> Session:
        """Return the session after a move (KeyError: the table has none, a mistake of the engine)."""
        return Session(self.session, TRANSITIONS[self.phase, move], order)


def opened(session: str) -> Session:
    """Return a session that a package #1 opened; what became of the one before does not matter."""
    return Session(session, TRANSITIONS[Phase.ENDED, Move.OPEN])
