"""Every kind of supply profile at both ends of every phase of an update: all invariants hold."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.oracle.result import Verdict
from bench.rig.job import make_job
from bench.runs.runner import Runner

PROFILES = [
    ("drop", 1.0), ("crank_cold", 1.0), ("interrupt", 0.1), ("dip", 1.0), ("load_dump", 3.0), ("reset_steps", 0.1),
    ("slow_ramp", 0.1),
]  # fmt: skip
"""Profile and time scale."""
PHASES = [
    ("programming", "request"), ("erase", "erase"), ("transfer", "program"), ("header", "program"),
    ("check", "program"), ("check", "request"), ("reset", "request"), ("post", "request"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("profile", "time_scale"), PROFILES, ids=[profile for profile, _ in PROFILES])
@pytest.mark.parametrize("ecu", ["body", "gateway"])
def test_supply_profile_in_any_phase_ends_updated(tmp_path: Path, ecu: str, profile: str, time_scale: float) -> None:
    base = (data_root() / "scenarios" / "supply_crank.toml").read_text()
    runner, path = Runner(), tmp_path / "sweep.toml"
    for phase, event in PHASES:
        for n in ("first", "last"):
            fault = f'point = "supply:{ecu}:{event}:{n}:phase={phase}"\nparameters = '
            fault += f'{{ profile = "{profile}", time_scale = {time_scale} }}\n'
            path.write_text(base[: base.index("[[faults]]")] + "[[faults]]\n" + fault)
            result = runner.run(make_job(path, data_root() / "benches" / "sim.toml"))
            failed = [v.sentence for v in result.verdict.invariants if v.verdict is not Verdict.PASS]
            assert (failed, result.notes) == ([], ()), fault
