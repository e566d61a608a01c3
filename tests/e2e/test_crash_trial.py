"""A rightly signed image that crashes: the gateway reverts, and the server hears that the order failed."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.core.errors import InputError
from bench.oracle.result import Verdict
from bench.rig.job import make_job
from bench.runs.runner import Runner

SCENARIO, BENCH = data_root() / "scenarios" / "crash_trial.toml", data_root() / "benches" / "sim.toml"


def test_trial_that_crashes_is_reverted_and_the_order_ends_as_failed() -> None:
    result = Runner().run(make_job(SCENARIO, BENCH))
    assert result.as_expected
    assert {v.verdict for v in result.verdict.invariants} == {Verdict.PASS}
    assert result.record.surroundings is not None
    began_ns = result.record.surroundings.began_t_ns  # before that the bench looked at the vehicle
    runs = [run for run in result.record.executions.items if run.ecu == "gateway" and run.t_ns >= began_ns]
    assert [run.bank for run in runs] == ["A", "B", "B", "B", "A"]
    assert [run.end_cause for run in runs[1:4]] == ["crash"] * 3
    assert runs[4].ended_t_ns is None
    assert {run.release_floor for run in runs} == {1}


@pytest.mark.parametrize("after_ms", [100, 300, 950, 1_500, 4_000, 9_500])
def test_image_that_crashes_before_it_is_confirmed_is_reverted_with_the_floor_where_it_was(
    tmp_path: Path, after_ms: int
) -> None:
    path = tmp_path / "late.toml"
    path.write_text(SCENARIO.read_text().replace("behaviour_after_ms = 40 ", f"behaviour_after_ms = {after_ms} "))
    result = Runner().run(make_job(path, BENCH))
    assert {v.verdict for v in result.verdict.invariants} == {Verdict.PASS}
    last = [run for run in result.record.executions.items if run.ecu == "gateway"][-1]
    assert (last.bank, last.release_floor) == ("A", 1)


def test_single_bank_whose_new_image_crashes_late_is_never_confirmed_and_the_order_fails(tmp_path: Path) -> None:
    path = tmp_path / "late_body.toml"
    text = SCENARIO.read_text().replace('ecu = "gateway"', 'ecu = "body"')
    path.write_text(text.replace("behaviour_after_ms = 40 ", "behaviour_after_ms = 4000 "))
    result = Runner().run(make_job(path, BENCH))
    assert {v.verdict for v in result.verdict.invariants} == {Verdict.PASS}
    runs = [run for run in result.record.executions.items if run.ecu == "body"]
    assert {run.release_floor for run in runs} == {1}
    assert [run.end_cause for run in runs if run.end_cause == "crash"] == ["crash"] * 3


def test_image_too_small_to_be_marked_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "small.toml"
    path.write_text(SCENARIO.read_text().replace("size_bytes = 32768", "size_bytes = 8"))
    with pytest.raises(InputError, match="cannot be made to crash") as caught:
        make_job(path, BENCH)
    assert caught.value.key == "order.images.behaviour"
