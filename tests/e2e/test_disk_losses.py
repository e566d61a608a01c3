"""The agent loses power at every sync of a conversation, and its disk leaves each thing that it can leave.

`make test` cuts before two syncs, then after two, and so on, with every outcome each; `make nightly` cuts before and
after each. By twos, since a file's sync and its folder's take turns: each kind is cut before and after.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.config import data_root
from bench.link.disk import MountedDisk
from bench.oracle.result import Verdict
from bench.rig.job import make_job
from bench.runs.runner import Runner
from bench.wire.disk_loss import CERTAIN_LOSSES, DiskLoss
from tests.effort import NIGHTLY

BENCH = data_root() / "benches" / "sim_van.toml"
SYNCS = 33
"""How many syncs the agent makes from its first start to the report (asserted below)."""
Outcomes = dict[tuple[int, str], list[DiskLoss]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for scenarios."""
    return tmp_path_factory.mktemp("losses")


def scenario(folder: Path, point: str | None, loss: DiskLoss = DiskLoss.SEEDED) -> Path:
    """Write the scenario of a small update with one cut of the agent's power."""
    text = (data_root() / "scenarios" / "healthy_van.toml").read_text(encoding="utf-8")
    text = text.replace("size_bytes = 32768", "size_bytes = 600")
    if point is not None:
        parameters = f'{{ restore_after_ms = 300, disk_loss = "{loss}" }}'
        text += f'\n[[faults]]\npoint = "{point}"\nparameters = {parameters}\n'
    path = folder / "losses.toml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def outcomes(folder: Path) -> Outcomes:
    """For each sync, before and after it, the losses that leave different files there."""
    found: Outcomes = {}
    original = MountedDisk.sync

    async def watched(disk: MountedDisk, name: str | None) -> None:
        n = len(found) // 2 + 1
        found[n, "before"] = different(disk)
        await original(disk, name)
        found[n, "after"] = different(disk)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MountedDisk, "sync", watched)
        Runner().run(make_job(scenario(folder, None), BENCH))
    return found


def different(disk: MountedDisk) -> list[DiskLoss]:
    """Return one loss for each set of files that a cut now can leave."""
    left: dict[tuple[tuple[str, bytes], ...], DiskLoss] = {}
    for loss in CERTAIN_LOSSES:
        left.setdefault(tuple(disk._disk.left_by(loss).items()), loss)
    return list(left.values())


def test_conversation_has_as_many_syncs_as_are_struck(outcomes: Outcomes) -> None:
    assert max(n for n, _ in outcomes) == SYNCS
    assert max(len(losses) for losses in outcomes.values()) >= 6


@pytest.fixture(scope="module")
def runner() -> Runner:
    """One runner for all cuts: the scenarios differ in their faults, so that they have one golden run."""
    return Runner()


@pytest.mark.effort
@pytest.mark.parametrize("n", range(1, SYNCS + 1))
def test_agent_recovers_from_everything_that_its_disk_can_leave(
    runner: Runner, folder: Path, outcomes: Outcomes, n: int
) -> None:
    for where in ("before", "after") if NIGHTLY else ("before",) if n % 4 in (1, 2) else ("after",):
        suffix = "" if where == "before" else ":after"
        for loss in outcomes[n, where]:
            result = runner.run(make_job(scenario(folder, f"power.agent:agent:sync:{n}{suffix}", loss), BENCH))
            failed = [i.id for i in result.verdict.invariants if i.verdict is not Verdict.PASS]
            assert (failed, result.as_expected) == ([], True), f"{where} {loss}: {result.verdict}"
