"""`otabench replay`: the same run again, by its id."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.canlog import can_log_option, check_can_log, log_of_run
from bench.cli.options import address_option, base_option, common, find, firmware_options
from bench.cli.output import Watch, written
from bench.cli.verdict import show
from bench.rig.job import make_job
from bench.runs.exit_codes import exit_code
from bench.runs.job import Job
from bench.runs.replay import replay_run


@click.command(short_help="the same run again, by its id")
@click.argument("run_id", metavar="ID")
@click.option("--scenario", help="Scenario file, when no report or built-in file has the id's inputs.")
@click.option("--bench", "bench_name", help="Bench file, likewise.")
@click.option("--image", "images", multiple=True, metavar="ECU=FILE", help="The firmware that the run used.")
@click.option("--crop", is_flag=True, help="As in the run.")
@base_option
@can_log_option
@common
def replay(
    run_id: str,
    scenario: str | None,
    bench_name: str | None,
    images: tuple[str, ...],
    crop: bool,
    base: str | None,
    can_log: Path | None,
    as_json: bool,
    out: Path,
    seed: int,
) -> int:
    """Repeat the run with this ID: same inputs, same fault points, same trace.

    Inputs are found by their hash in the reports, among the built-in files, and in what the options name.
    The seed is the id's own; --seed is ignored.

    \b
    Examples:
      otabench replay v1.healthy.none.1.0123456789ab.cdef01234567
      otabench replay ID --bench my-bench.toml --scenario my-scenario.toml
      otabench replay ID --can-log out.blf
    """
    del seed
    check_can_log(can_log)
    firmware, binary_base = firmware_options(images, crop, base), address_option(base)
    with Watch("replay") as watch:

        def job_of(scenario_path: Path, bench_path: Path, seed: int) -> Job:
            return make_job(
                scenario_path, bench_path, seed=seed, images=firmware, crop=crop, binary_base=binary_base,
                progress=watch.flash,
            )  # fmt: skip

        result = replay_run(
            run_id,
            reports=out,
            scenario=None if scenario is None else find("scenarios", scenario),
            bench=None if bench_name is None else find("benches", bench_name),
            images=firmware,
            make_job=job_of,
        )
        folders = written([result], out)
        log_of_run(result, can_log)
    show(result, folders[0], as_json)
    return exit_code([result])
