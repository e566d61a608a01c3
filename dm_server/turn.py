"""One message being worked on: what it did to the vehicle's orders, and what goes into the log. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from bench.wire.dm import Commands
from dm_server.orders import Order
from dm_server.refusal import Refused
from dm_server.session_states import Session


class Event(NamedTuple):
    """An entry for the vehicle's log."""

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a message led to: an answer or a refusal, the session after it (None: unchanged), entries for the log.

    A refused message has events all the same: the results that it brought are true whatever else was wrong with it.
    """

    reply: Commands | Refused
    session: Session | None
    events: tuple[Event, ...]


@dataclass(slots=True)
class Turn:
    """The vehicle's orders as they stand, and the events so far."""

    dev_id: str
    orders: dict[str, Order]
    base_url: str
    events: list[Event] = field(default_factory=list)

    def add(self, kind: str, **data: Any) -> None:
        """Note an event and move the order that it names."""
        if "order" in data:
            self.orders[data["order"]] = self.orders[data["order"]].after(kind, data)
        self.events.append(Event(kind, data))

    def refused(self, refusal: Refused) -> Outcome:
        """Return the refusal, with the events noted so far; the session stays as it was."""
        return Outcome(refusal, None, tuple(self.events))
