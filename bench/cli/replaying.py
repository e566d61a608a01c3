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
    tried: list[str] = []
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
            tried.append(error.problem)
            continue
        if inputs_hash(job.inputs) == run_id.inputs:
            return _run(job, run_id, reports)
        tried.append("other inputs")
    raise _not_found(run_id, reports, tried)


def _not_found(run_id: RunId, reports: Path, tried: list[str]) -> InputError:
    """Say what was looked at, and name firmware that the run used and that no report keeps."""
    reasons = "; ".join(dict.fromkeys(reason for reason in tried if reason != "other inputs"))
    firmware = _own_firmware(run_id, reports)
    return InputError(
        f"the files with the inputs hash {run_id.inputs} were not found",
        found=f"{len(tried)} pairs of scenario and bench tried{f': {reasons}' if reasons else ''}",
        allowed="the files the run was made with",
        hint=f"the run used firmware of its own: add --image {firmware}=FILE, with --crop and --base as then"
        if firmware
        else "name them with --bench, --scenario and --image, or copy the run's folder into the reports",
    )


def _own_firmware(run_id: RunId, reports: Path) -> str | None:
    """Return the ECU whose firmware a stored report of this run does not keep."""
    for path in _stored(run_id, reports):
        for header in sorted(path.parent.glob("inputs/images/*.header")):
            return header.stem
    return None


def _run(job: Job, run_id: RunId, reports: Path) -> RunResult:
    """Run at the id's own points; its golden run must be the same, unless time was real."""
    runner = Runner()
    if len(run_id.points) != len(job.scenario.faults):
        raise InputError(
            "the id has another number of faults than its scenario",
            found=", ".join(run_id.points) or "none",
            allowed=f"{len(job.scenario.faults)} fault point(s)",
        )
    if run_id.real_time:
        return runner.run(job, run_id.points)
    golden = runner.golden_hash(job)
    if golden != run_id.golden:
        raise InputError(
            "the golden run of these inputs differs from the one that the id names",
            found=f"{golden} (otabench {__version__})",
            allowed=f"{run_id.golden} (otabench {_version_of(run_id, reports)})",
            hint="replay it with the version that made it; with the same version the id was changed",
        )
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


def _version_of(run_id: RunId, reports: Path) -> str:
    """Return the tool version that a stored report of this run names."""
    for path in _stored(run_id, reports):
        return str(json.loads(path.read_text()).get("tool", {}).get("version", "unknown"))
    return "of another version or machine"


def _stored(run_id: RunId, reports: Path) -> Iterator[Path]:
    """Yield the view files of stored reports of this run (`view.json`, `verdicts.json` beside it has the id)."""
    for path in sorted(reports.glob("*/verdicts.json")):
        try:
            stored = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(stored, dict) and stored.get("id") == str(run_id):
            yield path.with_name("view.json")
