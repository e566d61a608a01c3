"""Live: after bounded faults the vehicle reaches the target, or a documented refusal, within the stated time."""

from __future__ import annotations

from bench.core.records import RunRecord
from bench.oracle.findings import Finding, at, bench, conclude, failed, of_reading, passed, seconds, undecided, unseen
from bench.oracle.quiet import clock_start, clock_start_ns, limit_over
from bench.oracle.result import Evidence, Invariant, InvariantVerdict
from bench.oracle.running import SOFTWARE_VERSION, reading, version_text
from bench.oracle.server_log import INSTALL_FAILED, Closing, Order, ServerLog, fold

REASON_CHARACTERS = 120
"""How much of the vehicle's own words the sentence quotes; the evidence has all."""
RESULT_OK = 1200


def live(record: RunRecord) -> InvariantVerdict:
    """Judge invariant 5 on the last order placed.

    The limit counts from the placing of the order or, when later, from the last fault's restoration. Where an
    update is expected the order must end as a success with every target read back, else as failed or refused.
    """
    return conclude(Invariant.LIVE, _findings(record), "the order reached its expected end within the limit")


def _findings(record: RunRecord) -> list[Finding]:
    if not record.server_events:
        return [unseen("the server's log was not read", bench("no server events"))]
    log = fold(record)
    if not log.orders:
        return [undecided("no order was placed, so nothing could be reached", bench("no order_placed"), blame="bench")]
    order = log.orders[-1]
    closings = log.closings_of(order.order)
    if not closings:
        return [_still_open(record, log, order)]
    blame = _ended_by(log, order)
    found = [_in_time(record, order, closings[0]), _expected_end(record, order, closings[0], blame)]
    return found + (_targets(record, order, blame) if record.expects_update else [])


def _ended_by(log: ServerLog, order: Order) -> str | None:
    """Return who the results point at when the order ended otherwise than it should."""
    codes = log.codes_of(order)
    if INSTALL_FAILED in codes.values():
        return "flasher"
    return None if codes else "agent"


def _kept_open_by(log: ServerLog, order: Order) -> str:
    """Return who owes the next step of an open order: the closing, a good installation, the offer or a result."""
    codes = log.codes_of(order)
    if codes and len(codes) == len(order.targets):
        return "server"
    if INSTALL_FAILED in codes.values():
        return "flasher"
    asked = any(inventory.seq > order.seq for inventory in log.inventories)
    offered = any(offer == order.order for offer, _ in log.offers)
    return "server" if asked and not offered and not codes else "agent"


def _still_open(record: RunRecord, log: ServerLog, order: Order) -> Finding:
    seen = (clock_start(record, order), at("time", "bench", record.ended_t_ns, "the run ended with the order open"))
    if limit_over(record, order):
        allowed = at("time", "bench", clock_start_ns(record, order) + record.limits.live_within_ns, "the limit")
        reported = _reported(log, order)
        blame = _kept_open_by(log, order)
        return failed(f"order {order.order} reached no end within its limit", *seen, allowed, reported, blame=blame)
    left_ns = clock_start_ns(record, order) + record.limits.live_within_ns - record.ended_t_ns
    return undecided(f"the run ended {seconds(left_ns)} before the limit, with order {order.order} still open", *seen)


def _reported(log: ServerLog, order: Order) -> Evidence:
    codes = ", ".join(f"{ecu} {code}" for ecu, code in log.codes_of(order).items())
    return Evidence("server", f"order {order.order}", f"results: {codes or 'none'}")


def _closed(closing: Closing) -> Evidence:
    return at("server", f"order {closing.order}", closing.t_ns, f"closed: {closing.status}")


def _in_time(record: RunRecord, order: Order, closing: Closing) -> Finding:
    took_ns = max(0, closing.t_ns - clock_start_ns(record, order))
    limit = seconds(record.limits.live_within_ns)
    spent = at("time", "bench", closing.t_ns, f"{seconds(took_ns)} after that, allowed are {limit}")
    seen = (clock_start(record, order), _closed(closing), spent)
    if took_ns > record.limits.live_within_ns:
        return failed(f"order {order.order} ended later than its limit", *seen)
    return passed(f"order {order.order} took {seconds(took_ns)} of {limit}", *seen)


def _expected_end(record: RunRecord, order: Order, closing: Closing, blame: str | None) -> Finding:
    expected = ("success",) if record.expects_update else ("refused", "failed")
    if closing.status in expected:
        return passed(f"order {order.order} ended as {closing.status}, as expected", _closed(closing))
    sentence = f"order {order.order} ended as {closing.status}, expected was {' or '.join(expected)}"
    reasons = _reasons(record, order)
    if reasons:
        sentence = f"{sentence}: {reasons[0].text[:REASON_CHARACTERS]}"
    return failed(sentence, _closed(closing), *reasons, blame=blame)


def _reasons(record: RunRecord, order: Order) -> list[Evidence]:
    """Return what the vehicle itself said of the ECUs that did not reach their target."""
    return [
        at("server", f"order {order.order}", event.t_ns, f"{event.data.get('ecu')}: {event.data.get('text')}")
        for event in record.server_events
        if event.kind == "component_result" and event.data.get("order") == order.order and event.data.get("text")
        if event.data.get("result_code") != RESULT_OK
    ]


def _targets(record: RunRecord, order: Order, blame: str | None) -> list[Finding]:
    if not order.targets:
        return [undecided(f"order {order.order} names no target", bench("order without targets"), blame="bench")]
    return [_target(record, ecu, version, blame) for ecu, version in order.targets]


def _target(record: RunRecord, ecu: str, version: str, blame: str | None) -> Finding:
    read = reading(record, ecu, SOFTWARE_VERSION)
    if read is None:
        return undecided(f"the version of {ecu} was not read", bench(f"no reading F189 of {ecu}"))
    if version_text(read) == version:
        return passed(f"{ecu} holds its target {version}", of_reading(read))
    return failed(f"{ecu} did not reach {version}, it reads {version_text(read)!r}", of_reading(read), blame=blame)
