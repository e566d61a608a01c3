"""Every kind of supply profile at both ends of every phase: all invariants hold, but where a trial is used up."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.oracle.result import RunResult, Verdict
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
def test_supply_profile_in_any_phase_ends_updated_or_reverted_and_told(
    tmp_path: Path, ecu: str, profile: str, time_scale: float
) -> None:
    base = (data_root() / "scenarios" / "supply_crank.toml").read_text()
    runner, path = Runner(), tmp_path / "sweep.toml"
    for phase, event in PHASES:
        for n in ("first", "last"):
            fault = f'point = "supply:{ecu}:{event}:{n}:phase={phase}"\nparameters = '
            fault += f'{{ profile = "{profile}", time_scale = {time_scale} }}\n'
            path.write_text(base[: base.index("[[faults]]")] + "[[faults]]\n" + fault)
            result = runner.run(make_job(path, data_root() / "benches" / "sim.toml"))
            failed = [v.sentence for v in result.verdict.invariants if v.verdict is not Verdict.PASS]
            if _used_up_its_trial(result):
                assert [v.id for v in result.verdict.invariants if v.verdict is not Verdict.PASS] == ["live"], fault
                assert "should run, found '1.0.0'" in failed[0], fault
                continue
            assert (failed, result.notes) == ([], ()), fault


def _used_up_its_trial(result: RunResult) -> bool:
    """Brown-outs before the confirmation that take every trial boot: the ECU reverts, and the order says so."""
    return any(boot.reason == "trial boot 3" for boot in result.record.boots.items)


def test_brown_outs_that_take_every_trial_boot_revert_the_ecu_and_the_order_ends_as_failed(tmp_path: Path) -> None:
    base = (data_root() / "scenarios" / "supply_crank.toml").read_text()
    path = tmp_path / "sweep.toml"
    fault = 'point = "supply:gateway:program:last:phase=transfer"\n'
    fault += 'parameters = { profile = "reset_steps", time_scale = 0.1 }'
    path.write_text(f"{base[: base.index('[[faults]]')]}[[faults]]\n{fault}\n")
    result = Runner().run(make_job(path, data_root() / "benches" / "sim.toml"))
    assert _used_up_its_trial(result)
    assert [v.id for v in result.verdict.invariants if v.verdict is not Verdict.PASS] == ["live"]
    assert {
        reading.value for reading in result.record.readings.items if (reading.ecu, reading.did) == ("gateway", 0xF189)
    } == {b"1.0.0"}
