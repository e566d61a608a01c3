"""Whole runs, built from the project's own files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.config import data_root
from bench.oracle.result import RunResult
from bench.rig.job import make_job
from bench.runs.job import Job
from bench.runs.runner import Runner
from bench.runs.scenario import ScenarioFault

Load = Callable[..., Job]


@pytest.fixture(scope="session")
def runner() -> Runner:
    """One runner for all tests: golden runs are made once."""
    return Runner()


@pytest.fixture
def fresh_runner() -> Runner:
    """A runner that knows no golden run: for tests that change the program under test."""
    return Runner()


def load(scenario: str, bench: str = "sim", **options: object) -> Job:
    """Return the job of a built-in scenario on a built-in bench."""
    root: Path = data_root()
    return make_job(root / "scenarios" / f"{scenario}.toml", root / "benches" / f"{bench}.toml", **options)  # type: ignore[arg-type]


@pytest.fixture(name="load")
def load_fixture() -> Load:
    """Give tests `load`."""
    return load


def with_faults(job: Job, *points: str, **parameters: str | int | float) -> Job:
    """Return the job with other faults, all with the same parameters."""
    faults = tuple(ScenarioFault(point=point, parameters=dict(parameters)) for point in points)
    return replace(job, scenario=job.scenario.model_copy(update={"faults": faults}))


@pytest.fixture(name="with_faults")
def with_faults_fixture() -> Callable[..., Job]:
    """Give tests `with_faults`."""
    return with_faults


def failed(result: RunResult) -> set[str]:
    """Return the ids of the invariants that failed."""
    return {str(finding.id) for finding in result.verdict.invariants if finding.verdict == "fail"}


@pytest.fixture(name="failed")
def failed_fixture() -> Callable[[RunResult], set[str]]:
    """Give tests `failed`."""
    return failed


ChangedJob = Callable[..., Job]


@pytest.fixture(scope="session")
def changed_job(tmp_path_factory: pytest.TempPathFactory) -> ChangedJob:
    """Return the job of a built-in scenario whose files have texts replaced: {"ecus/gateway.toml": {old: new}}."""

    def change(scenario: str, bench: str, changes: dict[str, dict[str, str]]) -> Job:
        root = tmp_path_factory.mktemp("files")
        for kind in ("benches", "vehicles", "ecus", "recipes", "scenarios"):
            shutil.copytree(data_root() / kind, root / kind)
        for name, replaced in changes.items():
            text = (root / name).read_text()
            for old, new in replaced.items():
                assert old in text, f"{name} has no {old!r}"
                text = text.replace(old, new, 1)
            (root / name).write_text(text)
        return make_job(root / "scenarios" / f"{scenario}.toml", root / "benches" / f"{bench}.toml")

    return change
