"""What a golden run is kept for: the points of this very story, and a limit that no planted defect stretches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from bench.core.clock import NS_PER_S
from bench.core.defects import Defect
from bench.link.http import Network
from bench.oracle.result import Invariant
from bench.runs import defects
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]


@pytest.mark.parametrize("first", ["forged_payload", "healthy"])
def test_expectation_of_one_scenario_is_not_that_of_another(fresh_runner: Runner, load: Load, first: str) -> None:
    second = {"forged_payload": "healthy", "healthy": "forged_payload"}[first]
    for scenario in (first, second):
        result = fresh_runner.run(load(scenario))
        assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]
        assert result.record.expects_update is (scenario == "healthy")


@contextmanager
def slow_network() -> Iterator[None]:
    """A defect that stretches every story: each exchange takes half a second more."""
    whole = Network._pass_time

    async def slow(self: Network, size_bytes: int) -> None:
        await self._life.sleep_ns(NS_PER_S // 2)
        await whole(self, size_bytes)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Network, "_pass_time", slow)
        yield


def test_limit_comes_from_a_golden_run_without_the_planted_defect(
    monkeypatch: pytest.MonkeyPatch, fresh_runner: Runner, load: Load
) -> None:
    defect = Defect("slow", "everything takes longer", "agent", Invariant.LIVE, slow_network)
    monkeypatch.setattr(defects, "all_defects", lambda: {"slow": defect})
    job = load("healthy")
    limits = fresh_runner.run(job).record.limits
    planted = replace(job, scenario=job.scenario.model_copy(update={"defect": "slow"}))
    result = fresh_runner.run(planted)
    assert result.record.limits == limits
    assert fresh_runner.golden(job).virtual_ns < result.record.ended_t_ns


def test_time_that_a_scenario_gives_is_part_of_its_golden_run(fresh_runner: Runner, load: Load) -> None:
    job = load("healthy")
    short = replace(job, scenario=job.scenario.model_copy(update={"ends_within_s": 5.0}))
    assert fresh_runner.golden(short).record.ended_by == "limit"
    assert fresh_runner.golden(job).record.ended_by == "quiet"
