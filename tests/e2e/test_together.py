"""An agent that flashes its ECUs together: shorter, as truthful, and as hard to break as one after the other."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from bench.core.points import PointTable
from bench.oracle.result import RunResult
from bench.rig.job import make_job
from bench.runs.job import Job
from bench.runs.runner import Runner
from tests.effort import effort

Load = Callable[..., Job]
ECUS = ("body", "door", "gateway")
KINDS = {
    "power.ecu": (
        ("program", effort(12, 6)),
        ("erase", effort(3, 2)),
        ("boot", 2),
        ("request", effort(73, 37)),
        ("frame", 8_999),
    ),
    "power.agent": (("sync", effort(13, 7)), ("transition", effort(5, 2)), ("http", 6), ("frame", 8_999)),
    "power.vehicle": (("program", effort(17, 8)), ("boot", 2)),
}


def installing_ns(result: RunResult) -> int:
    """Return the time between the first and the last request to all ECUs."""
    records = [json.loads(line) for line in result.journal]
    functional = [r["t"] for r in records if r["kind"] == "frame" and " 7DF#" in r["payload"]]
    return int(functional[-1] - functional[0])


def one_after_the_other(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """Return the job on the same bench without its `parallel` key."""
    folder = tmp_path_factory.mktemp("benches")
    (folder / "benches").mkdir()
    bench = job.inputs["benches/sim_two_buses.toml"].decode().replace("parallel = true\n", "")
    (folder / "benches" / "slow.toml").write_text(bench)
    (folder / "together.toml").write_bytes(job.inputs["scenarios/together.toml"])
    return make_job(folder / "together.toml", folder / "benches" / "slow.toml")


def test_three_ecus_together_take_less_than_two_thirds_of_one_after_the_other(
    runner: Runner, load: Load, tmp_path_factory: pytest.TempPathFactory
) -> None:
    job = load("together", "sim_two_buses")
    together, alone = runner.run(job), runner.run(one_after_the_other(job, tmp_path_factory))
    assert together.as_expected
    assert alone.as_expected
    assert installing_ns(together) < installing_ns(alone) * 2 / 3


def test_three_ecus_together_give_the_same_trace_each_time(load: Load) -> None:
    traces = {Runner().run(load("together", "sim_two_buses")).trace_sha256 for _ in range(2)}
    assert len(traces) == 1


def sampled(table: PointTable, fault_class: str) -> Iterator[str]:
    """Yield points of one class: each n-th occurrence, before, torn, after in turn."""
    for event, step in KINDS[fault_class]:
        for part in ("agent",) if fault_class == "power.agent" else ECUS:
            for index, occurrence in enumerate(table.get((part, event), ())[::step]):
                tear = f":torn={occurrence.units // 2}" if occurrence.units else ""
                yield f"{fault_class}:{part}:{event}:{occurrence.n}{(tear, '', ':after')[index % 3]}"


@pytest.mark.effort
@pytest.mark.parametrize("fault_class", list(KINDS))
def test_power_cut_while_ecus_are_flashed_together_recovers_to_the_target(
    runner: Runner, load: Load, with_faults: Callable[..., Job], fault_class: str
) -> None:
    job = load("together", "sim_two_buses")
    points = list(sampled(runner.golden(job).points, fault_class))
    assert len(points) >= 8
    wrong = []
    for point in points:
        result = runner.run(with_faults(job, point, restore_after_ms=700))
        if not result.as_expected:
            wrong.append((point, [f"{f.id}: {f.sentence}" for f in result.verdict.invariants if f.verdict != "pass"]))
    assert wrong == []


def test_power_cut_between_two_results_keeps_the_first_and_finishes_the_second(
    runner: Runner, load: Load, with_faults: Callable[..., Job]
) -> None:
    """The gateway is done first: its stored result survives, and it is not flashed again."""
    job = load("together", "sim_two_buses")
    golden = runner.golden(job)
    reports = [json.loads(line) for line in golden.journal]
    resets = [r["t"] for r in reports if r["kind"] == "frame" and "7A1#021101" in r["payload"]]
    last = [r["t"] for r in reports if r["kind"] == "frame" and "7A2#021101" in r["payload"]]
    assert resets[-1] < last[-1]
    frames = golden.points["agent", "frame"]
    middle = next(o for o in frames if o.t_ns > (resets[-1] + last[-1]) // 2)
    result = runner.run(with_faults(job, f"power.agent:agent:frame:{middle.n}", restore_after_ms=700))
    assert result.as_expected
    erased = [json.loads(line) for line in result.journal]
    gateway = [r for r in erased if r["part"] == "gateway" and r["kind"] == "flash.erase"]
    assert len(gateway) == 3
