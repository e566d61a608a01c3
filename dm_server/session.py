"""The session engine: decides what a message means and what to answer. No I/O, no clock, no store.

A vehicle's session has two turns. Its package #1 is answered with GET DevInfo and GET SCOMO; the package #3 that
follows is answered with an offer (HGET and EXEC) when an order is due, else with END; the answer to an offer is
answered with END. Results come as alerts, in package #1 or #3, and count before anything else is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, NamedTuple

from bench.wire.dm import END, SC_ACCEPTED, SC_OK, Command, Commands, DevInfo, Initiation, Response, Status, Verb
from bench.wire.dm_alert import START_ALERTS, Alert, AlertType, OperationComplete
from bench.wire.dm_json import DmError
from bench.wire.dm_scomo import Inventory, download_install_node, is_success, pkg_url_node, result_name
from bench.wire.dm_uri import ClientUri, Moid
from dm_server.orders import Order, OrderStatus, Step
from dm_server.refusal import Refused

GET_ROOTS = (Moid.DEVINFO, Moid.SCOMO)
"""What the server asks for at the beginning of each session."""


class Phase(StrEnum):
    """What the server waits for."""

    DATA = "data"
    OFFER = "offer"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Session:
    """A vehicle's latest session; `order` is the one on offer."""

    session: str
    phase: Phase
    order: str | None = None


class Event(NamedTuple):
    """An entry for the vehicle's log."""

    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer, the session after it (None: unchanged), and what goes into the log."""

    answer: Commands
    session: Session | None
    events: tuple[Event, ...]


@dataclass(slots=True)
class Turn:
    """One message being worked on: the vehicle's orders as they stand, and the events so far."""

    vin: str
    dev_id: str
    orders: dict[str, Order]
    base_url: str
    events: list[Event] = field(default_factory=list)

    def add(self, kind: str, **data: Any) -> None:
        """Note an event and move the order that it names."""
        self.events.append(Event(kind, data))
        if "order" in data:
            self.orders[data["order"]] = self.orders[data["order"]].after(kind, data)

    def finish(self, session: Session, *commands: Command) -> Outcome:
        """Return the outcome; a session whose answer is END has ended."""
        if END in commands:
            self.add("session_ended", session=session.session)
            session = replace(session, phase=Phase.ENDED, order=None)
        return Outcome(Commands(commands), session, tuple(self.events))


def on_bootstrap_complete(turn: Turn, message: Initiation, *, final: bool) -> Outcome:
    """Make a registration final; once it is (`final`), a repetition changes nothing."""
    alert = next(alert for alert in message.alerts if alert.alert_type == AlertType.BOOTSTRAP_COMPLETE)
    code = alert.data.get("ResultCode", SC_OK)
    if not is_success(code):
        raise Refused(400, f"the vehicle says that its bootstrap failed with {code}")
    if not final:
        turn.add("bootstrap_complete")
    return Outcome(Commands((END,)), None, tuple(turn.events))


def on_initiation(turn: Turn, message: Initiation, session_id: str) -> Outcome:
    """Open a session: take the results that came with it, then ask for DevInfo and inventory."""
    turn.add("session_started", session=session_id, alert=message.start_alert.value)
    _take_results(turn, message.alerts)
    session = Session(session_id, Phase.DATA)
    return turn.finish(session, *(Command(Verb.GET, (str(ClientUri(moid.value)),)) for moid in GET_ROOTS))


def on_response(turn: Turn, message: Response, session: Session | None) -> Outcome:
    """Go on with a session; `Refused` when none is open or the statuses do not fit what was sent."""
    if session is None or session.phase is Phase.ENDED:
        raise Refused(409, "no session is open: a package #1 is due")
    if any(alert.alert_type in START_ALERTS for alert in message.alerts):
        raise Refused(400, "a start alert inside a session")
    _take_results(turn, message.alerts)
    if len(message.statuses) != 2:
        raise Refused(400, f"2 commands were sent, {len(message.statuses)} statuses came")
    if session.phase is Phase.OFFER:
        _take_answer(turn, session.order, message.statuses)
        return turn.finish(session, END)
    ecus = _take_data(turn, message)
    due = None if ecus is None else _due(turn, ecus)
    if due is None:
        return turn.finish(session, END)
    turn.add("order_offered", order=due.order, package_id=due.package_id)
    return turn.finish(replace(session, phase=Phase.OFFER, order=due.order), *_offer(turn.base_url, due.package_id))


def _due(turn: Turn, ecus: Mapping[str, str]) -> Order | None:
    """Return the oldest unfinished order, if it may be offered and the vehicle does not hold its target yet.

    An order that was never offered and that the vehicle meets already is closed as a success. An accepted order is
    not offered again: the vehicle goes on with it by itself, from its own log.
    """
    for order in [order for order in turn.orders.values() if not order.closed]:
        if order.status is OrderStatus.OPEN and order.is_met_by(ecus):
            turn.add("order_closed", order=order.order, status=OrderStatus.SUCCESS.value)
            continue
        return order if order.allows(Step.OFFER) and not order.is_met_by(ecus) else None
    return None


