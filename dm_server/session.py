"""The session engine: decides what a message means and what to answer. No I/O, no clock, no store.

A vehicle's session has two turns. Its package #1 is answered with GET DevInfo and GET SCOMO; the package #3 that
follows is answered with an offer (HGET and EXEC) when an order is due, else with END; the answer to an offer is
answered with END. Results come as alerts, in package #1 or #3, and count before anything else is decided.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from bench.wire.dm import END, NOT_NOW, SC_ACCEPTED, SC_OK, Command, Commands, DevInfo, Initiation, Response, Verb
from bench.wire.dm_alert import START_ALERTS, AlertType, OperationComplete
from bench.wire.dm_json import DmError
from bench.wire.dm_scomo import Inventory, download_install_node, is_success, pkg_url_node
from bench.wire.dm_uri import ClientUri, Moid
from dm_server.orders import IllegalStep, Order, OrderStatus, Step
from dm_server.refusal import Refused
from dm_server.results import reports_something, take_result, take_results
from dm_server.session_states import Move, Phase, Session, opened
from dm_server.turn import Event, Outcome, Turn

GET_ROOTS = (Moid.DEVINFO, Moid.SCOMO)
"""What the server asks for at the beginning of each session."""


def on_bootstrap_complete(turn: Turn, message: Initiation, *, final: bool) -> Outcome:
    """Make a registration final; once it is (`final`), a repetition changes nothing."""
    wrong = take_results(turn, message.alerts)
    alert = next(alert for alert in message.alerts if alert.alert_type == AlertType.BOOTSTRAP_COMPLETE)
    code = alert.data.get("ResultCode", SC_OK)
    if not is_success(code):
        wrong.append(f"the vehicle says that its bootstrap failed with {code}")
    if wrong:
        return turn.refused(Refused(400, wrong[0]))
    if not final:
        turn.add("bootstrap_complete")
    return Outcome(Commands((END,)), None, tuple(turn.events))


def on_initiation(turn: Turn, message: Initiation, session_id: str) -> Outcome:
    """Open a session: take the results that came with it, then ask for DevInfo and inventory."""
    wrong = take_results(turn, message.alerts)
    if wrong:
        return turn.refused(Refused(400, wrong[0]))
    started = Event("session_started", {"session": session_id, "alert": message.start_alert.value})
    turn.events.insert(0, started)
    session = opened(session_id)
    if reports_something(message.alerts):
        session = session.after(Move.REPORT)
    commands = tuple(Command(Verb.GET, (str(ClientUri(moid.value)),)) for moid in GET_ROOTS)
    return Outcome(Commands(commands), session, tuple(turn.events))


def on_response(turn: Turn, message: Response, session: Session | None) -> Outcome:
    """Take the results, then go on with the session; it is refused when none is open or the statuses do not fit."""
    wrong = take_results(turn, message.alerts)
    reported = len(turn.events)
    try:
        if wrong:
            raise Refused(400, wrong[0])
        return _go_on(turn, message, session)
    except (Refused, IllegalStep) as error:
        del turn.events[reported:]  # what the vehicle reported is true, the rest of this message never happened
        return turn.refused(error if isinstance(error, Refused) else Refused(409, str(error)))


def _go_on(turn: Turn, message: Response, session: Session | None) -> Outcome:
    # A package #3 without its #1: its statuses answer commands that nobody knows any more.
    if session is None or session.phase is Phase.ENDED:
        raise Refused(409, "no session is open: a package #1 is due")
    if any(alert.alert_type in START_ALERTS for alert in message.alerts):
        raise Refused(400, "a start alert inside a session")
    if len(message.statuses) != 2:
        raise Refused(400, f"2 commands were sent, {len(message.statuses)} statuses came")
    if reports_something(message.alerts):
        session = session.after(Move.REPORT, session.order)
    due = None
    if session.phase is Phase.OFFER:
        _take_answer(turn, session.order, message)
    else:
        ecus = _take_data(turn, message)
        if ecus is not None and session.phase is Phase.DATA:
            due = _due(turn, ecus)
    if due is None:
        turn.add("session_ended", session=session.session)
        return Outcome(Commands((END,)), session.after(Move.END), tuple(turn.events))
    turn.add("order_offered", order=due.order, package_id=due.package_id)
    return Outcome(Commands(_offer(turn.base_url, due)), session.after(Move.OFFER, due.order), tuple(turn.events))


def _due(turn: Turn, ecus: Mapping[str, str]) -> Order | None:
    """Return the oldest unfinished order, if it may be offered.

    An order that was never offered and that the vehicle meets already is closed as a success. One on offer is offered
    until the vehicle answers, even when it holds the target by now: whether it began is for its own log to say. An
    accepted order is not offered again: the vehicle goes on with it by itself, from its own log.
    """
    for order in [order for order in turn.orders.values() if not order.closed]:
        if order.status is OrderStatus.OPEN and order.is_met_by(ecus):
            turn.add("order_closed", order=order.order, status=OrderStatus.SUCCESS.value)
            continue
        return order if order.allows(Step.OFFER) else None
    return None


def _offer(base_url: str, order: Order) -> tuple[Command, Command]:
    document = f"{base_url}/pkgurl/{order.package_id}?order={order.order}"
    return (
        Command(Verb.HGET, (document, str(pkg_url_node(order.package_id)))),
        Command(Verb.EXEC, (str(download_install_node(order.package_id)),)),
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


class Answer(StrEnum):
    """What a vehicle's statuses of HGET and EXEC mean."""

    ACCEPTED = "accepted"
    RESULT = "result"
    LATER = "later"
    NEVER = "never"


