"""What a figure is, and how it stands in reports/benchmarks.json (docs/contracts.md)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """What one measurement gave; `baseline` is the same job done otherwise, measured in the same run."""

    value: float
    baseline: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A figure by name, how it is measured, and what it should be: `aim`, or `aim_ratio` times its baseline."""

    name: str
    unit: str
    better: str
    measure: Callable[[], Measured]
    aim: float | None = None
    aim_ratio: float | None = None

    def row(self, measured: Measured) -> dict[str, object]:
        """Return the figure as an entry of `figures`."""
        value, baseline = measured.value, measured.baseline
        aim = self.aim
        if self.aim_ratio is not None and baseline is not None:
            aim = self.aim_ratio * baseline
        return {
            "name": self.name,
            "value": _rounded(value),
            "unit": self.unit,
            "baseline": None if baseline is None else _rounded(baseline),
            "ratio": _rounded(value / baseline) if baseline else None,
            "better": self.better,
            "aim": None if aim is None else _rounded(aim),
        }


def _rounded(value: float) -> float:
    return float(f"{value:.4g}")


def write_report(out: Path, report: Mapping[str, object]) -> None:
    """Write a report as JSON, by rename, so that nobody reads half a file."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_suffix(".part")
    part.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    part.replace(out)


def figures_table(machine: object, rows: Sequence[Mapping[str, object]]) -> Table:
    """Return figures beside their aims."""
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
