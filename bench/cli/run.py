"""`otabench run`: one scenario on one bench, with a verdict."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.canlog import can_log_option, check_can_log, log_of_run
from bench.cli.options import address_option, base_option, common, find, firmware_options
from bench.cli.output import Watch, written
from bench.cli.verdict import show
from bench.rig.job import make_job
from bench.runs.exit_codes import exit_code
from bench.runs.runner import Runner


@click.command(short_help="one scenario on one bench, with a verdict")
@click.argument("scenario")
@click.option(
    "--bench", "bench_name", default="sim", show_default=True, help="Bench file, or the name of a built-in one."
)
@click.option(
    "--image",
    "images",
    multiple=True,
    metavar="ECU=FILE",
    help="Update this ECU with real firmware (HEX, SREC, TI-TXT, ELF, VBF, binary).",
)
@click.option("--crop", is_flag=True, help="Leave out what lies outside the ECU's region.")
@base_option
@can_log_option
@common
def run(
    scenario: str,
    bench_name: str,
    images: tuple[str, ...],
    crop: bool,
    base: str | None,
    can_log: Path | None,
    as_json: bool,
    out: Path,
    seed: int,
) -> int:
    """Run one SCENARIO (a file, or the name of a built-in one) on a bench and judge it.

    \b
    Examples:
      otabench run healthy
      otabench run fixtures/scenarios/power_cut_ecu.toml --bench fixtures/benches/sim.toml
      otabench run power_cut_ecu --image body=firmware.hex --crop
      otabench run healthy --bench realtime --json
      otabench run healthy --can-log healthy.blf
    """
    check_can_log(can_log)
    with Watch(f"run {scenario}") as watch:
        job = make_job(
            find("scenarios", scenario),
            find("benches", bench_name),
            seed=seed,
            images=firmware_options(images, crop, base),
            crop=crop,
            binary_base=address_option(base),
            progress=watch.flash,
        )
        result = Runner().run(job)
        watch.title("writing the report")
        folders = written([result], out)
        log_of_run(result, can_log)
    show(result, folders[0], as_json)
    return exit_code([result])
