"""Power cuts at a sample of the golden run's points: every one must end as expected.

Each run starts from the same golden run; the sample takes every n-th point of each kind, torn operations included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from bench.core.points import PointTable
from bench.runs.job import Job
from bench.runs.runner import Runner
from tests.effort import effort

Load = Callable[..., Job]
KINDS = {
    "power.ecu": (("program", effort(9, 5)), ("erase", 1), ("boot", 1), ("request", effort(31, 17)), ("frame", 1499)),
    "power.agent": (("sync", 9), ("transition", 2), ("http", 3), ("frame", 2999)),
    "power.vehicle": (("program", 7), ("boot", 2)),
}


def sampled(table: PointTable, fault_class: str) -> Iterator[str]:
    """Yield points of one class: each n-th occurrence, before, torn, after in turn."""
    for event, step in KINDS[fault_class]:
        for part in ("agent",) if fault_class == "power.agent" else ("body", "gateway"):
            for index, occurrence in enumerate(table.get((part, event), ())[::step]):
                tear = f":torn={occurrence.units // 2}" if occurrence.units else ""
                yield f"{fault_class}:{part}:{event}:{occurrence.n}{(tear, '', ':after')[index % 3]}"


@pytest.mark.effort
@pytest.mark.parametrize("fault_class", list(KINDS))
def test_power_cut_at_sampled_points_recovers_to_the_target(
    runner: Runner, load: Load, with_faults: Callable[..., Job], fault_class: str
) -> None:
    job = load("healthy")
    points = list(sampled(runner.golden(job).points, fault_class))
    assert len(points) >= 8
    wrong = []
    for point in points:
        result = runner.run(with_faults(job, point))
        if not result.as_expected:
            findings = [f"{f.id} {f.verdict}: {f.sentence}" for f in result.verdict.invariants if f.verdict != "pass"]
            wrong.append((point, result.notes, findings))
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("off_ms", [1, 200, 12_000, 45_000])
@pytest.mark.parametrize("fault_class", list(KINDS))
def test_power_cut_at_every_flash_operation_boot_request_sync_and_transition_recovers(
    runner: Runner, load: Load, with_faults: Callable[..., Job], fault_class: str, off_ms: int
) -> None:
    """Nightly: all points but frames, before, torn and after, with four lengths of darkness."""
    job = load("healthy")
    table = runner.golden(job).points
    wrong = []
    for (part, event), occurrences in sorted(table.items()):
        if event == "frame" or (part == "agent") != (fault_class == "power.agent"):
            continue
        if part == "tester" or (fault_class == "power.vehicle" and event == "request"):
            continue
        for occurrence in occurrences:
            tears = {0, occurrence.units // 2, occurrence.units - 1} if occurrence.units else set()
            for where in ("", ":after", *(f":torn={k}" for k in sorted(tears))):
                point = f"{fault_class}:{part}:{event}:{occurrence.n}{where}"
                result = runner.run(with_faults(job, point, restore_after_ms=off_ms))
                if not result.as_expected:
                    wrong.append(
                        (point, result.notes, [f.sentence for f in result.verdict.invariants if f.verdict != "pass"])
                    )
    assert wrong == []
