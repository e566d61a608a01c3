"""A scenario says how what a cut tears will read: whole runs go through every reading and end as they should."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.runs.job import Job
from bench.runs.runner import Runner

Load = Callable[..., Job]
READINGS = ("mixed", "valid", "invalid", "changing", "ecc_error")


def test_door_module_survives_a_torn_unit_that_reads_differently_at_each_boot(runner: Runner, load: Load) -> None:
    result = runner.run(load("power_cut_fine_grain", "sim_fine_grain"))
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants]
    assert result.verdict.not_observed == ()
    fault = result.record.faults[0]
    assert fault.parameters == {"restore_after_ms": 200, "torn_reads": "changing"}
    again = Runner().run(load("power_cut_fine_grain", "sim_fine_grain"))
    assert again.trace_sha256 == result.trace_sha256


@pytest.mark.parametrize("bench", ["sim", "sim_adas"])
@pytest.mark.parametrize("reads", READINGS)
def test_torn_validity_mark_ends_whole_and_authentic_however_it_reads(
    runner: Runner, load: Load, with_faults: Callable[..., Job], bench: str, reads: str
) -> None:
    scenario, ecu = {"sim": ("healthy", "body"), "sim_adas": ("healthy_adas", "adas")}[bench]
    job = load(scenario, bench)
    last = runner.golden(job).points[ecu, "program"][-1].n
    result = runner.run(with_faults(job, f"power.ecu:{ecu}:program:{last}:torn=0", torn_reads=reads))
    assert result.as_expected, [(f.id, f.sentence) for f in result.verdict.invariants]
    torn = [line for line in result.journal if b"flash.torn" in line and b"mark:" in line]
    assert [b"reads" in line for line in torn] == [reads != "mixed"]
    assert reads == "mixed" or f"reads {reads}".encode() in torn[0]


def test_cut_in_a_copy_out_of_external_flash_is_finished_by_the_next_boot(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    job = load("healthy_adas", "sim_adas")
    copying = [o for o in runner.golden(job).points["adas", "program"] if o.phase == "check"]
    assert len(copying) == 7, "staging mark, four sectors, header, mark"
    for point in copying:
        for where in ("before", f"torn={point.units // 2}", "after"):
            result = runner.run(with_faults(job, f"power.ecu:adas:program:{point.n}:{where}"))
            assert result.as_expected, (point, where, [(f.id, f.sentence) for f in result.verdict.invariants])
            assert result.verdict.not_observed == ()
