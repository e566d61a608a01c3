"""Take the figures: `python -m benchmarks.run [--only PREFIX] [--out FILE]`, as `make bench` does."""

from __future__ import annotations

from pathlib import Path

import click
from rich.console import Console

from bench.cli.output import answers
from benchmarks.figure import SCHEMA, Figure, figures_table, write_report
from benchmarks.machine import machine
from benchmarks.table import FIGURES


@click.command()
@click.option("--only", metavar="PREFIX", default="", help="Take only figures whose name starts so.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("reports/benchmarks.json"), show_default=True)
def main(only: str, out: Path) -> None:
    """Take the figures, write them as JSON and print them beside their aims."""
    chosen = [figure for figure in FIGURES if figure.name.startswith(only)]
    if not chosen:
        names = ", ".join(figure.name for figure in FIGURES)
        raise click.UsageError(f"no figure starts with {only!r}; there are: {names}")
    console = answers()
    rows = [_take(figure, console) for figure in chosen]
    result = {"schema": SCHEMA, "machine": machine(), "figures": rows}
    write_report(out, result)
    console.print(figures_table(result["machine"], rows))
    console.print(f"written to {out}")


def _take(figure: Figure, console: Console) -> dict[str, object]:
    with console.status(f"taking {figure.name} ..."):
        return figure.row(figure.measure())


if __name__ == "__main__":
    main()
