"""A time limit that was missed by no more than the host itself was late is an equipment error, with the figure."""

from __future__ import annotations

from types import ModuleType

import pytest

from bench.core.records import Lateness, Limits, RunRecord, Stall
from bench.oracle.judge import judge
from bench.oracle.lateness import late_host
from bench.oracle.result import Invariant, Verdict
from tests.oracle.oracle_vectors import bootable, live, replace

LIMIT_MS = 500
"""The boot time of the vectors' ECUs."""


def late_boot(healthy: RunRecord, v: ModuleType, by_ms: int, lateness: Lateness | None) -> RunRecord:
    """Return a run in which the body controller came up so long after its limit."""
    up_ns = 6 * v.S + (LIMIT_MS + by_ms) * v.MS
    boots = v.boot(6 * v.S, "body", "boot_manager"), v.boot(up_ns, "body", "application", "A")
    kept = tuple(b for b in healthy.boots.items if b.ecu != "body" or b.t_ns < v.S)
    executions = (*healthy.executions.items, v.ran(up_ns, v.NEW["body"], "A"))
    return replace(healthy, boots=(*kept, *boots), executions=executions, lateness=lateness)


def lag(v: ModuleType, ms: int) -> Lateness:
    return Lateness(0, ms * v.MS)


def stalled(v: ModuleType, at_ms: int, *lengths_ms: int) -> Lateness:
    """Return stalls one after the other from `at_ms` on, with a millisecond between them."""
    stalls, t_ns = [], at_ms * v.MS
    for length_ms in lengths_ms:
        stalls.append(Stall(t_ns, length_ms * v.MS))
        t_ns += (length_ms + 1) * v.MS
    return Lateness(max(lengths_ms) * v.MS, 0, tuple(stalls))


def test_limit_missed_by_less_than_the_lag_is_an_equipment_error_with_the_figure(
    v: ModuleType, healthy: RunRecord
) -> None:
    found = bootable(late_boot(healthy, v, 20, lag(v, 21)))
    assert (found.verdict, found.blame) == (Verdict.EQUIPMENT_ERROR, "bench")
    assert "body did not boot within 500 ms" in found.sentence
    (figure,) = [e for e in found.evidence if e.where == "host"]
    assert "0.020000000 s" in figure.text
    assert "0.021000000 s" in figure.text
    assert any(e.kind == "boot" for e in found.evidence), "what was seen of the ECU is still shown"


@pytest.mark.parametrize(("by_ms", "verdict"), [(21, Verdict.EQUIPMENT_ERROR), (22, Verdict.FAIL)])
def test_limit_missed_by_exactly_the_lag_is_the_last_that_is_excused(
    v: ModuleType, healthy: RunRecord, by_ms: int, verdict: Verdict
) -> None:
    assert bootable(late_boot(healthy, v, by_ms, lag(v, 21))).verdict is verdict


@pytest.mark.parametrize("lateness", [None, Lateness(0, 0)], ids=["not measured", "measured, and none"])
def test_without_a_measured_lateness_it_is_the_vehicles_failure_as_ever(
    v: ModuleType, healthy: RunRecord, lateness: Lateness | None
) -> None:
    found = bootable(late_boot(healthy, v, 1, lateness))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")


def test_stalls_while_the_ecu_started_add_up(v: ModuleType, healthy: RunRecord) -> None:
    assert bootable(late_boot(healthy, v, 90, stalled(v, 6_100, 50, 40))).verdict is Verdict.EQUIPMENT_ERROR
    assert bootable(late_boot(healthy, v, 91, stalled(v, 6_100, 50, 40))).verdict is Verdict.FAIL


def test_stall_at_another_time_excuses_nothing(v: ModuleType, healthy: RunRecord) -> None:
    assert bootable(late_boot(healthy, v, 90, stalled(v, 4_000, 400))).verdict is Verdict.FAIL
    half_before = Lateness(400 * v.MS, 0, (Stall(5_650 * v.MS, 400 * v.MS),))  # 50 ms of it after the start
    assert bootable(late_boot(healthy, v, 50, half_before)).verdict is Verdict.EQUIPMENT_ERROR
    assert bootable(late_boot(healthy, v, 51, half_before)).verdict is Verdict.FAIL


def test_start_that_never_came_up_is_no_matter_of_lateness(v: ModuleType, healthy: RunRecord) -> None:
    boots = (*healthy.boots.items, v.boot(8 * v.S, "body", "boot_manager"))
    assert bootable(replace(healthy, boots=boots, lateness=lag(v, 100))).verdict is Verdict.FAIL


def test_order_that_ended_late_by_less_than_the_lag_is_an_equipment_error(v: ModuleType, healthy: RunRecord) -> None:
    closed_ns = next(e.t_ns for e in healthy.server_events.items if e.kind == "order_closed")
    placed_ns = next(e.t_ns for e in healthy.server_events.items if e.kind == "order_placed")
    limits = Limits(closed_ns - placed_ns - 5 * v.MS, healthy.limits.poll_interval_ns)
    late = replace(healthy, limits=limits)
    assert live(late).verdict is Verdict.FAIL
    assert live(replace(late, lateness=lag(v, 4))).verdict is Verdict.FAIL
    found = live(replace(late, lateness=lag(v, 5)))
    assert (found.verdict, found.blame) == (Verdict.EQUIPMENT_ERROR, "bench")


def test_run_of_a_late_host_is_an_equipment_error_and_a_proven_failure_stays_one(
    v: ModuleType, healthy: RunRecord
) -> None:
    record = late_boot(healthy, v, 20, lag(v, 30))
    verdict = judge(record, (Invariant.BOOTABLE,))
    assert (verdict.verdict, verdict.blame) == (Verdict.EQUIPMENT_ERROR, "bench")
    readings = tuple(r for r in record.readings.items if r.ecu != "gateway")
    dead = (v.read("gateway", 0xF186, None), v.read("gateway", 0xF189, None))
    assert judge(replace(record, readings=(*readings, *dead)), (Invariant.BOOTABLE,)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("stalls", "late"),
    [
        ((), 0), (((0, 100),), 0), (((0, 101),), 1), (((200, 50),), 0), (((199, 50),), 1), (((120, 30),), 30),
        (((50, 300),), 100), (((0, 50), (120, 30), (150, 10), (300, 9)), 40),
    ],
)  # fmt: skip
def test_only_what_a_stall_took_between_the_two_instants_counts(stalls: tuple[tuple[int, int], ...], late: int) -> None:
    measured = Lateness(0, 0, tuple(Stall(t_ns, length_ns) for t_ns, length_ns in stalls))
    assert late_host(measured, 100, 200) == late
    assert late_host(Lateness(0, 35, measured.stalls), 100, 200) == max(late, 35)
    assert late_host(None, 100, 200) == 0
