"""What `demo`, `run` and `replay` print of their runs: a table, the findings of one run, JSON for programs."""

from __future__ import annotations

from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from bench.cli.columns import Breakable
from bench.cli.output import answers, messages
from bench.evidence.contract import NotRun, Run, runs_model
from bench.evidence.html import Entry
from bench.evidence.text import fault_points, is_real_time
from bench.oracle.result import Verdict
from bench.runs.exit_codes import INPUT

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.EQUIPMENT_ERROR: "magenta",
    Verdict.NOT_OBSERVED: "yellow",
}
NARROW = 100
"""Columns of a terminal below which the table leaves the ECUs out: the report names them."""


def print_json(entries: Sequence[Entry], not_run: Sequence[NotRun] = ()) -> None:
    """Print `{"schema":1,"tool":...,"runs":[...],"not_run":[...]}` on standard output."""
    click.echo(runs_model([entry.run for entry in entries], not_run).to_json())


def print_table(entries: Sequence[Entry], not_run: Sequence[NotRun] = ()) -> None:
    """Print the table of runs."""
    console = answers()
    wide = console.width >= NARROW
    table = Table(header_style="bold")
    for name in ("scenario", "fault", *(("ECUs",) if wide else ()), "verdict"):
        table.add_column(name, overflow="fold")
    real = any(is_real_time(entry.run) for entry in entries)
    for name in ("run time" if real else "virtual", "wall"):
        table.add_column(name, justify="right", no_wrap=True)
    for entry in entries:
        run = entry.run
        style = "green" if run.as_expected else STYLES[run.verdict]
        table.add_row(
            Breakable(run.scenario),
            Breakable(", ".join(fault_points(run)) or "none"),
            *((entry.ecus,) if wide else ()),
            Text(verdict_text(entry), style),
            f"{run.virtual_s:.3f} s",
            f"{run.wall_s:.2f} s",
        )
    for missing in not_run:
        word = "could not be run" if missing.exit_code == INPUT else "equipment error"
        verdict = Text(word, STYLES[Verdict.FAIL])
        table.add_row(Breakable(missing.scenario), "", *(("",) if wide else ()), verdict, "", "")
    console.print(table)


def verdict_text(entry: Entry) -> str:
    """Return the verdict in words, with everything that must stand beside it."""
    run = entry.run
    if run.as_expected and run.expected.invariant is not None:
        return f"expected to fail: caught ({run.expected.invariant})"
    text = run.verdict.value.replace("_", " ")
    failed = [item.id.value for item in run.invariants if item.verdict is Verdict.FAIL]
    if failed:
        text += f": {', '.join(failed)}"
    if entry.not_observed:
        text += f", not observed: {', '.join(entry.not_observed)}"
    if not run.as_expected:
        text += f" (expected {run.expected.verdict.value})"
    return text


def print_findings(run: Run) -> None:
    """Print the invariants of one run, each with its sentence, and the notes."""
    console = answers()
    for item in run.invariants:
        _print_finding(
            console, item.verdict.value.replace("_", " "), STYLES[item.verdict], item.id.value, item.sentence
        )
    for note in run.notes:
        _print_finding(console, "note", "yellow", "", note)


def _print_finding(console: Console, word: str, style: str, name: str, sentence: str) -> None:
    """Print one line; on a terminal a long sentence goes on below itself, elsewhere it stays one line for grep."""
    verdict = Text(f"{word:<13}", style)
    if not console.is_terminal:
        console.print(
            Text("  ").append_text(verdict).append(f" {name + ' ' if name else '':<11}{sentence}"), soft_wrap=True
        )
        return
    grid = Table.grid(padding=(0, 1, 0, 0))
    grid.add_column(width=1)
    grid.add_column(width=13, no_wrap=True)
    if name:
        grid.add_column(width=10, no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_row("", verdict, *([name] if name else []), sentence)
    console.print(grid)


def print_not_run(not_run: Sequence[NotRun]) -> None:
    """Print why scenarios could not be run, on standard error."""
    for missing in not_run:
        messages().print(f"error: {missing.scenario}: {missing.message}", soft_wrap=True, markup=False)


def print_run(entry: Entry, as_json: bool) -> None:
    """Print one run, and the command that repeats it."""
    if as_json:
        print_json([entry])
        return
    run = entry.run
    print_table([entry])
    print_findings(run)
    click.echo(f"id:     {run.id}\ntrace:  {run.trace_sha256}\nreport: {run.report}")
    anew = is_real_time(run)
    what = "the same story anew (real time does not repeat to the byte)" if anew else "the same run again"
    messages().print(f"{what}: {run.replay}", soft_wrap=True, markup=False)


def print_runs(entries: Sequence[Entry], not_run: Sequence[NotRun], as_json: bool) -> None:
    """Print several runs: the table, and the findings of those that did not end as expected."""
    print_not_run(not_run)
    if as_json:
        print_json(entries, not_run)
        return
    print_table(entries, not_run)
    for entry in entries:
        if not entry.run.as_expected:
            click.echo(f"\n{entry.run.scenario}: {entry.title}")
            print_findings(entry.run)
            click.echo(f"  report: {entry.run.report}")
            messages().print(f"  again:  {entry.run.replay}", soft_wrap=True, markup=False)
