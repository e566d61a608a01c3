"""The twin: what the server believes of a vehicle, as a fold over its event log (D8)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from bench.core.records import ServerEvent
from bench.ports.server import Twin
from dm_server.orders import ORDER_EVENTS, Order, placed


@dataclass(slots=True)
class _Belief:
    registered: bool = False
    ecus: dict[str, str] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)


def fold(vin: str, events: Iterable[ServerEvent]) -> Twin:
    """Return the twin after `events`, the vehicle's log from its beginning.

    A vehicle counts as registered from its first BootstrapComplete on; `ecus` is its latest inventory.
    """
    belief = _Belief()
    for event in events:
        _apply(belief, event.kind, dict(event.data))
    return Twin(vin, belief.registered, belief.ecus, tuple(order.view() for order in belief.orders.values()))


def _apply(belief: _Belief, kind: str, data: dict[str, Any]) -> None:
    if kind == "bootstrap_complete":
        belief.registered = True
    elif kind == "inventory":
        belief.ecus = dict(data["ecus"])
    elif kind == "order_placed":
        belief.orders[data["order"]] = placed(data)
    # By the same table as the server: a log that the table does not allow raises, and is not believed as far as it
    # goes.
    elif kind in ORDER_EVENTS:
        belief.orders[data["order"]] = belief.orders[data["order"]].after(kind, data)
