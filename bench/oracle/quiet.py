"""When a run must have settled: the clock of `live`, and what `truthful` may call quiet."""

from __future__ import annotations

from bench.core.records import RunRecord
from bench.oracle.findings import at
from bench.oracle.result import Evidence
from bench.oracle.server_log import Order


def clock_start(record: RunRecord, order: Order) -> Evidence:
    """Return from where the limit counts: the placing of the order or, when later, the last fault's restoration.

    A fault that was never injected or never restored (a forged package) moves nothing: the bound is on what the
    vehicle does with a bounded fault, and a permanent one is no excuse.
    """
    start_ns = clock_start_ns(record, order)
    text = "the order was placed" if start_ns == order.t_ns else "the last fault was restored"
    return at("time", "bench", start_ns, f"{text}; the limit counts from here")


def clock_start_ns(record: RunRecord, order: Order) -> int:
    """Return the same instant as a number."""
    restored = [fault.restored_t_ns for fault in record.faults if fault.restored_t_ns is not None]
    return max([order.t_ns, *restored])


def limit_over(record: RunRecord, order: Order) -> bool:
    """Return whether the run went on at least until the order's limit."""
    return record.ended_t_ns >= clock_start_ns(record, order) + record.limits.live_within_ns
