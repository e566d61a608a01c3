"""An order that fails without any fault: the cause is named where a fault point is missing, and in every verdict."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.core.errors import InputError
from bench.runs.job import Job
from bench.runs.runner import Runner


def test_wrong_key_secret_is_named_where_a_fault_in_a_later_phase_has_no_point(
    fresh_runner: Runner, changed_job: Callable[..., Job]
) -> None:
    wrong = {"recipes/single_bank.toml": {'secret_name = "body_controller"': 'secret_name = "another"'}}
    with pytest.raises(InputError) as refused:
        fresh_runner.run(changed_job("power_cut_ecu", "sim", wrong))
    assert "the order fails without any fault too" in (refused.value.hint or "")
    assert "body: " in (refused.value.hint or "")
    assert "0x35" in (refused.value.hint or "")


OLD = {"scenarios/power_cut_ecu.toml": {"release_counter = 2": "release_counter = 0"}}


def test_order_of_an_old_release_is_not_reported_as_a_missing_fault_point(
    fresh_runner: Runner, changed_job: Callable[..., Job]
) -> None:
    with pytest.raises(InputError) as refused:
        fresh_runner.run(changed_job("power_cut_ecu", "sim", OLD))
    assert refused.value.problem == "the order fails without any fault, before this fault point is reached"
    assert "release 0 of body is older than the installed 1" in (refused.value.hint or "")


def test_every_verdict_says_that_the_order_fails_without_the_fault_too(
    fresh_runner: Runner, changed_job: Callable[..., Job]
) -> None:
    job = changed_job("power_cut_ecu", "sim", OLD)
    notes = fresh_runner.run(job, ["power.ecu:body:boot:1"]).notes
    assert [note.partition(":")[0] for note in notes] == ["the order fails without any fault too"]
    assert "release 0 of body is older than the installed 1" in notes[0]


def test_wrong_point_of_an_order_that_shall_be_refused_is_reported_as_a_wrong_point(
    fresh_runner: Runner, changed_job: Callable[..., Job]
) -> None:
    refused_order = {
        "scenarios/power_cut_ecu.toml": {
            "release_counter = 2": "release_counter = 0",
            "[[faults]]": '[expect]\noutcome = "refused"\n[[faults]]',
        }
    }
    with pytest.raises(InputError, match="no such fault point"):
        fresh_runner.run(changed_job("power_cut_ecu", "sim", refused_order))


def test_order_that_succeeds_without_the_fault_has_no_such_note(
    fresh_runner: Runner, changed_job: Callable[..., Job]
) -> None:
    assert fresh_runner.run(changed_job("power_cut_ecu", "sim", {})).notes == ()
