"""Replay: find the files whose hash the id names, run them again, refuse when the golden run differs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from bench import __version__
from bench.config import data_root
from bench.core.errors import InputError
from bench.flasher.values import Progress
from bench.oracle.result import RunResult
from bench.rig.job import make_job
from bench.runs.ids import RunId, inputs_hash
from bench.runs.job import Job
from bench.runs.runner import Runner


def replay_run(
    text: str,
    *,
    reports: Path,
    scenario: Path | None,
    bench: Path | None,
    images: Mapping[str, Path],
    crop: bool,
    base: int,
    progress: Callable[[Progress], None],
) -> RunResult:
    """Return the result of the run that `text` names; `InputError` when its inputs or golden run cannot be had."""
    run_id = RunId.parse(text)
    tried = []
    for scenario_path, bench_path in _candidates(run_id, reports, scenario, bench):
        try:
            job = make_job(
                scenario_path,
                bench_path,
                seed=run_id.seed,
                images=images,
                crop=crop,
                binary_base=base,
                progress=progress,
            )
        except InputError as error:
            tried.append(f"{scenario_path} on {bench_path}: {error.problem}")
            continue
        found = inputs_hash(job.inputs)
        if found == run_id.inputs:
            return _run(job, run_id, reports)
        tried.append(f"{scenario_path} on {bench_path}: {found}")
    raise InputError(
        f"no files with the inputs hash {run_id.inputs} were found",
        found="; ".join(tried[:6]) or "no scenario of that name",
        allowed="the files the run was made with",
        hint="name them with --bench, --scenario and --image, or copy the run's folder into the reports",
    )


def _run(job: Job, run_id: RunId, reports: Path) -> RunResult:
    runner = Runner()
    golden = runner.golden_hash(job)
    if golden != run_id.golden:
        raise InputError(
            "the golden run of these inputs differs from the one that the id names",
            found=f"{golden} (otabench {__version__})",
            allowed=f"{run_id.golden} (otabench {_version_of(run_id, reports)})",
            hint="replay it with the version that made it",
        )
    return runner.run(job)


def _candidates(run_id: RunId, reports: Path, scenario: Path | None, bench: Path | None) -> Iterator[tuple[Path, Path]]:
    """Yield scenario and bench files that may be meant: the user's, the reports' copies, the built-in ones."""
    roots = [*sorted(reports.glob("*/inputs")), data_root()]
    for root in roots:
        scenarios = [scenario] if scenario else [root / "scenarios" / f"{run_id.scenario}.toml"]
        benches = [bench] if bench else sorted((root / "benches").glob("*.toml"))
        for scenario_path in scenarios:
            if scenario_path.is_file():
                yield from ((scenario_path, bench_path) for bench_path in benches)


def _version_of(run_id: RunId, reports: Path) -> str:
    """Return the tool version that a stored report of this run names."""
    for path in sorted(reports.glob("*/view.json")):
        try:
            stored = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if stored.get("id") == str(run_id):
            return str(stored.get("tool", {}).get("version", "unknown"))
    return "of another version or machine"
