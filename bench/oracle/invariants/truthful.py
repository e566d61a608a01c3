"""Truthful: the server believes what UDS reads, reports no success too early, ends each order in one status."""

from __future__ import annotations

from collections.abc import Sequence

from bench.core.records import EcuLayout, RunRecord
from bench.oracle.findings import Finding, at, bench, conclude, failed, of_reading, passed, undecided, unseen
from bench.oracle.quiet import limit_over
from bench.oracle.result import Evidence, Invariant, InvariantVerdict
from bench.oracle.running import SOFTWARE_VERSION, answering, executed_version, reading, version_text
from bench.oracle.server_log import RESULT_OK, Closing, Order, Result, ServerLog, fold

_STATUSES = ("success", "failed", "refused")


def truthful(record: RunRecord) -> InvariantVerdict:
    """Judge invariant 4 at the end of the run. While an order is open and its limit not over, things are not
    quiet: what would be false then stays undecided."""
    if not record.server_events:
        return conclude(Invariant.TRUTHFUL, [unseen("the server's log was not read", bench("no server events"))], "")
    log = fold(record)
    quiet = all(log.closings_of(order.order) or limit_over(record, order) for order in log.orders)
    findings = [
        *(_belief(record, log, layout, quiet) for layout in record.layouts),
        *(_result(record, log, result) for result in log.results if result.result_code == RESULT_OK),
        *(_final_status(record, log, order) for order in log.orders),
        *_strange_closings(log),
    ]
    return conclude(Invariant.TRUTHFUL, findings, "the server knows what the ECUs hold, and said nothing too early")


def _belief(record: RunRecord, log: ServerLog, layout: EcuLayout, quiet: bool) -> Finding:
    belief, read = log.beliefs.get(layout.ecu), reading(record, layout.ecu, SOFTWARE_VERSION)
    if read is None:
        return undecided(f"the version of {layout.ecu} was not read", bench(f"no reading F189 of {layout.ecu}"))
    if answering(record, layout.ecu) is None:
        return undecided(f"{layout.ecu} answers nothing, so nobody knows what it holds", of_reading(read))
    if belief is None:
        nothing = f"the vehicle never told the server about {layout.ecu}"
        told = failed if log.beliefs and quiet else undecided
        return told(nothing, bench(f"no inventory and no result names {layout.ecu}"), of_reading(read))
    seen = (at("server", layout.ecu, belief.t_ns, f"{belief.source}: {belief.version!r}"), of_reading(read))
    if belief.version == version_text(read):
        return passed(f"the server knows that {layout.ecu} holds {belief.version!r}", *seen)
    sentence = f"the server believes {layout.ecu} holds {belief.version!r}, UDS reads {version_text(read)!r}"
    if not quiet:
        return undecided(f"{sentence}, but an order is still under way", *seen)
    return failed(sentence, *seen, blame="agent")


def _result(record: RunRecord, log: ServerLog, result: Result) -> Finding:
    """Judge a reported success against the first execution of that version by that ECU."""
    said = at("server", result.ecu, result.t_ns, f"component result {result.result_code} for {result.version!r}")
    order = log.order(result.order)
    if order is None:
        return failed(f"a success of {result.ecu} was reported for no order ({result.order!r})", said, blame="server")
    if record.executions is None:
        return unseen(f"when {result.ecu} first executed {result.version!r} was not observed", said)
    mine = [e for e in record.executions if e.ecu == result.ecu and executed_version(e) == result.version]
    if mine and mine[0].t_ns <= result.t_ns:
        ran = at("execution", result.ecu, mine[0].t_ns, f"first executed {result.version} from bank {mine[0].bank}")
        return passed(f"the success of {result.ecu} was reported when it was true", said, ran)
    when = at("execution", result.ecu, mine[0].t_ns, "first execution") if mine else bench("it was never executed")
    return failed(f"success of {result.ecu} was reported before it ran {result.version!r}", said, when, blame="agent")


def _final_status(record: RunRecord, log: ServerLog, order: Order) -> Finding:
    closings = log.closings_of(order.order)
    shown = [at("server", f"order {c.order}", c.t_ns, f"closed: {c.status}") for c in closings]
    placed = at("server", f"order {order.order}", order.t_ns, "placed")
    if not closings:
        if limit_over(record, order):
            return failed(f"order {order.order} has no final status although its limit is over", placed)
        return undecided(f"order {order.order} was still open when the run ended", placed)
    if len(closings) > 1:
        sentence = f"order {order.order} was closed {len(closings)} times"
        return failed(sentence, *shown, blame="server")
    if closings[0].status not in _STATUSES:
        return failed(f"order {order.order} ended as {closings[0].status!r}", *shown, blame="server")
    if order is not log.orders[-1]:
        return passed(f"order {order.order} has one final status; a later order may have changed the ECUs", *shown)
    return _status_is_true(record, log, order, closings[0], shown)


def _status_is_true(
    record: RunRecord, log: ServerLog, order: Order, closing: Closing, shown: Sequence[Evidence]
) -> Finding:
    readings = [(version, reading(record, ecu, SOFTWARE_VERSION)) for ecu, version in order.targets]
    if not readings:
        return undecided(f"order {order.order} names no target", *shown, blame="bench")
    seen = [*shown, *(of_reading(read) for _, read in readings if read is not None)]
    if any(read is None for _, read in readings):
        return undecided(f"a target of order {order.order} was not read", *seen)
    reached = all(read is not None and version_text(read) == version for version, read in readings)
    if closing.status == "success" and not reached:
        sentence = f"order {order.order} was closed as a success, but not every ECU holds its target"
        return failed(sentence, *seen, blame=_who_claimed(log, order))
    if closing.status != "success" and reached and not _held_before(record, order):
        sentence = f"order {order.order} was closed as {closing.status}, but every ECU holds its target"
        return failed(sentence, *seen, blame=_who_denied(log, order))
    return passed(f"order {order.order} has one final status, and it is true", *seen)


def _who_claimed(log: ServerLog, order: Order) -> str:
    """Return who said success: the agent when it reported 1200 for every target, else the server alone."""
    good = [r.ecu for r in log.results if r.order == order.order and r.result_code == RESULT_OK]
    return "agent" if all(ecu in good for ecu, _ in order.targets) else "server"


def _who_denied(log: ServerLog, order: Order) -> str:
    bad = [r for r in log.results if r.order == order.order and r.result_code != RESULT_OK]
    return "agent" if bad else "server"


def _held_before(record: RunRecord, order: Order) -> bool:
    """Return whether every target was what the ECU held before the run (a refusal then changes nothing)."""
    before = [(r.ecu, r.version) for r in record.references if r.role == "installed"]
    return all(target in before for target in order.targets)


def _strange_closings(log: ServerLog) -> list[Finding]:
    strange = [c for c in log.closings if log.order(c.order) is None]
    return [
        failed(f"order {c.order!r} was closed but never placed", at("server", "log", c.t_ns, c.status), blame="server")
        for c in strange
    ]
