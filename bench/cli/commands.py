"""The commands: each reads its options, has the work done elsewhere, shows the result, returns the exit code."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from bench.cli.canlog import can_log_option, check_can_log, log_of_run
from bench.cli.doctor import checks, print_checks
from bench.cli.options import address_option, common, debug_only, find, firmware_options
from bench.cli.output import Watch, messages, print_findings, print_json, print_table, report_name, written
from bench.cli.replaying import replay_run
from bench.config import data_root
from bench.dashboard.app import create_app
from bench.dashboard.serve import serve
from bench.evidence.index import write_index
from bench.evidence.places import replay_command
from bench.oracle.result import RunResult
from bench.rig.job import make_job
from bench.runs.exit_codes import exit_code
from bench.runs.ids import RunId
from bench.runs.runner import Runner

DEMO = ("healthy", "power_cut_ecu", "power_cut_agent", "forged_signature", "wrong_ecu", "planted_no_verification")
"""The demo's story, in this order."""


@click.command(short_help="the story in seconds: updates, power cuts, forgeries")
@common
def demo(as_json: bool, out: Path, seed: int) -> int:
    """Show a car being updated, a power cut in the middle, forged packages refused, a defect caught.

    \b
    Examples:
      otabench demo
      otabench demo --json | python3 -m json.tool
      otabench demo --seed 7 --out /tmp/otabench
    """
    runner, results = Runner(), []
    with Watch("demo") as watch:
        for number, name in enumerate(DEMO, start=1):
            watch.title(f"run {number} of {len(DEMO)}: {name}")
            job = make_job(find("scenarios", name), find("benches", "sim"), seed=seed, progress=watch.flash)
            results.append(runner.run(job))
        watch.title("writing reports")
        folders = written(results, out)
        index = write_index(results, out)
    if as_json:
        print_json(results, folders)
    else:
        print_table(results)
        for result in results:
            if not result.as_expected:
                click.echo(f"\n{result.scenario}: {result.title}")
                print_findings(result)
        click.echo(f"report: {index}    (otabench dashboard --out {shlex.quote(str(out))} shows it in a browser)")
    return exit_code(results)


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
@click.option("--base", type=str, default="0", show_default=True, help="Address of a binary file, as 0x… or decimal.")
@can_log_option
@common
def run(
    scenario: str,
    bench_name: str,
    images: tuple[str, ...],
    crop: bool,
    base: str,
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
    _show(result, folders[0], as_json)
    return exit_code([result])


@click.command(short_help="the same run again, by its id")
@click.argument("run_id", metavar="ID")
@click.option("--scenario", help="Scenario file, when no report or built-in file has the id's inputs.")
@click.option("--bench", "bench_name", help="Bench file, likewise.")
@click.option("--image", "images", multiple=True, metavar="ECU=FILE", help="The firmware that the run used.")
@click.option("--crop", is_flag=True, help="As in the run.")
@click.option("--base", type=str, default="0", show_default=True, help="As in the run.")
@can_log_option
@common
def replay(
    run_id: str,
    scenario: str | None,
    bench_name: str | None,
    images: tuple[str, ...],
    crop: bool,
    base: str,
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
    with Watch("replay") as watch:
        result = replay_run(
            run_id,
            reports=out,
            scenario=None if scenario is None else find("scenarios", scenario),
            bench=None if bench_name is None else find("benches", bench_name),
            images=firmware_options(images, crop, base),
            crop=crop,
            base=address_option(base),
            progress=watch.flash,
        )
        folders = written([result], out)
        log_of_run(result, can_log)
    _show(result, folders[0], as_json)
    return exit_code([result])


@click.command(short_help="what this machine can do, what is missing")
@debug_only
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object and nothing else on stdout.")
def doctor(as_json: bool) -> int:
    """Say what this machine can do, and what to do about what is missing.

    \b
    Examples:
      otabench doctor
      otabench doctor --json
    """
    return print_checks(checks(data_root()), as_json=as_json)


@click.command(short_help="the results in a browser")
@debug_only
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("reports"), show_default=True, help="The reports to show."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Loopback address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8642, show_default=True, help="0 chooses a free one.")
def dashboard(out: Path, host: str, port: int) -> int:
    """Show the results in a browser: runs, verdicts, sequence and ECUs.

    \b
    Examples:
      otabench dashboard
      otabench dashboard --out nightly/reports --port 9000
    """
    serve(create_app(out), host, port)
    return 0


def _show(result: RunResult, folder: Path, as_json: bool) -> None:
    if as_json:
        print_json([result], [folder])
        return
    print_table([result])
    print_findings(result)
    click.echo(f"id:     {result.id}\ntrace:  {result.trace_sha256}\nreport: {report_name(folder)}")
    messages().print(_how_to_repeat(result, folder.parent), soft_wrap=True, markup=False)


def _how_to_repeat(result: RunResult, out: Path) -> str:
    anew = RunId.parse(result.id).real_time
    what = "the same story anew (real time does not repeat to the byte)" if anew else "the same run again"
    return f"{what}: {replay_command(result, out)}"
