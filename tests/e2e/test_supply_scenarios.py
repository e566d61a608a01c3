"""Supply profiles during an update: all invariants hold, and the power log says why an ECU was dark."""

from __future__ import annotations

import pytest

from bench.config import data_root
from bench.oracle.result import Verdict
from bench.rig.job import make_job
from bench.runs.runner import Runner


@pytest.mark.parametrize(
    ("scenario", "dark"),
    [
        ("supply_crank", [("body", "brown-out in crank_cold")]),
        ("supply_dip", []),
        ("supply_reset_steps", [(ecu, "brown-out in reset_steps") for ecu in ("body", "gateway")]),
    ],
)
def test_supply_profile_while_programming_ends_updated(scenario: str, dark: list[tuple[str, str]]) -> None:
    job = make_job(data_root() / "scenarios" / f"{scenario}.toml", data_root() / "benches" / "sim.toml")
    result = Runner().run(job)
    assert result.verdict.verdict is Verdict.PASS
    assert {v.verdict for v in result.verdict.invariants} == {Verdict.PASS}
    assert result.record.surroundings is not None
    began_ns = result.record.surroundings.began_t_ns  # the bench itself switches the vehicle off before that
    cuts = (p for p in result.record.power.items if not p.on and p.t_ns > began_ns)
    assert sorted({(p.part, p.cause) for p in cuts}) == dark
    assert any(name.startswith("supply/") for name in result.inputs)


def test_supply_scenario_repeats_to_the_byte() -> None:
    job = make_job(data_root() / "scenarios" / "supply_crank.toml", data_root() / "benches" / "sim.toml")
    first, second = Runner().run(job), Runner().run(job)
    assert first.trace_sha256 == second.trace_sha256
