"""Replay: find the files whose hash the id names, run them again, refuse when the golden run differs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench.config import data_root
from bench.core.errors import InputError
from bench.oracle.result import RunResult
from bench.runs.ids import RunId, inputs_hash
from bench.runs.job import Job
from bench.runs.replay_refusals import Tried, not_found, other_golden_run, stored_report
from bench.runs.runner import Runner

MakeJob = Callable[[Path, Path, int], Job]
"""Makes the job of a scenario file, a bench file and a seed; `InputError` where the files do not fit."""


def replay_run(
    text: str,
    *,
    reports: Path,
    scenario: Path | None,
    bench: Path | None,
    images: Mapping[str, Path],
    make_job: MakeJob,
) -> RunResult:
    """Return the result of the run that `text` names; `InputError` when its inputs or golden run cannot be had.

    `make_job` reads the user's `images` itself; they stand here for what a refusal says of them.
    """
    run_id = RunId.parse(text)
    tried: list[Tried] = []
    for scenario_path, bench_path in _candidates(run_id, reports, scenario, bench):
        try:
            job = make_job(scenario_path, bench_path, run_id.seed)
        except InputError as error:
            if error.file in {str(path) for path in images.values()}:
                raise  # no other pair of files makes this firmware readable
            tried.append(Tried(scenario_path, bench_path, error.problem, {}))
            continue
        if inputs_hash(job.inputs) == run_id.inputs:
            return _run(job, run_id, reports)
        tried.append(Tried(scenario_path, bench_path, None, job.inputs))
    raise not_found(run_id, stored_report(run_id, reports), tried, images)


def _run(job: Job, run_id: RunId, reports: Path) -> RunResult:
    """Run at the id's own points; its golden run must be the same, unless time was real."""
    runner = Runner()
    if len(run_id.points) != len(job.scenario.faults):
        raise InputError(
            "the id has another number of faults than its scenario",
            found=", ".join(run_id.points) or "none",
            allowed=f"{len(job.scenario.faults)} fault point(s)",
            hint="copy the whole id from verdicts.json or the report",
        )
    if run_id.real_time:
        return runner.run(job, run_id.points)
    golden = runner.golden_hash(job)
    if golden != run_id.golden:
        raise other_golden_run(run_id, golden, stored_report(run_id, reports))
    return runner.run(job, run_id.points)


def _candidates(run_id: RunId, reports: Path, scenario: Path | None, bench: Path | None) -> Iterator[tuple[Path, Path]]:
    """Yield scenario and bench files that may be meant: the user's, the reports' copies, the built-in ones."""
    roots = [*sorted(reports.glob("*/inputs")), data_root()]
    for root in roots:
        scenarios = [scenario] if scenario else [root / "scenarios" / f"{run_id.scenario}.toml"]
        benches = [bench] if bench else sorted((root / "benches").glob("*.toml"))
        for scenario_path in scenarios:
            if scenario_path.is_file():
                yield from ((scenario_path, bench_path) for bench_path in benches)
