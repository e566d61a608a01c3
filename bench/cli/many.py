"""Runs as values, one after the other or in processes of their own: the same results in the same order."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import click

from bench.cli.bench_hint import naming_a_bench
from bench.cli.firmware_option import Firmware
from bench.cli.options import find
from bench.cli.output import Watch
from bench.cli.outputs import Outputs
from bench.cli.results import print_runs, verdict_text
from bench.cli.usage import with_next_step
from bench.config import data_root
from bench.core.errors import InputError, OtabenchError
from bench.core.stop import STOP
from bench.evidence.contract import NotRun
from bench.evidence.html import Entry
from bench.evidence.index import write_index, write_junit
from bench.evidence.write import write_entry
from bench.flasher.values import Progress
from bench.rig.job import make_job
from bench.runs.exit_codes import code_of, strongest
from bench.runs.job import Job
from bench.runs.runner import Runner
from bench.runs.workers import in_workers

Outcome = Entry | NotRun


def _silent(_progress: Progress) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class RunTask:
    """One run: files in, a folder of reports out. It can be handed to another process."""

    scenario: Path
    bench: Path
    seed: int
    firmware: Firmware
    out: Path

    def fitting_job(self, progress: Callable[[Progress], None] = _silent) -> Job:
        """Read the files as `job` does; of a bench that does not fit, the message names one that does."""
        try:
            return self.job(progress)
        except InputError as error:
            raise naming_a_bench(error, self.scenario) from None

    def job(self, progress: Callable[[Progress], None] = _silent) -> Job:
        """Read the files; `InputError` when something is wrong with them."""
        return make_job(
            self.scenario,
            self.bench,
            seed=self.seed,
            images=self.firmware.images,
            crop=self.firmware.crop,
            binary_base=self.firmware.base,
            progress=progress,
        )


def scenarios_of(names: Sequence[str]) -> list[Path]:
    """Return the scenario files that the user means: files, built-in names, and all `*.toml` right in a folder.

    A file that is named twice is run once. `InputError` names a folder without any.
    """
    found: dict[Path, Path] = {}
    for name in names:
        for path in _in_folder(Path(name)) if Path(name).is_dir() else [find("scenarios", name)]:
            found.setdefault(path.resolve(), path)
    return list(found.values())


def _in_folder(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.toml"))
    if not paths:
        inner = folder / "scenarios"
        hint = f"name {inner}" if inner.is_dir() else "name a folder with scenario files right in it"
        raise InputError(
            "the folder has no scenario files", file=str(folder), found="no *.toml", allowed="*.toml", hint=hint
        )
    return paths


class Shown:
    """Says on the screen how far several runs have come."""

    def __init__(self, watch: Watch, names: Sequence[str]) -> None:
        self._watch, self._names = watch, names
        self._done = 0

    def begun(self, number: int) -> None:
        """Name the run that is being made."""
        self._watch.title(f"run {number + 1} of {len(self._names)}: {self._names[number]}")

    def finished(self, number: int, outcome: Outcome) -> None:
        """Count a run, and say how it ended."""
        self._done += 1
        ended = verdict_text(outcome) if isinstance(outcome, Entry) else "could not be run"
        text = f"{self._done} of {len(self._names)} done; {self._names[number]}: {ended}"
        self._watch.title(text)
        self._watch.say(text)


def run_all(
    tasks: Sequence[RunTask],
    jobs: int,
    shown: Shown,
    progress: Callable[[Progress], None] = _silent,
) -> list[Outcome]:
    """Run and report every task, and return what came of them in the order of `tasks`.

    One that cannot be run does not keep the others from it. `progress` hears of a flasher only where everything runs
    in this process (`jobs` is 1).
    """
    if jobs > 1 and len(tasks) > 1:
        return in_workers(tasks, _in_worker, jobs, shown.finished)
    runner, outcomes = Runner(), list[Outcome]()
    for number, task in enumerate(tasks):
        STOP.check()
        shown.begun(number)
        outcomes.append(_outcome(task, runner, progress))
        shown.finished(number, outcomes[-1])
    return outcomes


def parted(outcomes: Iterable[Outcome]) -> tuple[list[Entry], list[NotRun]]:
    """Return the runs, and what could not be run."""
    made = list(outcomes)
    return [x for x in made if isinstance(x, Entry)], [x for x in made if isinstance(x, NotRun)]


def reported(outcomes: Sequence[Outcome], out: Path, as_json: bool) -> int:
    """Write index and JUnit over several runs, show the results whatever becomes of the files, return the exit code."""
    entries, not_run = parted(outcomes)
    outputs = Outputs()
    index = outputs.write(lambda: write_index(entries, out, not_run))
    outputs.write(lambda: write_junit(entries, out, not_run))
    print_runs(entries, not_run, as_json)
    if index is not None and not as_json:
        click.echo(f"report: {index}    (otabench dashboard --out {shlex.quote(str(out))} shows it in a browser)")
    return outputs.exit_code(exit_code(outcomes))


def exit_code(outcomes: Iterable[Outcome]) -> int:
    """Return the exit code of several runs (`docs/contracts.md`)."""
    entries, not_run = parted(outcomes)
    codes = [code_of(entry.run.verdict, as_expected=entry.run.as_expected) for entry in entries]
    return strongest([*codes, *(missing.exit_code for missing in not_run)])


def refuse_workers_in_real_time(bench: Path, *, virtual: bool, jobs: int) -> None:
    """Refuse `--jobs` where time is real: runs would make each other late, and share one bench's equipment."""
    if jobs > 1 and not virtual:
        raise InputError(
            "--jobs needs a bench in virtual time",
            file=str(bench),
            key="clock",
            found='"real"',
            allowed='"virtual", or --jobs 1',
            hint="leave --jobs out",
        )


def _outcome(task: RunTask, runner: Runner, progress: Callable[[Progress], None]) -> Outcome:
    try:
        return write_entry(runner.run(task.fitting_job(progress)), task.out)
    except OtabenchError as error:  # wrong input, an equipment error, or a folder that cannot be written
        message = with_next_step(error) if isinstance(error, InputError) else str(error)
        return NotRun(scenario=_name(task), exit_code=error.exit_code, message=message)


def _name(task: RunTask) -> str:
    """Return how a scenario without a verdict is called: a built-in one by its name, else as the user named it."""
    built_in = task.scenario.parent == data_root() / "scenarios"
    return task.scenario.stem if built_in else str(task.scenario)


def _in_worker(task: RunTask) -> Outcome:
    return _outcome(task, _runner(), _silent)


@cache
def _runner() -> Runner:
    """Return this process's runner: it keeps golden runs, which several scenarios may share."""
    return Runner()
