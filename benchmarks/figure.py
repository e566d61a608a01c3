"""What a figure is, and how it stands in reports/benchmarks.json (docs/contracts.md)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


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
