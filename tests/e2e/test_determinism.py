"""Same inputs, same seed: the same trace, in other processes, under other hash seeds, in another folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]


def demo_traces(folder: Path, hash_seed: str, *arguments: str) -> dict[str, str]:
    """Run the demo in a process of its own; returns the trace hash by run id."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.cli", "demo", "--json", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        check=True,
        timeout=120,
    )
    return {run["id"]: run["trace_sha256"] for run in json.loads(done.stdout)["runs"]}


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The traces of one demo, made once."""
    return demo_traces(tmp_path_factory.mktemp("first"), "1")


def test_demo_in_two_processes_gives_equal_ids_and_traces(first: dict[str, str], tmp_path: Path) -> None:
    assert len(first) == 6
    assert len(set(first.values())) == 6
    (tmp_path / "elsewhere").mkdir()
    assert demo_traces(tmp_path / "elsewhere", "4711") == first


def test_other_seed_gives_other_ids_and_traces(first: dict[str, str], tmp_path: Path) -> None:
    other = demo_traces(tmp_path, "1", "--seed", "2")
    assert not set(first) & set(other)
    assert not set(first.values()) & set(other.values())


def test_run_does_not_depend_on_what_ran_before_it(load: Load) -> None:
    alone = Runner().run(load("power_cut_ecu")).trace_sha256
    busy = Runner()
    busy.run(load("forged_signature"))
    busy.run(load("flash_bit_flip"))
    assert busy.run(load("power_cut_ecu")).trace_sha256 == alone