def _offer(base_url: str, package_id: str) -> tuple[Command, Command]:
    return (
        Command(Verb.HGET, (f"{base_url}/pkgurl/{package_id}", str(pkg_url_node(package_id)))),
        Command(Verb.EXEC, (str(download_install_node(package_id)),)),
    )


def _take_data(turn: Turn, message: Response) -> dict[str, str] | None:
    """Log DevInfo and inventory; return the inventory, or None when the vehicle could not give it."""
    given = {item.client_uri.moid: item.data for item in message.mo_data}
    for moid, status in zip(GET_ROOTS, message.statuses, strict=True):
        if status.sc == SC_OK and moid not in given:
            raise Refused(400, f"GET of {moid} was answered with 200 and without data")
    try:
        if Moid.DEVINFO in given:
            info = DevInfo.read(given[Moid.DEVINFO])
            if normalised_dev_id(info.dev_id) != turn.dev_id:
                raise Refused(403, f"DevInfo names device {info.dev_id}, the header another")
            turn.add("device_info", dev_info=info.tree()["DevInfo"])
        if Moid.SCOMO not in given:
            return None
        inventory = Inventory.read(given[Moid.SCOMO], [])
    except DmError as error:
        raise Refused(400, str(error)) from None
    ecus = {item.ecu: item.version for item in inventory.components}
    turn.add("inventory", ecus=ecus)
    return ecus


def _take_answer(turn: Turn, order: str | None, statuses: tuple[Status, ...]) -> None:
    """Log how the vehicle answered HGET and EXEC.

    A failed HGET leaves the order on offer (the network may have been the cause); a refused EXEC closes it; an MO
    result in `sc` is the synchronous form of the result (docs/dm-dialect.md).
    """
    if order is None or turn.orders[order].closed:
        return
    hget, execute = (status.sc for status in statuses)
    if not 200 <= hget <= 299:
        turn.add("order_refused_by_vehicle", order=order, sc=hget)
    elif execute in (SC_OK, SC_ACCEPTED):
        if turn.orders[order].allows(Step.ACCEPT):
            turn.add("order_accepted", order=order)
    elif execute >= 1200:
        _take_synchronous(turn, order, execute)
    else:
        turn.add("order_refused_by_vehicle", order=order, sc=execute)
        turn.add("order_closed", order=order, status="refused")


def _take_synchronous(turn: Turn, order: str, code: int) -> None:
    if turn.orders[order].allows(Step.ACCEPT):
        turn.add("order_accepted", order=order)
    for target in turn.orders[order].targets:
        if not turn.orders[order].closed:
            report = OperationComplete(package_id=turn.orders[order].package_id, ecu=target.ecu, result_code=code)
            _take_result(turn, report)


def _take_results(turn: Turn, alerts: tuple[Alert, ...]) -> None:
    for alert in alerts:
        if alert.alert_type in START_ALERTS:
            continue
        if alert.alert_type != AlertType.SCOMO_COMPLETE:
            turn.add("message_refused", status=404, reason=f"alert {alert.alert_type[:120]} is not known here")
            continue
        try:
            report = OperationComplete.of(alert)
        except DmError as error:
            raise Refused(400, str(error)) from None
        _take_result(turn, report)


def _take_result(turn: Turn, report: OperationComplete) -> None:
    """Apply one result. What was already said is recognised; what fits no order is logged and changes nothing."""
    order = _order_of(turn, report)
    if order is None:
        reason = f"result {report.result_code} of {report.ecu!r} for package {report.package_id!r} fits no order"
        turn.add("message_refused", status=404, reason=reason)
        return
    known = order.results.get(report.ecu)
    if known is not None and known != report.result_code:
        reason = f"{report.ecu} reported {known} for {order.order}, now {report.result_code}"
        turn.add("message_refused", status=409, reason=reason)
    if known is not None:
        return
    target = next(target for target in order.targets if target.ecu == report.ecu)
    version = report.version or (target.version if is_success(report.result_code) else "")
    turn.add(
        "component_result",
        order=order.order,
        ecu=report.ecu,
        result_code=report.result_code,
        version=version,
        text=report.text or result_name(report.result_code),
    )
    verdict = turn.orders[order.order].verdict()
    if verdict is not None:
        turn.add("order_closed", order=order.order, status=verdict.value)


def _order_of(turn: Turn, report: OperationComplete) -> Order | None:
    """Return the order that a result is about: the one at work, else the latest one that knows this result."""
    fitting = [
        order
        for order in turn.orders.values()
        if order.package_id == report.package_id and any(target.ecu == report.ecu for target in order.targets)
    ]
    working = [order for order in fitting if order.allows(Step.RESULT)]
    known = [order for order in fitting if report.ecu in order.results]
    return next(iter(working or reversed(known)), None)


def normalised_dev_id(text: str) -> str:
    """Return a device id with its scheme; bare digits are an IMEI."""
    return f"IMEI:{text}" if text.isascii() and text.isdecimal() else text
