"""The results that a vehicle reports: which order each is about, and what it does to that order.

A result is taken whatever else its message holds, and whatever becomes of that message. One that was already said is
recognised, so that a vehicle may repeat a report until it gets an answer (its answer may be lost any number of times).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.wire.dm_alert import START_ALERTS, Alert, AlertType, OperationComplete
from bench.wire.dm_json import DmError
from bench.wire.dm_scomo import is_success, result_name
from dm_server.orders import Order, OrderStatus, Step
from dm_server.turn import Turn


def take_results(turn: Turn, alerts: Iterable[Alert]) -> list[str]:
    """Apply every result among `alerts`; return what is wrong with alerts that should hold one and do not."""
    wrong: list[str] = []
    for alert in alerts:
        if alert.alert_type in START_ALERTS:
            continue
        if alert.alert_type != AlertType.SCOMO_COMPLETE:
            turn.add("message_refused", status=404, reason=f"alert {alert.alert_type[:120]} is not known here")
            continue
        try:
            report = OperationComplete.of(alert)
        except DmError as error:
            wrong.append(str(error))
            continue
        take_result(turn, report)
    return wrong


def reports_something(alerts: Iterable[Alert]) -> bool:
    """Return whether there are results among the alerts, known or not."""
    return any(alert.alert_type == AlertType.SCOMO_COMPLETE for alert in alerts)


def take_result(turn: Turn, report: OperationComplete) -> None:
    """Apply one result; one without an ECU is that of every component that has none yet."""
    order = _order_of(turn, report)
    if order is None:
        of = f" of {report.correlator!r}" if report.correlator else ""
        reason = f"result {report.result_code} of {report.ecu!r} for package {report.package_id!r}{of} fits no order"
        turn.add("message_refused", status=404, reason=reason)
        return
    missing = [target.ecu for target in order.targets if target.ecu not in order.results]
    for ecu in [report.ecu] if report.ecu else missing:
        _take_component(turn, turn.orders[order.order], replace(report, ecu=ecu))


def _take_component(turn: Turn, order: Order, report: OperationComplete) -> None:
    """Apply the result of one component: the first one counts, a contradiction is noted and changes nothing."""
    known = order.results.get(report.ecu)
    if known is not None and known != report.result_code:
        reason = f"{report.ecu} reported {known} for {order.order}, now {report.result_code}"
        turn.add("message_refused", status=409, reason=reason)
    # A repetition, as after a lost answer: noted as a new event, the log would tell of installations that never were.
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
        correlated=bool(report.correlator),
    )
    verdict = turn.orders[order.order].verdict()
    if verdict is not None:
        turn.add("order_closed", order=order.order, status=verdict.value)


def _order_of(turn: Turn, report: OperationComplete) -> Order | None:
    """Return the order that a result is about, None when there is none.

    The correlator says it: it came with the order and is echoed if and only if it was supplied (OMA-TS-DM-FUMO-V1_0_2
    for generic alerts, from memory; SCOMO alike). An order that was never offered has no results.
    """
    fitting = [order for order in turn.orders.values() if _is_about(order, report)]
    if not report.correlator:
        return _most_likely(fitting, report)
    return next((order for order in fitting if order.order == report.correlator and _was_offered(order)), None)


def _most_likely(fitting: Sequence[Order], report: OperationComplete) -> Order | None:
    """Return which order a client without correlators means: the open order of that offer, or the one that it repeats.

    The same package may be ordered twice. As long as the vehicle has not accepted the second order, a result that an
    earlier one has already is a repetition: it must not close an order that nobody began.
    """
    repeated = [order for order in fitting if order.closed and _says_the_same(order, report)]
    for order in fitting:
        if order.status is OrderStatus.ACCEPTED or (order.allows(Step.RESULT) and not repeated):
            return order
    known = [order for order in fitting if report.ecu in order.results or (order.results and not report.ecu)]
    return next(reversed(repeated or known), None)


def _is_about(order: Order, report: OperationComplete) -> bool:
    named = not report.ecu or any(target.ecu == report.ecu for target in order.targets)
    return order.package_id == report.package_id and named


def _was_offered(order: Order) -> bool:
    return order.allows(Step.RESULT) or bool(order.results)


def _says_the_same(order: Order, report: OperationComplete) -> bool:
    if report.ecu:
        return order.results.get(report.ecu) == report.result_code
    return report.result_code in order.results.values()
