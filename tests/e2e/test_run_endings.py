"""Runs that a bench saw badly, or that a part ended: none of them passes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.agent.agent_log import ORDER_FILE, AgentLog
from bench.core.world import World
from bench.link.disk import DiskStorage
from bench.oracle.result import Invariant, RunResult, Verdict
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]


def verdict_of(result: RunResult, invariant: Invariant) -> Verdict:
    return next(finding.verdict for finding in result.verdict.invariants if finding.id is invariant)


def short(job: Job) -> Job:
    return replace(job, scenario=job.scenario.model_copy(update={"ends_within_s": 90.0}))


def test_silenced_announcement_of_server_events_does_not_pass(
    monkeypatch: pytest.MonkeyPatch, fresh_runner: Runner, load: Load
) -> None:
    monkeypatch.setattr(World, "server_event", lambda _self, _record: None)
    result = fresh_runner.run(short(load("healthy")))
    assert result.record.ended_by == "limit"
    assert result.verdict.verdict is not Verdict.PASS
    assert not result.as_expected
    assert verdict_of(result, Invariant.LIVE) is Verdict.INCONCLUSIVE
    assert verdict_of(result, Invariant.TRUTHFUL) is not Verdict.PASS
    assert (result.verdict.verdict, result.verdict.blame) == (Verdict.INCONCLUSIVE, "bench")


def test_healthy_run_ends_because_it_became_quiet(runner: Runner, load: Load) -> None:
    record = runner.run(load("healthy")).record
    assert (record.ended_by, record.crash, record.orders_placed) == ("quiet", None, 1)


def test_agent_that_crashes_on_its_own_damaged_log_fails_live(
    monkeypatch: pytest.MonkeyPatch, fresh_runner: Runner, load: Load
) -> None:
    job = load("power_cut_agent")
    fresh_runner.golden(job)
    whole = DiskStorage.replace

    async def damaged(self: DiskStorage, path: str, content: bytes) -> None:
        await whole(self, path, content[:-3] if path == ORDER_FILE else content)

    monkeypatch.setattr(DiskStorage, "replace", damaged)
    result = fresh_runner.run(job)
    assert result.record.crash is not None
    assert (result.verdict.verdict, result.verdict.blame) == (Verdict.FAIL, "agent")
    assert verdict_of(result, Invariant.LIVE) is Verdict.FAIL
    assert "JSONDecodeError" in next(f.sentence for f in result.verdict.invariants if f.id is Invariant.LIVE)
    assert any("crash" in note or "agent: JSONDecodeError" in note for note in result.notes)


def test_failure_that_was_proven_survives_the_crash_of_a_part(
    monkeypatch: pytest.MonkeyPatch, fresh_runner: Runner, load: Load
) -> None:
    job = load("power_cut_agent")
    fresh_runner.golden(job)

    async def nothing_loaded(_self: AgentLog) -> None:
        raise ValueError("the log is damaged")

    monkeypatch.setattr(AgentLog, "load", nothing_loaded)
    result = fresh_runner.run(job)
    assert result.record.ended_by == "crash"
    assert result.verdict.verdict is Verdict.FAIL
