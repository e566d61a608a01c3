"""Truthful: the server believes what UDS reads, reports no success too early, ends each order in one status."""

from __future__ import annotations

from bench.core.records import DidReading, EcuLayout, RunRecord
from bench.oracle.findings import Finding, at, bench, conclude, failed, of_reading, passed, undecided, unseen
from bench.oracle.invariants.truthful_orders import orders_end_as_they_should
from bench.oracle.quiet import limit_over
from bench.oracle.result import Invariant, InvariantVerdict
from bench.oracle.running import SOFTWARE_VERSION, answering, executed_version, reading, version_text
from bench.oracle.server_log import Result, ServerLog, fold, is_success


def truthful(record: RunRecord) -> InvariantVerdict:
    """Judge invariant 4 at the end of the run. While an order is open and its limit not over, things are not
    quiet: what would be false then stays undecided."""
    if not record.server_events:
        return conclude(Invariant.TRUTHFUL, [unseen("the server's log was not read", bench("no server events"))], "")
    log = fold(record)
    quiet = all(log.closings_of(order.order) or limit_over(record, order) for order in log.orders)
    findings = [
        *(_reads_what_it_runs(record, read) for read in record.readings if read.did == SOFTWARE_VERSION),
        *(_belief(record, log, layout, quiet) for layout in record.layouts),
        *(_result(record, log, result) for result in log.results if is_success(result.result_code)),
        *orders_end_as_they_should(record, log),
    ]
    return conclude(Invariant.TRUTHFUL, findings, "the server knows what the ECUs hold, and said nothing too early")


def _reads_what_it_runs(record: RunRecord, read: DidReading) -> Finding:
    """Judge a version that an ECU told against the image that it had begun to execute last.

    A start since then, or an executed header that cannot be read, leaves nothing to compare with.
    """
    mine = [e for e in record.executions or () if e.ecu == read.ecu and e.t_ns <= read.t_ns]
    last = mine[-1] if mine else None
    version = None if last is None else executed_version(last)
    if last is None or version is None or read.value is None or _started_since(record, read, last.t_ns):
        return passed(f"the version that {read.ecu} reads stands alone", of_reading(read))
    ran = at("execution", read.ecu, last.t_ns, f"executes {version} from bank {last.bank}")
    if version_text(read) == version:
        return passed(f"{read.ecu} reads the version that it executes", of_reading(read), ran)
    sentence = f"{read.ecu} reads {version_text(read)!r} but executes {version!r}"
    return failed(sentence, of_reading(read), ran, blame="ecu")


def _started_since(record: RunRecord, read: DidReading, since_ns: int) -> bool:
    stages = [b for b in record.boots or () if b.ecu == read.ecu and b.stage != "application"]
    return any(since_ns < boot.t_ns <= read.t_ns for boot in stages)


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
