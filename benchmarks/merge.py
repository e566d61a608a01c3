"""Put figures that were taken elsewhere into reports/benchmarks.json: `python -m benchmarks.merge FILE [--out FILE]`.

FILE holds an object with `figures`, in the shape of docs/contracts.md; a figure of the same name is replaced.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from bench.cli.output import answers
from benchmarks.figure import SCHEMA, figures_table, write_report
from benchmarks.machine import machine


@click.command()
@click.argument("taken", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", type=click.Path(path_type=Path), default=Path("reports/benchmarks.json"), show_default=True)
def main(taken: Path, out: Path) -> None:
    """Merge the figures of TAKEN into the report and print them beside their aims."""
    rows: list[dict[str, Any]] = json.loads(taken.read_text(encoding="utf-8"))["figures"]
    report = _report(out)
    names = {row["name"] for row in rows}
    report["figures"] = [row for row in report["figures"] if row["name"] not in names] + rows
    write_report(out, report)
    console = answers()
    console.print(figures_table(report["machine"], rows))
    console.print(f"merged into {out}")


def _report(out: Path) -> dict[str, Any]:
    """Return the report that is there, or an empty one."""
    if not out.exists():
        return {"schema": SCHEMA, "machine": machine(), "figures": []}
    report: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if report.get("schema") != SCHEMA:
        raise click.UsageError(f"{out} has schema {report.get('schema')!r}, not {SCHEMA}; run make bench first")
    return report


if __name__ == "__main__":
    main()
