"""Planted defects of boot and application: each is caught by the invariant that it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.oracle.result import Invariant, Verdict
from bench.rig.job import make_job
from bench.runs.defects import all_defects
from bench.runs.runner import Runner

SCENARIOS = data_root() / "scenarios"
AFTER = "behaviour_after_ms = 40 "
CAUGHT = [
    ("ecu-boot-crash-loop", "crash_trial", (AFTER, "behaviour_after_ms = 0 ")),
    ("ecu-floor-on-activation", "crash_trial", ("", "")),
    ("ecu-boot-no-release-floor", "crash_trial", (AFTER, "behaviour_after_ms = 15000 ")),
    ("ecu-erases-what-runs", "healthy", ("", "")),
]
"""Defect, scenario that brings it to light, and what is changed in that."""


@pytest.mark.parametrize(("defect", "scenario", "change"), CAUGHT, ids=[row[0] for row in CAUGHT])
def test_defect_breaks_the_invariant_that_it_names(
    tmp_path: Path, defect: str, scenario: str, change: tuple[str, str]
) -> None:
    path = tmp_path / f"{scenario}.toml"
    text = (SCENARIOS / path.name).read_text()
    assert change[0] in text
    path.write_text(text.replace("[order]", f'defect = "{defect}"\n\n[order]', 1).replace(*change))
    result = Runner().run(make_job(path, data_root() / "benches" / "sim.toml"))
    failed = {v.id for v in result.verdict.invariants if v.verdict is Verdict.FAIL}
    assert Invariant(all_defects()[defect].breaks) in failed
