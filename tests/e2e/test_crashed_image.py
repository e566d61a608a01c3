"""An image that crashed on its ECU is known to the agent for as long as its order lives, over every power loss."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.oracle.result import RunResult, Verdict
from bench.rig.job import make_job
from bench.runs.runner import Runner

BENCH = data_root() / "benches" / "sim.toml"
TEXT = (data_root() / "scenarios" / "crash_trial.toml").read_text()
FAULT = """
[[faults]]
point = "power.agent:agent:frame:last:phase=installing"
parameters = { restore_after_ms = 500 }
"""


def erases(result: RunResult, ecu: str) -> int:
    """Return how often the begin of a bank was erased."""
    operations = [
        op for op in result.record.flash_operations.items if (op.ecu, op.kind, op.offset) == (ecu, "erase", 0)
    ]
    return len([op for op in operations if not op.region.startswith(("mark", "header"))])


@pytest.mark.parametrize("ecu", ["body", "gateway"])
def test_image_that_crashed_is_not_sent_again_after_the_agent_lost_power(tmp_path: Path, ecu: str) -> None:
    text = TEXT.replace('ecu = "gateway"', f'ecu = "{ecu}"')
    (tmp_path / "plain.toml").write_text(text)
    (tmp_path / "cut.toml").write_text(text + FAULT)
    runner = Runner()
    plain = runner.run(make_job(tmp_path / "plain.toml", BENCH))
    cut = runner.run(make_job(tmp_path / "cut.toml", BENCH))
    assert [fault.fault_class for fault in cut.record.faults] == ["power.agent"]
    assert erases(cut, ecu) == erases(plain, ecu) == 1
    assert {finding.verdict for finding in cut.verdict.invariants} == {Verdict.PASS}
