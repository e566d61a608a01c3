"""A late host is not a bad ECU: no part of the vehicle answers for what the bench in real time did not do in time.

The run measures by how much its own timers came late and when it stood still (`Lateness`). A time limit that was
missed by no more than that is an equipment error: neither a failure of the vehicle nor a pass. A limit missed by more
is a failure, however busy the host was; else a loaded machine would excuse every slow ECU.
"""

from __future__ import annotations

from bench.core.records import Lateness
from bench.oracle.findings import Finding, equipment, seconds
from bench.oracle.result import Evidence


def late_host(lateness: Lateness | None, since_ns: int, until_ns: int) -> int:
    """Return by how much the host can have delayed what went on between two instants, 0 where nobody measured it.

    Each stall in between delays what was due then; the lag of a single timer may have struck at any time.
    """
    if lateness is None:
        return 0
    stalled_ns = sum(
        max(0, min(until_ns, stall.t_ns + stall.length_ns) - max(since_ns, stall.t_ns)) for stall in lateness.stalls
    )
    return max(stalled_ns, lateness.largest_lag_ns)


def missed(failure: Finding, lateness: Lateness | None, *, since_ns: int, until_ns: int, limit_ns: int) -> Finding:
    """Return what a missed time limit means: `failure`, or an equipment error when the host may be all the reason."""
    by_ns = until_ns - since_ns - limit_ns
    host_ns = late_host(lateness, since_ns, until_ns)
    if lateness is None or not host_ns or by_ns > host_ns:
        return failure
    figure = Evidence(
        "bench",
        "host",
        f"the limit was missed by {seconds(by_ns)}; the host itself was late by {seconds(host_ns)} meanwhile "
        f"(longest stall {seconds(lateness.longest_stall_ns)}, largest lag {seconds(lateness.largest_lag_ns)})",
    )
    return equipment(f"{failure.sentence}, but the host itself was as late as that", figure, *failure.evidence)
