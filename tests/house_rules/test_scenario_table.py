"""docs/guides/own-vehicle.md names a bench for every built-in scenario, and each pair is one that can be run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bench
from bench.config import data_root
from bench.rig.job import make_job

PROJECT = Path(bench.__file__).parents[1]
GUIDE = (PROJECT / "docs" / "guides" / "own-vehicle.md").read_text(encoding="utf-8")
NAMED = re.compile(r"`(\w+)`")
SCENARIOS = sorted(path.stem for path in (data_root() / "scenarios").glob("*.toml"))


def pairs(text: str) -> list[tuple[str, str]]:
    """Return scenario and bench of each row of the table."""
    table = text.partition("| scenario | bench |\n| --- | --- |\n")[2].partition("\n\n")[0]
    cells = [row.strip("|").split("|") for row in table.splitlines()]
    return [
        (scenario, name) for left, right in cells for scenario in NAMED.findall(left) for name in NAMED.findall(right)
    ]


PAIRS = pairs(GUIDE)


def test_table_names_every_built_in_scenario_once() -> None:
    assert sorted(scenario for scenario, _ in PAIRS) == SCENARIOS


@pytest.mark.parametrize(("scenario", "name"), PAIRS)
def test_scenario_and_bench_of_the_table_fit(scenario: str, name: str) -> None:
    folder = data_root()
    job = make_job(folder / "scenarios" / f"{scenario}.toml", folder / "benches" / f"{name}.toml")
    assert (job.scenario.name, job.bench) == (scenario, name)
