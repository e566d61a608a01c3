"""`otabench run`: scenarios on one bench, each with a verdict."""

from __future__ import annotations

from pathlib import Path

import click

from bench.assembly.load import load_bench
from bench.cli.canlog import check_can_log, log_of_run
from bench.cli.firmware_option import Firmware, run_options
from bench.cli.many import RunTask, Shown, exit_code, refuse_workers_in_real_time, reported, run_all, scenarios_of
from bench.cli.options import find
from bench.cli.output import Watch
from bench.cli.outputs import RUN_BYTES, Outputs, check_room
from bench.cli.results import print_run
from bench.core.errors import InputError
from bench.evidence.write import unwritten_entry, write_entry
from bench.runs.runner import Runner

MAX_JOBS = 64


@click.command(short_help="scenarios on one bench, each with a verdict")
@click.argument("scenarios", metavar="SCENARIO...", nargs=-1, required=True)
@click.option(
    "--bench", "bench_name", default="sim", show_default=True, help="Bench file, or the name of a built-in one."
)
@click.option(
    "--jobs", type=click.IntRange(1, MAX_JOBS), default=1, show_default=True, help="Processes for several scenarios."
)
@run_options
def run(
    scenarios: tuple[str, ...],
    bench_name: str,
    jobs: int,
    firmware: Firmware,
    can_log: Path | None,
    as_json: bool,
    out: Path,
    seed: int,
) -> int:
    """Run each SCENARIO (a file, the name of a built-in one, or a folder of files) on a bench and judge it.

    Several are run in their order and reported together: index.html and junit.xml in --out, and the exit code is the
    first of 2, 1, 3, 4 that one of them has. What cannot be run does not stop the others.

    \b
    Examples:
      otabench run healthy
      otabench run fixtures/scenarios/power_cut_ecu.toml --bench fixtures/benches/sim.toml
      otabench run healthy power_cut_ecu my-scenarios/ --jobs 4
      otabench run power_cut_ecu --image body=firmware.hex --crop
      otabench run healthy --bench realtime --json
      otabench run healthy --can-log healthy.blf
    """
    check_room(out, RUN_BYTES)
    bench = find("benches", bench_name)
    tasks = [RunTask(path, bench, seed, firmware, out) for path in scenarios_of(scenarios)]
    if len(scenarios) == 1 and not Path(scenarios[0]).is_dir():
        return _run_one(tasks[0], can_log, as_json)
    if can_log is not None:
        raise InputError(
            "--can-log holds the frames of one run",
            key="--can-log",
            found=f"{len(tasks)} scenarios",
            allowed="--can-log with one scenario",
            hint="leave --can-log out: each run's folder has its can-<channel>.log",
        )
    refuse_workers_in_real_time(bench, virtual=load_bench(bench).bench.clock == "virtual", jobs=jobs)
    return _run_several(tasks, jobs, as_json)


def _run_one(task: RunTask, can_log: Path | None, as_json: bool) -> int:
    check_can_log(can_log)
    outputs = Outputs()
    with Watch(f"run {task.scenario.stem}") as watch:
        result = Runner().run(task.fitting_job(watch.flash))
        watch.title("writing the report")
        entry = outputs.write(lambda: write_entry(result, task.out)) or unwritten_entry(result, task.out)
        outputs.write(lambda: log_of_run(result, can_log))
    print_run(entry, as_json)
    return outputs.exit_code(exit_code([entry]))


def _run_several(tasks: list[RunTask], jobs: int, as_json: bool) -> int:
    with Watch(f"{len(tasks)} runs") as watch:
        outcomes = run_all(tasks, jobs, Shown(watch, [task.scenario.stem for task in tasks]), watch.flash)
    return reported(outcomes, tasks[0].out, as_json)
