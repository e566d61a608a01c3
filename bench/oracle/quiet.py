"""When a run must have settled: the clock of `live`, and what `truthful` may call quiet."""

from __future__ import annotations

from bench.oracle.findings import at
from bench.oracle.result import Evidence
from bench.oracle.server_log import Order
from bench.oracle.situation import Situation


def clock_start(situation: Situation, order: Order) -> Evidence:
    """Return from where the limit counts: the placing of the order or, when later, the last fault's restoration.

    A fault that was never injected or never restored (a forged package) moves nothing: the bound is on what the
    vehicle does with a bounded fault, and a permanent one is no excuse.
    """
    start_ns = clock_start_ns(situation, order)
    text = "the order was placed" if start_ns == order.t_ns else "the last fault was restored"
    return at("time", "bench", start_ns, f"{text}; the limit counts from here")


def clock_start_ns(situation: Situation, order: Order) -> int:
    """Return the same instant as a number."""
    return order.t_ns if situation.restored_ns is None else max(order.t_ns, situation.restored_ns)


def limit_ns(situation: Situation, order: Order) -> int:
    """Return when the order's limit is over."""
    return clock_start_ns(situation, order) + situation.facts.limits.live_within_ns


def limit_over(situation: Situation, order: Order) -> bool:
    """Return whether the run went on at least until the order's limit."""
    return situation.ended_t_ns >= limit_ns(situation, order)
