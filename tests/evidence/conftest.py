"""Runs told by hand (`sample_run.py`), loaded by path: tests are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench.oracle.result import RunResult


def load_samples() -> ModuleType:
    """Return the module of samples, once for all test folders that use it."""
    name = "otabench_sample_run"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("sample_run.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


SAMPLES = load_samples()
RUNS = ("passing_run", "failing_run", "caught_run", "unobserved_run", "broken_run")
MORE_RUNS = ("two_fault_run", "real_time_run")


@pytest.fixture(scope="session")
def runs() -> dict[str, RunResult]:
    """Every sample run by its name."""
    return {name: getattr(SAMPLES, name)() for name in (*RUNS, *MORE_RUNS)}


@pytest.fixture
def result(runs: dict[str, RunResult]) -> RunResult:
    """The passing run."""
    return runs["passing_run"]
