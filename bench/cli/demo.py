"""`otabench demo`: the whole story in a few seconds."""

from __future__ import annotations

import shlex
from pathlib import Path

import click

from bench.cli.options import common, find
from bench.cli.output import Watch, print_findings, print_json, print_table, written
from bench.evidence.index import write_index
from bench.rig.job import make_job
from bench.runs.exit_codes import exit_code
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
