"""The part of *truthful* about orders: one final status, the one that the results give, and a success confirmed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bench.core.records import FlashDump, RunRecord
from bench.oracle.decode_image import HEADER_BYTES, header_or_none
from bench.oracle.findings import Finding, at, failed, of_reading, passed, undecided
from bench.oracle.quiet import limit_over
from bench.oracle.result import Evidence
from bench.oracle.running import SOFTWARE_VERSION, reading, version_text
from bench.oracle.server_log import FAILED, REFUSED, SUCCESS, Closing, Order, ServerLog, is_success, status_of

_STATUSES = (SUCCESS, FAILED, REFUSED)


def orders_end_as_they_should(record: RunRecord, log: ServerLog) -> list[Finding]:
    """Return the findings on every order of the log, and on closings of orders that nobody placed."""
    return [
        *(_judge(record, log, order) for order in log.orders),
        *(finding for order in log.orders for finding in _confirmed(record, log, order)),
        *_strange_closings(log),
    ]


def _judge(record: RunRecord, log: ServerLog, order: Order) -> Finding:
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
    unfounded = _unfounded(log, order, closings[0])
    if unfounded is not None:
        return unfounded
    if order is not log.orders[-1]:
        return passed(f"order {order.order} has one final status; a later order may have changed the ECUs", *shown)
    return _status_is_true(record, log, order, closings[0], shown)


def _unfounded(log: ServerLog, order: Order, closing: Closing) -> Finding | None:
    """Judge a final status against the first result of every target that the server had by then; None when it fits."""
    codes = log.codes_of(order, closing.seq)
    told = ", ".join(f"{ecu} {code}" for ecu, code in codes.items()) or "none"
    seen = at("server", f"order {order.order}", closing.t_ns, f"closed: {closing.status}; results by then: {told}")
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
    """Return whether the vehicle ended the order otherwise: it held the target before any offer, or declined."""
    if closing.status == SUCCESS:
        offered = any(name == order.order and seq < closing.seq for name, seq in log.offers)
        told = [inventory for inventory in log.inventories if inventory.seq < closing.seq]
        return not codes and not offered and bool(told) and told[-1].holds(order)
    declined = any(name == order.order and seq < closing.seq for name, seq in log.declines)
    return closing.status == REFUSED and declined


def _confirmed(record: RunRecord, log: ServerLog, order: Order) -> list[Finding]:
    """Judge what a success must have left in each target ECU: its floor raised and, after the last order, no trial.

    Where the floor cannot be read there is no finding. A floor never falls, so a later order is no excuse for it.
    """
    if [closing.status for closing in log.closings_of(order.order)] != [SUCCESS]:
        return []
    last = order is log.orders[-1]
    dumps = {dump.ecu: dump for dump in record.flash or () if dump.release_floor is not None}
    targets = [(dumps[ecu], version) for ecu, version in order.targets if ecu in dumps]
    trials = [_no_trial(dump, version) for dump, version in targets if last]
    return trials + [_floor_raised(record, log, order, dump, version) for dump, version in targets]


def _no_trial(dump: FlashDump, version: str) -> Finding:
    if dump.trial_bank is None:
        return passed(f"{dump.ecu} has no image on trial", _nvm(dump, "no image on trial"))
    slot = dump.region(f"header:{dump.trial_bank}")
    header = header_or_none(slot.data[:HEADER_BYTES]) if slot is not None else None
    held = version if header is None else header.version
    sentence = f"success was reported, but {dump.ecu} still runs {held} on trial and will fall back"
    return failed(sentence, _nvm(dump, f"{held} in bank {dump.trial_bank} is on trial"), blame="agent")


def _floor_raised(record: RunRecord, log: ServerLog, order: Order, dump: FlashDump, version: str) -> Finding:
    floor, need = dump.release_floor or 0, _counter(record, log, order, dump.ecu, version)
    if need is None or floor >= need:
        return passed(f"{dump.ecu} has its release floor", _nvm(dump, f"release floor {floor}"))
    sentence = f"success was reported, but {dump.ecu}'s release floor is {floor}, the confirmed image needs {need}"
    return failed(sentence, _nvm(dump, f"release floor {floor}, {version} has {need}"), blame="agent")


def _counter(record: RunRecord, log: ServerLog, order: Order, ecu: str, version: str) -> int | None:
    """Return the release counter of the image that the order brought, or of the one the ECU held already."""
    role = "target" if ecu in log.codes_of(order) else "installed"
    mine = [r for r in record.references if (r.ecu, r.version) == (ecu, version)]
    headers = [header_or_none(r.header) for r in sorted(mine, key=lambda r: r.role != role)]
    return next((header.release_counter for header in headers if header is not None), None)


def _nvm(dump: FlashDump, text: str) -> Evidence:
    return Evidence("flash", f"{dump.ecu} non-volatile memory", text)


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
    codes = log.codes_of(order)
    return "agent" if all(is_success(codes.get(ecu, 0)) for ecu, _ in order.targets) else "server"


def _who_denied(log: ServerLog, order: Order) -> str:
    return "server" if all(is_success(code) for code in log.codes_of(order).values()) else "agent"


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
