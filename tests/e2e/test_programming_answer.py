"""Whole updates of ECUs that answer 10 02 after the reset into their bootloader: 0x78 first, then finally."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from bench.oracle.decode_isotp import messages, split
from bench.runs.job import Job
from bench.runs.runner import Runner

AFTER_RESET = {"[diagnostics]\n": '[diagnostics]\nprogramming_answer = "after_reset"\n'}


@pytest.mark.parametrize(("scenario", "bench", "ecu"), [("healthy_van", "sim_van", "body_controller")])
def test_update_of_an_ecu_that_answers_after_its_reset_reaches_the_target(
    runner: Runner, changed_job: Callable[..., Job], scenario: str, bench: str, ecu: str
) -> None:
    result = runner.run(changed_job(scenario, bench, {f"ecus/{ecu}.toml": AFTER_RESET}))
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]
    layout = result.record.layouts[0]
    told = [m.payload.hex() for m in messages(split(result.record.frames.items), layout.channel, layout.response)]
    assert ("7f1078", "5002003201f4") in list(pairwise(told))


def test_power_cut_between_0x78_and_the_final_answer_is_survived(
    runner: Runner, changed_job: Callable[..., Job], with_faults: Callable[..., Job]
) -> None:
    job = changed_job("healthy_van", "sim_van", {"ecus/body_controller.toml": AFTER_RESET})
    result = runner.run(with_faults(job, "power.ecu:body:boot:2"))
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants if f.verdict != "pass"]
