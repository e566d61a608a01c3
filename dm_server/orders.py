"""An order's life as a transition table, and an order as the fold of its events."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bench.ports.server import OrderView, Target
from bench.wire.dm_scomo import REFUSALS, is_success


class OrderStatus(StrEnum):
    """Where an order stands."""

    OPEN = "open"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    SUCCESS = "success"
    FAILED = "failed"
    REFUSED = "refused"


class Step(StrEnum):
    """What can happen to an order; the values are event kinds, those of closing with the status behind."""

    OFFER = "order_offered"
    ACCEPT = "order_accepted"
    DECLINE = "order_refused_by_vehicle"
    RESULT = "component_result"
    SUCCEED = "order_closed success"
    FAIL = "order_closed failed"
    REFUSE = "order_closed refused"


CLOSED = (OrderStatus.SUCCESS, OrderStatus.FAILED, OrderStatus.REFUSED)

TRANSITIONS: dict[tuple[OrderStatus, Step], OrderStatus] = {
    (OrderStatus.OPEN, Step.OFFER): OrderStatus.OFFERED,
    (OrderStatus.OPEN, Step.SUCCEED): OrderStatus.SUCCESS,  # the vehicle held the target all along
    (OrderStatus.OFFERED, Step.OFFER): OrderStatus.OFFERED,  # the answer to the first offer never came
    (OrderStatus.OFFERED, Step.ACCEPT): OrderStatus.ACCEPTED,
    # 405 and its like mean "not now" (OMA-TS-DM_Protocol-V2_0 has 405 for a node that does not allow the command, from
    # memory): the order stays on offer, or a vehicle that is still busy with the last one would lose it. Where the
    # refusal is final, REFUSE follows.
    (OrderStatus.OFFERED, Step.DECLINE): OrderStatus.OFFERED,
    (OrderStatus.OFFERED, Step.REFUSE): OrderStatus.REFUSED,
    (OrderStatus.OFFERED, Step.RESULT): OrderStatus.ACCEPTED,  # the 202 was lost, the result proves it
    (OrderStatus.ACCEPTED, Step.RESULT): OrderStatus.ACCEPTED,
    (OrderStatus.ACCEPTED, Step.SUCCEED): OrderStatus.SUCCESS,
    (OrderStatus.ACCEPTED, Step.FAIL): OrderStatus.FAILED,
    (OrderStatus.ACCEPTED, Step.REFUSE): OrderStatus.REFUSED,
}


class IllegalStep(Exception):
    """The table has no such transition."""


def next_status(status: OrderStatus, step: Step) -> OrderStatus:
    """Return the status after `step`; `IllegalStep` when the table has no such transition."""
    try:
        return TRANSITIONS[status, step]
    except KeyError:
        raise IllegalStep(f"{step} of an order that is {status}") from None


@dataclass(frozen=True, slots=True)
class Order:
    """A package ordered for a vehicle; `results` holds the result code of each ECU that reported."""

    order: str
    package_id: str
    targets: tuple[Target, ...]
    status: OrderStatus = OrderStatus.OPEN
    results: Mapping[str, int] = field(default_factory=dict)

    @property
    def closed(self) -> bool:
        """Return whether the order is over."""
        return self.status in CLOSED

    def allows(self, step: Step) -> bool:
        """Return whether `step` may happen now."""
        return (self.status, step) in TRANSITIONS

    def is_met_by(self, ecus: Mapping[str, str]) -> bool:
        """Return whether every target ECU holds its target version."""
        return all(ecus.get(target.ecu) == target.version for target in self.targets)

    def verdict(self) -> OrderStatus | None:
        """Return how the order ends once every target has a result, else None."""
        # An order with a result missing stays open: closed early, the missing one would come for an order that is over.
        if any(target.ecu not in self.results for target in self.targets):
            return None
        codes = [self.results[target.ecu] for target in self.targets]
        if all(is_success(code) for code in codes):
            return OrderStatus.SUCCESS
        return OrderStatus.REFUSED if all(code in REFUSALS for code in codes) else OrderStatus.FAILED

    def after(self, kind: str, data: Mapping[str, Any]) -> Order:
        """Return the order after one of its events; `IllegalStep` when the event may not happen now."""
        step = Step(f"{kind} {data['status']}" if kind == "order_closed" else kind)
        results = {**self.results, data["ecu"]: data["result_code"]} if step is Step.RESULT else self.results
        return replace(self, status=next_status(self.status, step), results=results)

    def view(self) -> OrderView:
        """Return the order as `ServerView` shows it."""
        return OrderView(self.order, self.package_id, self.status.value, self.targets)


def placed(data: Mapping[str, Any]) -> Order:
    """Return the order that an `order_placed` event made."""
    return Order(data["order"], data["package_id"], read_targets(data["targets"]))


def targets_json(targets: Sequence[Target]) -> list[dict[str, str]]:
    """Return targets as they stand in events."""
    return [{"ecu": target.ecu, "version": target.version} for target in targets]


def read_targets(found: Sequence[Mapping[str, str]]) -> tuple[Target, ...]:
    """Return targets from what stands in events."""
    return tuple(Target(item["ecu"], item["version"]) for item in found)


ORDER_EVENTS = (
    "order_offered",
    "order_accepted",
    "order_refused_by_vehicle",
    "component_result",
    "order_closed",
)
"""Kinds of events that move an order; each carries `order`."""
