"""What `run` and `replay` print of a result, and the command that repeats it."""

from __future__ import annotations

from pathlib import Path

import click

from bench.cli.output import messages, print_findings, print_json, print_table, report_name
from bench.oracle.result import RunResult
from bench.runs.ids import RunId


def show(result: RunResult, folder: Path, as_json: bool, options: str = "") -> None:
    """Print one result; `options` are what a replay needs besides its id."""
    if as_json:
        print_json([result], [folder])
        return
    print_table([result])
    print_findings(result)
    click.echo(f"id:     {result.id}\ntrace:  {result.trace_sha256}\nreport: {report_name(folder)}")
    messages().print(_how_to_repeat(result, options), soft_wrap=True, markup=False)


def _how_to_repeat(result: RunResult, options: str) -> str:
    if RunId.parse(result.id).real_time:
        return f"the same story anew (real time does not repeat to the byte): otabench replay {result.id}{options}"
    return f"the same run again: otabench replay {result.id}{options}"
