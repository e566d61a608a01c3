"""A fold of the judge's own over the DM server's event log: orders, results, and what the server believes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.core.records import RunRecord, ServerEvent

RESULT_OK = 1200
"""SCOMO result code of a component that was installed."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order as it was placed: (ecu, version) pairs to reach."""

    order: str
    t_ns: int
    targets: tuple[tuple[str, str], ...]

    def version_for(self, ecu: str) -> str | None:
        """Return the version that this ECU is to reach."""
        return next((version for name, version in self.targets if name == ecu), None)


@dataclass(frozen=True, slots=True)
class Closing:
    """One final status of an order."""

    order: str
    t_ns: int
    status: str


@dataclass(frozen=True, slots=True)
class Result:
    """What the vehicle reported of one component."""

    order: str
    t_ns: int
    ecu: str
    result_code: int
    version: str


@dataclass(frozen=True, slots=True)
class Belief:
    """What the server last learnt of an ECU, when and by which event."""

    version: str
    t_ns: int
    source: str


@dataclass(slots=True)
class ServerLog:
    """The fold's outcome. `beliefs` is empty as long as the vehicle told nothing."""

    orders: list[Order] = field(default_factory=list)
    closings: list[Closing] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)
    beliefs: dict[str, Belief] = field(default_factory=dict)

    def order(self, order: str) -> Order | None:
        """Return the order of that id."""
        return next((placed for placed in self.orders if placed.order == order), None)

    def closings_of(self, order: str) -> list[Closing]:
        """Return the final statuses of an order; there must be one."""
        return [closing for closing in self.closings if closing.order == order]


def fold(record: RunRecord) -> ServerLog:
    """Read the events of the record's vehicle in order of their numbers; an event read twice counts once."""
    log = ServerLog()
    seen: list[ServerEvent] = []
    for event in sorted(record.server_events, key=lambda event: event.seq):
        if event.vin == record.vin and event not in seen[-1:]:
            _apply(log, event)
            seen.append(event)
    return log


def _apply(log: ServerLog, event: ServerEvent) -> None:
    data, order = event.data, str(event.data.get("order", ""))
    match event.kind:
        case "order_placed":
            log.orders.append(Order(order, event.t_ns, _targets(data.get("targets"))))
        case "order_closed":
            log.closings.append(Closing(order, event.t_ns, str(data.get("status", ""))))
        case "inventory":
            for ecu, version in _texts(data.get("ecus")):
                log.beliefs[ecu] = Belief(version, event.t_ns, "inventory")
        case "component_result":
            result = _result(log, event)
            log.results.append(result)
            if result.result_code == RESULT_OK:
                log.beliefs[result.ecu] = Belief(result.version, event.t_ns, "component result 1200")


def _result(log: ServerLog, event: ServerEvent) -> Result:
    """Read a component result; where it names no version, the order's target is what it claims."""
    order, ecu, code = (event.data.get(name) for name in ("order", "ecu", "result_code"))
    placed = log.order(str(order))
    version = event.data.get("version") or (placed.version_for(str(ecu)) if placed else None) or ""
    number = int(code) if isinstance(code, int | str) and str(code).isdecimal() else 0
    return Result(str(order), event.t_ns, str(ecu), number, str(version))


def _targets(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        return ()
    return tuple((str(t.get("ecu")), str(t.get("version"))) for t in value if isinstance(t, Mapping))


def _texts(value: object) -> list[tuple[str, str]]:
    return [(str(key), str(text or "")) for key, text in value.items()] if isinstance(value, Mapping) else []
