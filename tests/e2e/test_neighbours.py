"""Neighbours in whole runs: what an update, or a part with a defect, does to ECUs that the order does not name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.core.clock import NS_PER_S
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]


HEAD_UNIT_NOT_ORDERED = {
    '[[order.images]]\necu = "head_unit"\nversion = "2.0.0"\nrelease_counter = 2\nsize_bytes = 262144\n': ""
}


def judged(result: RunResult) -> tuple[str, str]:
    """Return verdict and sentence on neighbours."""
    found = next(f for f in result.verdict.invariants if f.id == "neighbours")
    return str(found.verdict), found.sentence


def failing(result: RunResult) -> list[str]:
    return [str(f.id) for f in result.verdict.invariants if f.verdict == "fail"]


def test_bench_reads_the_vehicle_before_and_after_and_drives_it_for_a_minute(runner: Runner, load: Load) -> None:
    record = runner.run(load("healthy_ev", "sim_ev")).record
    assert record.surroundings is not None
    assert record.surroundings.ordered == ("battery",)
    assert [(r.ecu, r.before, r.dtcs) for r in record.dtcs.items] == [
        ("battery", True, ()), ("body", True, ()), ("battery", False, ()), ("body", False, ()),
    ]  # fmt: skip
    assert [dump.ecu for dump in record.memory_before.items] == ["body"]
    assert record.memory_before.items[0].nvm
    assert record.drive_after_ns is not None
    began_ns, ended_ns = record.drive_after_ns
    assert ended_ns - began_ns == 60 * NS_PER_S
    driven = [f for f in record.frames.items if f.can_id == 0x110 and began_ns <= f.t_ns < ended_ns]
    assert len(driven) == 600


def test_points_count_from_the_story_on_and_the_drive_has_none(runner: Runner, load: Load) -> None:
    golden = runner.golden(load("healthy_ev", "sim_ev"))
    around, drive = golden.record.surroundings, golden.record.drive_after_ns
    assert around is not None
    assert drive is not None
    for table in (golden.points["battery", "boot"], golden.points["body", "frame"]):
        assert table[0].n == 1
        assert table[0].t_ns >= around.began_t_ns
        assert table[-1].t_ns <= drive[0]


def test_drive_changes_the_car_as_the_scenario_says(fresh_runner: Runner, changed_job: Callable[..., Job]) -> None:
    drive = '[drive_after]\nduration_s = 3\nsteps = [{ at_s = 2, key = "speed_km_h", value = 50 }]\n\n[order]'
    result = fresh_runner.run(changed_job("healthy_ev", "sim_ev", {"scenarios/healthy_ev.toml": {"[order]": drive}}))
    record = result.record
    assert record.drive_after_ns is not None
    began_ns, ended_ns = record.drive_after_ns
    assert ended_ns - began_ns == 3 * NS_PER_S
    (fast,) = [c for c in record.conditions.items if c.key == "speed_km_h" and c.value == 50]
    assert fast.t_ns - began_ns == 2 * NS_PER_S
    assert result.as_expected


def test_tester_that_prepares_its_own_bus_only_leaves_a_dtc_on_another(
    fresh_runner: Runner, changed_job: Callable[..., Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head unit misses the battery controller while that is silenced; the tester of before knew one bus."""
    import bench.assembly.links as links

    changes = {"scenarios/healthy_full.toml": HEAD_UNIT_NOT_ORDERED}
    assert judged(Runner().run(changed_job("healthy_full", "sim_full", changes)))[0] == "pass"
    monkeypatch.setattr(links, "affected_buses", lambda vehicle, ecu: ())
    result = fresh_runner.run(changed_job("healthy_full", "sim_full", changes))
    assert failing(result) == ["neighbours"]
    assert judged(result) == ("fail", "head_unit, which the order does not name, has a new DTC C10087")


@pytest.mark.parametrize("scenario", ["power_cut_ecu"])
def test_update_that_was_interrupted_leaves_no_dtc_in_its_own_ecu(
    runner: Runner, load: Load, changed_job: Callable[..., Job], scenario: str
) -> None:
    assert judged(runner.run(load(scenario)))[0] == "pass"
    without = {"recipes/single_bank.toml": {'"clear_dtcs", ': ""}}
    found = judged(runner.run(changed_job(scenario, "sim", without)))
    assert found == ("fail", "body has a new DTC 060251")


# Planted defects ------------------------------------------------------------------------------------

CAUGHT = {
    "ecu-neighbour-resets": ("healthy_ev", "sim_ev", "body restarted although the order does not name it"),
    "ecu-neighbour-writes-nvm": ("healthy_ev", "sim_ev", "memory of body changed although the order does not name it"),
    "ecu-neighbour-stays-silent": ("healthy_ev", "sim_ev", "frame 0x110 of body, which the order does not name,"),
    "ecu-clears-no-dtc": ("power_cut_ecu", "sim", "body has a new DTC 060251"),
}


@pytest.mark.parametrize("defect", CAUGHT)
def test_defect_is_caught_by_neighbours(load: Load, defect: str) -> None:
    scenario, bench, sentence = CAUGHT[defect]
    job = load(scenario, bench)
    job = replace(job, scenario=job.scenario.model_copy(update={"defect": defect}))
    verdict, said = judged(Runner().run(job))
    assert verdict == "fail"
    assert said.startswith(sentence)
