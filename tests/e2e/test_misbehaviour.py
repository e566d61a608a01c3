"""Whole runs with an ECU that misbehaves at a fault point, as `otabench ecu --misbehave` has it; deterministic."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.core.errors import InputError
from bench.oracle.result import RunResult
from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]
WithFaults = Callable[..., Job]


def misdeeds(result: RunResult) -> list[str]:
    return [line.decode() for line in result.journal if b'"kind":"misbehave"' in line]


@pytest.mark.parametrize(
    ("point", "parameters", "strikes"),
    [
        ("ecu:body:request:middle:phase=transfer", {"service": 0x36, "do": "nrc", "nrc": 0x72}, 1),
        ("ecu:body:request:first:phase=erase", {"do": "lost_answer"}, 1),
        ("ecu:body:request:first:phase=transfer", {"service": 0x36, "do": "wrong_echo", "times": 2}, 2),
        ("ecu:body:request:middle:phase=transfer", {"do": "reset", "value": 10}, 1),
        ("ecu:gateway:request:first:phase=activate", {"do": "slow", "value": "above_p2_star"}, 1),
        ("isotp:body:request:middle:phase=transfer", {"do": "overflow", "times": 2}, 2),
        ("isotp:gateway:request:first:phase=transfer", {"do": "wait_for_ever"}, 1),
    ],
)
def test_update_survives_an_ecu_that_misbehaves_and_the_run_repeats_to_the_byte(
    runner: Runner,
    load: Load,
    with_faults: WithFaults,
    point: str,
    parameters: dict[str, str | int],
    strikes: int,
) -> None:
    job = with_faults(load("healthy"), point, **parameters)
    first, second = runner.run(job), runner.run(job)
    assert first.verdict.verdict == "pass", [f.sentence for f in first.verdict.invariants if f.verdict != "pass"]
    assert first.trace_sha256 == second.trace_sha256
    assert len(misdeeds(first)) == strikes


def test_fault_strikes_the_very_request_of_its_point(runner: Runner, load: Load, with_faults: WithFaults) -> None:
    job = with_faults(load("healthy"), "ecu:body:request:first:phase=erase", service=0x31, do="nrc", nrc=0x72)
    result = runner.run(job)
    struck = [line for line in result.journal if b'"kind":"fault"' in line or b'"misbehave"' in line]
    times = [line.decode().rpartition('"t":')[2] for line in struck]
    assert len(times) == 2
    assert len(set(times)) == 1


def test_wrong_parameters_name_key_found_and_allowed(runner: Runner, load: Load, with_faults: WithFaults) -> None:
    with pytest.raises(InputError) as refused:
        runner.run(with_faults(load("healthy"), "ecu:body:request:1", do="slow", value="soon"))
    assert "below_p2_star" in str(refused.value)
