"""Requests and answers of one ECU, paired as they come (ISO 14229-1 and -2: one request at a time, answers by service).

An exchange is settled by its final answer, by the next request (the tester gave up), or by the end of the run. An
answer that comes later still belongs to it, and is an event of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass, replace

from bench.core.records import EcuLayout
from bench.oracle.decode_isotp import Message
from bench.oracle.exchange import Exchange, answers
from bench.oracle.state import frozen

UNANSWERED_KEPT = 8
"""An answer is looked for among that many requests back."""


@dataclass(frozen=True, slots=True)
class Requested:
    """A request has come completely; what the ECU says to it is not known yet."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request with its final answer, or one that stays without (broken off, suppressed, given up)."""

    exchange: Exchange


@dataclass(frozen=True, slots=True)
class AnsweredLate:
    """The answer of a request that had been settled without one."""

    exchange: Exchange


Heard = Requested | Exchanged | AnsweredLate


class Pairing:
    """The conversation with one ECU: gives each answer to the newest fitting request before it."""

    def __init__(self, layout: EcuLayout) -> None:
        self._ecu, self._channel = layout.ecu, layout.channel
        self._unanswered: deque[Exchange] = deque(maxlen=UNANSWERED_KEPT)
        self._open: Exchange | None = None

    def take_request(self, message: Message) -> list[Heard]:
        """Return what a request (or one that broke off) tells."""
        exchange = Exchange(self._ecu, self._channel, message)
        if not message.complete:
            return [Exchanged(exchange)]
        if exchange.is_tester_present():  # runs beside a pending request, so it gives nothing up
            return [Requested(exchange), Exchanged(exchange)]
        settled = self.finish()
        self._open = exchange
        self._unanswered.append(exchange)
        return [*settled, Requested(exchange)]

    def take_answer(self, message: Message) -> list[Heard]:
        """Return the exchange that an answer completes, if any; a broken answer completes none."""
        if not message.complete:
            return []
        for exchange in reversed(self._unanswered):
            if answers(exchange.request, message.payload):
                self._unanswered.remove(exchange)
                found = replace(exchange, answer=message)
                if exchange is not self._open:
                    return [AnsweredLate(found)]
                self._open = None
                return [Exchanged(found)]
        return []

    def finish(self) -> list[Heard]:
        """Settle the request that still waits for its answer."""
        settled: list[Heard] = [] if self._open is None else [Exchanged(self._open)]
        self._open = None
        return settled

    def key(self) -> Hashable:
        """Return its state."""
        return (frozen(self._open), frozen(tuple(self._unanswered)))
