"""A fold of the judge's own over the DM server's event log: orders, results, and what the server believes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from bench.core.records import ServerEvent

SUCCESS, FAILED, REFUSED = "success", "failed", "refused"
"""The final statuses of an order."""
SUCCESSES = (range(1200, 1300), range(200, 300))
"""SCOMO result codes of a component that was installed (OMA-TS-DM-SCOMO, 1200 to 1299), and the range of the slides."""
_REFUSALS = (1407, 1455)
INSTALL_FAILED = 1405
"""SCOMO result codes: validation failed, device or version mismatch; installing failed."""


def is_success(result_code: int) -> bool:
    """Return whether a SCOMO result code says that the component was installed."""
    return any(result_code in codes for codes in SUCCESSES)


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it was placed: (ecu, version) pairs to reach."""

    order: str
    t_ns: int
    targets: tuple[tuple[str, str], ...]
    seq: int = 0

    def version_for(self, ecu: str) -> str | None:
        """Return the version that this ECU is to reach."""
        return next((version for name, version in self.targets if name == ecu), None)


@dataclass(frozen=True, slots=True)
class Closing:
    """One final status of an order."""

    order: str
    t_ns: int
    status: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What the vehicle reported of one component."""

    order: str
    t_ns: int
    ecu: str
    result_code: int
    version: str
    seq: int = 0


@dataclass(frozen=True, slots=True)
class Reason:
    """What the vehicle itself said of an ECU that did not reach its target."""

    only_shown: ClassVar[tuple[str, ...]] = ("t_ns",)

    order: str
    t_ns: int
    ecu: str
    text: str


@dataclass(frozen=True, slots=True)
class Belief:
    """What the server last learnt of an ECU, when and by which event."""

    only_shown: ClassVar[tuple[str, ...]] = ("t_ns", "source")

    version: str
    t_ns: int
    source: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """What the vehicle said its ECUs hold, as (ecu, version) pairs."""

    t_ns: int
    seq: int
    ecus: tuple[tuple[str, str], ...]

    def holds(self, order: Order) -> bool:
        """Return whether every target of `order` is what its ECU holds."""
        return bool(order.targets) and all(target in self.ecus for target in order.targets)


@dataclass(slots=True)
class ServerLog:
    """The fold's outcome. `beliefs` is empty as long as the vehicle reported nothing; `offers` and `declines` are
    (order, event number) pairs."""

    only_shown: ClassVar[tuple[str, ...]] = ("events",)

    vin: str
    orders: list[Order] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    beliefs: dict[str, Belief] = field(default_factory=dict)
    inventories: list[Inventory] = field(default_factory=list)
    offers: list[tuple[str, int]] = field(default_factory=list)
    declines: list[tuple[str, int]] = field(default_factory=list)
    reasons: list[Reason] = field(default_factory=list)
    events: int = 0
    """How many events of the vehicle were read."""
    last: ServerEvent | None = None

    def take(self, event: ServerEvent) -> None:
        """Read an event, in order of their numbers; one of another vehicle, or read twice, counts for nothing."""
        if event.vin == self.vin and event != self.last:
            self.events += 1
            self.last = event
            _apply(self, event)

    def order(self, order: str) -> Order | None:
        """Return the order of that id."""
        return next((placed for placed in self.orders if placed.order == order), None)

    def closings_of(self, order: str) -> list[Closing]:
        """Return the final statuses of an order; there must be one."""
        return [closing for closing in self.closings if closing.order == order]

    def codes_of(self, order: Order, until_seq: int | None = None) -> dict[str, int]:
        """Return the first result code of each target ECU, of results logged before the event `until_seq`."""
        targets = [ecu for ecu, _ in order.targets]
        codes: dict[str, int] = {}
        for result in self.results:
            in_time = until_seq is None or result.seq < until_seq
            if result.order == order.order and result.ecu in targets and in_time:
                codes.setdefault(result.ecu, result.result_code)
        return codes


def status_of(codes: Mapping[str, int]) -> str:
    """Return how an order ends of which every target has one of these result codes."""
    if all(is_success(code) for code in codes.values()):
        return SUCCESS
    return REFUSED if all(code in _REFUSALS for code in codes.values()) else FAILED


def _apply(log: ServerLog, event: ServerEvent) -> None:
    data, order = event.data, str(event.data.get("order", ""))
    match event.kind:
        case "order_placed":
            log.orders.append(Order(order, event.t_ns, _targets(data.get("targets")), event.seq))
        case "order_closed":
            log.closings.append(Closing(order, event.t_ns, str(data.get("status", "")), event.seq))
        case "order_offered":
            log.offers.append((order, event.seq))
        case "order_refused_by_vehicle":
            log.declines.append((order, event.seq))
        case "inventory":
            reported = _texts(data.get("ecus"))
            log.inventories.append(Inventory(event.t_ns, event.seq, tuple(reported)))
            for ecu, version in reported:
                log.beliefs[ecu] = Belief(version, event.t_ns, "inventory")
        case "component_result":
            result = _result(log, event)
            log.results.append(result)
            if event.data.get("text") and not is_success(result.result_code):
                log.reasons.append(Reason(result.order, event.t_ns, result.ecu, str(event.data["text"])))
            if is_success(result.result_code):
                source = f"component result {result.result_code}"
                log.beliefs[result.ecu] = Belief(result.version, event.t_ns, source)


def _result(log: ServerLog, event: ServerEvent) -> Result:
    """Read a component result; where it names no version, the order's target is what it claims."""
    order, ecu, code = (event.data.get(name) for name in ("order", "ecu", "result_code"))
    placed = log.order(str(order))
    version = event.data.get("version") or (placed.version_for(str(ecu)) if placed else None) or ""
    number = int(code) if isinstance(code, int | str) and str(code).isdecimal() else 0
    return Result(str(order), event.t_ns, str(ecu), number, str(version), event.seq)


def _targets(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple((str(t.get("ecu")), str(t.get("version"))) for t in value if isinstance(t, Mapping))


def _texts(value: object) -> list[tuple[str, str]]:
    return [(str(key), str(text or "")) for key, text in value.items()] if isinstance(value, Mapping) else []