def _meaning(hget: int, execute: int) -> Answer:
    """Return what the two statuses mean.

    A failed HGET says nothing of the order: the network may have been the cause. So does a vehicle that cannot take
    the order now (`NOT_NOW`): it is offered again. An MO result in `sc` is the synchronous form of the result
    (docs/dm-dialect.md). Any other status is final.
    """
    if not 200 <= hget <= 299 or execute in NOT_NOW:
        return Answer.LATER
    if execute in (SC_OK, SC_ACCEPTED):
        return Answer.ACCEPTED
    return Answer.RESULT if execute >= 1200 else Answer.NEVER


def _take_answer(turn: Turn, order_id: str | None, message: Response) -> None:
    """Log how the vehicle answered the offer.

    Once the order has results (they came in this very message, or its 202 was lost) statuses cannot undo them.
    """
    if order_id is None:
        return
    hget, execute = (status.sc for status in message.statuses)
    meaning, order = _meaning(hget, execute), turn.orders[order_id]
    if not order.allows(Step.OFFER):
        if meaning in (Answer.LATER, Answer.NEVER):
            reason = f"{order_id} is {order.status}: its results count, the statuses {hget} and {execute} do not"
            turn.add("message_refused", status=409, reason=reason)
        return
    match meaning:
        case Answer.ACCEPTED:
            turn.add("order_accepted", order=order_id)
        case Answer.RESULT:
            turn.add("order_accepted", order=order_id)
            report = OperationComplete(package_id=order.package_id, ecu="", result_code=execute, correlator=order_id)
            take_result(turn, report)
        case Answer.LATER:
            turn.add("order_refused_by_vehicle", order=order_id, sc=execute if 200 <= hget <= 299 else hget)
        case Answer.NEVER:
            turn.add("order_refused_by_vehicle", order=order_id, sc=execute)
            turn.add("order_closed", order=order_id, status=OrderStatus.REFUSED.value)


def normalised_dev_id(text: str) -> str:
    """Return a device id with its scheme; bare digits are an IMEI."""
    return f"IMEI:{text}" if text.isascii() and text.isdecimal() else text
