"""What `run` and `replay` print of a result, and the command that repeats it."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import messages, print_findings, print_json, print_table, report_name
from bench.evidence.places import replay_command
from bench.oracle.result import RunResult
from bench.runs.ids import RunId


def show(result: RunResult, folder: Path, as_json: bool) -> None:
    """Print one result, and the command that repeats it."""
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
