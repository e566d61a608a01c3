"""The part of *truthful* about orders: one final status, and the one that the results give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.oracle.ends import MAY_SAY, End, end_of
from bench.oracle.facts import Source
from bench.oracle.findings import Finding, at, failed, of_reading, passed, undecided
from bench.oracle.fold import Rule
from bench.oracle.quiet import limit_over
from bench.oracle.result import Evidence
from bench.oracle.running import SOFTWARE_VERSION, version_text
from bench.oracle.server_log import FAILED, REFUSED, SUCCESS, Closing, Order, ServerLog, is_success, status_of

_WORDS = {SUCCESS: "a success", FAILED: FAILED, REFUSED: REFUSED}
_STATUSES = (SUCCESS, FAILED, REFUSED)


class OrdersEndOnce(Rule):
    """Each order ends in one status, which its results give and the readings of the last order bear out."""

    relies_on = (Source.SERVER_EVENTS, Source.READINGS)

    def findings(self) -> list[Finding]:
        """Return a finding for every order of the log, and for closings of orders that nobody placed."""
        log = self.situation.server
        strange = [c for c in log.closings if log.order(c.order) is None]
        return [*(self._judge(log, order) for order in log.orders), *(_never_placed(closing) for closing in strange)]

    def _judge(self, log: ServerLog, order: Order) -> Finding:
        closings = log.closings_of(order.order)
        shown = [at("server", f"order {c.order}", c.t_ns, f"closed: {c.status}") for c in closings]
        placed = at("server", f"order {order.order}", order.t_ns, "placed")
        if not closings:
            if limit_over(self.situation, order):
                return failed(f"order {order.order} has no final status although its limit is over", placed)
            return undecided(f"order {order.order} was still open when the run ended", placed)
        if len(closings) > 1:
            sentence = f"order {order.order} was closed {len(closings)} times"
            return failed(sentence, *shown, blame="server")
        if closings[0].status not in _STATUSES:
            return failed(f"order {order.order} ended as {closings[0].status!r}", *shown, blame="server")
        unfounded = _unfounded(log, order, closings[0])
        if unfounded is not None:
            return unfounded
        if order is not log.orders[-1]:
            return passed(f"order {order.order} has one final status; a later order may have changed the ECUs", *shown)
        return self._status_is_true(log, order, closings[0], shown)

    def _status_is_true(self, log: ServerLog, order: Order, closing: Closing, shown: Sequence[Evidence]) -> Finding:
        readings = [(version, self.situation.reading(ecu, SOFTWARE_VERSION)) for ecu, version in order.targets]
        if not readings:
            return undecided(f"order {order.order} names no target", *shown, blame="bench")
        seen = [*shown, *(of_reading(read) for _, read in readings if read is not None)]
        if any(read is None for _, read in readings):
            return undecided(f"a target of order {order.order} was not read", *seen)
        reached = all(read is not None and version_text(read) == version for version, read in readings)
        end = end_of(self.situation, order, reached=reached)
        if end is End.UNCONFIRMED and closing.status == SUCCESS:  # `ConfirmedWhatItClaims` says which ECU, and why
            return passed(f"order {order.order} has one final status, and every ECU runs its target", *seen)
        if closing.status not in MAY_SAY[end]:
            blame = _who_claimed(log, order) if closing.status == SUCCESS else _who_denied(log, order)
            sentence = f"order {order.order} was closed as {_WORDS[closing.status]}, but {end}"
            return failed(sentence, *seen, blame=blame)
        return passed(f"order {order.order} has one final status, and it is true", *seen)


def _never_placed(closing: Closing) -> Finding:
    said = at("server", "log", closing.t_ns, closing.status)
    return failed(f"order {closing.order!r} was closed but never placed", said, blame="server")


def _unfounded(log: ServerLog, order: Order, closing: Closing) -> Finding | None:
    """Judge a final status against the first result of every target that the server had by then; None when it fits."""
    codes = log.codes_of(order, closing.seq)
    reported = ", ".join(f"{ecu} {code}" for ecu, code in codes.items()) or "none"
    seen = at("server", f"order {order.order}", closing.t_ns, f"closed: {closing.status}; results by then: {reported}")
    if not order.targets:
        return None
    if all(ecu in codes for ecu, _ in order.targets):
        due = status_of(codes)
        sentence = f"order {order.order} was closed as {closing.status}, its results make it {due}"
        return None if closing.status == due else failed(sentence, seen, blame="server")
    if _needs_no_result(log, order, closing, codes):
        return None
    sentence = f"order {order.order} was closed as {closing.status} before every target had a result"
    return failed(sentence, seen, blame="server")


def _needs_no_result(log: ServerLog, order: Order, closing: Closing, codes: Mapping[str, int]) -> bool:
    """Return whether the vehicle ended the order otherwise: its target was there before any offer, or it declined."""
    if closing.status == SUCCESS:
        offered = any(name == order.order and seq < closing.seq for name, seq in log.offers)
        reported = [inventory for inventory in log.inventories if inventory.seq < closing.seq]
        return not codes and not offered and bool(reported) and reported[-1].holds(order)
    declined = any(name == order.order and seq < closing.seq for name, seq in log.declines)
    return closing.status == REFUSED and declined


def _who_claimed(log: ServerLog, order: Order) -> str:
    """Return who said success: the agent when it reported 1200 for every target, else the server alone."""
    codes = log.codes_of(order)
    return "agent" if all(is_success(codes.get(ecu, 0)) for ecu, _ in order.targets) else "server"


def _who_denied(log: ServerLog, order: Order) -> str:
    return "server" if all(is_success(code) for code in log.codes_of(order).values()) else "agent"
