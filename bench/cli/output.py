"""What the commands show: tables and progress on the terminal, JSON for programs."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from bench.core.stop import STOP
from bench.evidence.contract import run_model, runs_model
from bench.evidence.write import write_run
from bench.flasher.values import Progress as FlashProgress
from bench.oracle.result import RunResult, Verdict

STYLES = {
    Verdict.PASS: "green",
    Verdict.FAIL: "bold red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.EQUIPMENT_ERROR: "magenta",
    Verdict.NOT_OBSERVED: "yellow",
}


PLAIN_WIDTH = 150


def messages() -> Console:
    """Return the console for people: standard error, so that standard output stays one JSON object."""
    return Console(stderr=True, highlight=False, emoji=False)


def answers() -> Console:
    """Return the console for results; wide enough for whole lines where standard output is no terminal."""
    console = Console(highlight=False, emoji=False)
    return console if console.is_terminal else Console(highlight=False, emoji=False, width=PLAIN_WIDTH)


class Watch(AbstractContextManager["Watch"]):
    """A live line for the run and a bar per ECU being flashed, on a terminal; silent elsewhere."""

    def __init__(self, title: str) -> None:
        self._console = messages()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            DownloadColumn(binary_units=True),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._title = self._progress.add_task(title, total=None)
        self._bars: dict[str, TaskID] = {}

    def __enter__(self) -> Watch:
        self._progress.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._progress.stop()

    def title(self, text: str) -> None:
        """Say what is running now."""
        self._progress.update(self._title, description=text)
        for bar in self._bars.values():
            self._progress.remove_task(bar)
        self._bars.clear()

    def flash(self, event: FlashProgress) -> None:
        """Move an ECU's bar."""
        if event.ecu not in self._bars:
            self._bars[event.ecu] = self._progress.add_task(event.ecu, total=event.total_bytes)
        bar = self._bars[event.ecu]
        text = f"  {event.ecu} {event.step}"
        self._progress.update(bar, completed=event.sent_bytes, total=event.total_bytes, description=text)


def written(results: Sequence[RunResult], out: Path) -> list[Path]:
    """Write every run's folder; returns them. Between two folders Ctrl-C is obeyed, in the middle of one it is not."""
    folders = []
    for result in results:
        STOP.check()
        folders.append(write_run(result, out))
    return folders


def report_name(folder: Path) -> str:
    """Return a run's report relative to the current folder."""
    return os.path.relpath(folder / "report.html")


def print_json(results: Sequence[RunResult], folders: Sequence[Path]) -> None:
    """Print `{"schema":1,"tool":...,"runs":[...]}` on standard output."""
    runs = [run_model(result, folder.parent) for result, folder in zip(results, folders, strict=True)]
    click.echo(runs_model(runs).to_json())


def print_table(results: Sequence[RunResult]) -> None:
    """Print the table of runs."""
    table = Table(header_style="bold")
    table.add_column("scenario", no_wrap=True)
    for name in ("fault", "ECUs", "verdict"):
        table.add_column(name, overflow="fold")
    table.add_column("virtual", justify="right", no_wrap=True)
    table.add_column("wall", justify="right", no_wrap=True)
    for result in results:
        ecus = ", ".join(layout.ecu for layout in result.record.layouts)
        style = "green" if result.as_expected else STYLES[result.verdict.verdict]
        table.add_row(
            result.scenario,
            result.fault.point if result.fault else "none",
            ecus,
            f"[{style}]{verdict_text(result)}[/]",
            f"{result.virtual_s:.3f} s",
            f"{result.wall_s:.2f} s",
        )
    answers().print(table)


def verdict_text(result: RunResult) -> str:
    """Return the verdict in words, with everything that must stand beside it."""
    verdict = result.verdict
    if result.as_expected and result.expected_invariant is not None:
        return f"expected to fail: caught ({result.expected_invariant})"
    text = str(verdict.verdict).replace("_", " ")
    failed = [str(finding.id) for finding in verdict.invariants if finding.verdict is Verdict.FAIL]
    if failed:
        text += f": {', '.join(failed)}"
    if verdict.not_observed:
        text += f", not observed: {', '.join(map(str, verdict.not_observed))}"
    if not result.as_expected:
        text += f" (expected {result.expected_verdict})"
    return text


def print_findings(result: RunResult) -> None:
    """Print the invariants of one run, each with its sentence, and the notes."""
    console = answers()
    for finding in result.verdict.invariants:
        style = STYLES[finding.verdict]
        console.print(
            f"  [{style}]{str(finding.verdict).replace('_', ' '):<13}[/] {finding.id:<10} {finding.sentence}",
            soft_wrap=True,
        )
    for note in result.notes:
        console.print(f"  [yellow]note[/]          {note}", soft_wrap=True)
