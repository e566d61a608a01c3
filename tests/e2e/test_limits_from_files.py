"""What an ECU is measured by comes from the files of the bench, not from the vehicle that is measured."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import ecu_sim.vehicle
from bench.runs.job import Job
from bench.runs.runner import Runner
from ecu_sim.personality.personality import Personality, load_personality

Load = Callable[..., Job]


def test_a_vehicle_that_boots_late_and_grants_itself_the_time_fails_bootable(
    fresh_runner: Runner, load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    def generous(path: Path) -> Personality:
        rules = load_personality(path)
        boot = rules.boot.model_copy(update={"manager_ms": 2_000, "time_limit_ms": 600_000})
        return rules.model_copy(update={"boot": boot})

    monkeypatch.setattr(ecu_sim.vehicle, "load_personality", generous)
    result = fresh_runner.run(load("healthy"))
    bootable = next(finding for finding in result.verdict.invariants if finding.id == "bootable")
    assert bootable.verdict == "fail"
    assert "within" in bootable.sentence
