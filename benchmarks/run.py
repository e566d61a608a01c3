"""Take the figures: `python -m benchmarks.run [--only PREFIX] [--out FILE]`, as `make bench` does."""

from __future__ import annotations

import json
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench.cli.output import answers
from benchmarks.figure import Figure
from benchmarks.machine import machine
from benchmarks.table import FIGURES

SCHEMA = 1


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
    _write(out, json.dumps(result, indent=2) + "\n")
    console.print(_table(result["machine"], rows))
    console.print(f"written to {out}")


def _take(figure: Figure, console: Console) -> dict[str, object]:
    with console.status(f"taking {figure.name} ..."):
        return figure.row(figure.measure())


def _write(out: Path, text: str) -> None:
    """Write by rename, so that nobody reads half a file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_text(text, encoding="utf-8")
    part.replace(out)


def _table(machine: object, rows: list[dict[str, object]]) -> Table:
    table = Table(title="otabench figures", caption=str(machine).strip("{}").replace("'", ""))
    for heading in ("figure", "value", "aim", "baseline", "ratio", "unit", "better"):
        table.add_column(heading, justify="left" if heading in ("figure", "unit", "better") else "right")
    for row in rows:
        values = (row[key] for key in ("name", "value", "aim", "baseline", "ratio", "unit", "better"))
        table.add_row(*(_shown(value) for value in values))
    return table


def _shown(value: object) -> str:
    if value is None:
        return "-"
    return (
        f"{value:,.4g}"
        if isinstance(value, float) and value < 10_000
        else f"{value:,.0f}"
        if isinstance(value, float)
        else str(value)
    )


if __name__ == "__main__":
    main()
