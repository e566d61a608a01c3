"""`otabench replay`: the same run again, by its id."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.canlog import check_can_log, log_of_run
from bench.cli.firmware_option import Firmware, run_options
from bench.cli.many import RunTask, exit_code
from bench.cli.options import find
from bench.cli.output import Watch
from bench.cli.outputs import RUN_BYTES, Outputs, check_room
from bench.cli.results import print_run
from bench.evidence.write import unwritten_entry, write_entry
from bench.runs.job import Job
from bench.runs.replay import replay_run


@click.command(short_help="the same run again, by its id")
@click.argument("run_id", metavar="ID")
@click.option("--scenario", help="Scenario file, when no report or built-in file has the id's inputs.")
@click.option("--bench", "bench_name", help="Bench file, likewise.")
@run_options
def replay(
    run_id: str,
    scenario: str | None,
    bench_name: str | None,
    firmware: Firmware,
    can_log: Path | None,
    as_json: bool,
    out: Path,
    seed: int,
) -> int:
    """Repeat the run with this ID: same inputs, same fault points, same trace.

    Inputs are found by their hash in the reports (--out), among the built-in files, and in what the options name.
    Firmware of your own has to be named again, as in the run. The seed is the id's own; --seed is ignored.

    \b
    Examples:
      otabench replay v1.healthy.none.1.0123456789ab.cdef01234567
      otabench replay ID --bench my-bench.toml --scenario my-scenario.toml
      otabench replay ID --image body=firmware.hex --crop
      otabench replay ID --can-log out.blf
    """
    del seed
    check_can_log(can_log)
    check_room(out, RUN_BYTES)
    outputs = Outputs()
    with Watch("replay") as watch:

        def job_of(scenario_path: Path, bench_path: Path, seed: int) -> Job:
            return RunTask(scenario_path, bench_path, seed, firmware, out).job(watch.flash)

        result = replay_run(
            run_id,
            reports=out,
            scenario=None if scenario is None else find("scenarios", scenario),
            bench=None if bench_name is None else find("benches", bench_name),
            images=firmware.images,
            make_job=job_of,
        )
        watch.title("writing the report")
        entry = outputs.write(lambda: write_entry(result, out)) or unwritten_entry(result, out)
        outputs.write(lambda: log_of_run(result, can_log))
    print_run(entry, as_json)
    return outputs.exit_code(exit_code([entry]))
