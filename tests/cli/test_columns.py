"""Tables at 80 columns: no fault point breaks inside a word, and what is real is not called virtual."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bench.cli import results
from bench.cli.columns import Breakable
from bench.evidence.contract import Run
from bench.evidence.html import Entry

POINT = "power.agent:agent:transition:2:phase=transfer:torn=3"
SAMPLE = Path(__file__).parents[2] / "reports" / "sample" / "verdicts.json"


@given(st.integers(15, 60))
def test_lines_of_a_fault_point_break_after_its_marks_only(width: int) -> None:
    lines = list(Breakable(POINT).lines(width))
    assert "".join(lines) == POINT
    assert all(len(line) <= width for line in lines)
    assert all(line.endswith((":", ".")) for line in lines[:-1])


def test_word_that_is_longer_than_its_column_has_a_line_of_its_own() -> None:
    assert list(Breakable("a:bcdefgh:i").lines(3)) == ["a:", "bcdefgh:", "i"]


@pytest.mark.parametrize(
    ("run_id", "title"), [("v1.a.none.1.b.c", "virtual"), ("v1.a.none.1.b.realtime-c", "run time")]
)
def test_table_of_80_columns_keeps_words_whole_and_names_the_clock(
    monkeypatch: pytest.MonkeyPatch, run_id: str, title: str
) -> None:
    console = Console(width=80, force_terminal=True, color_system=None)
    monkeypatch.setattr(results, "answers", lambda: console)
    run = Run.model_validate_json(SAMPLE.read_text(encoding="utf-8"))
    assert run.fault is not None
    fault = run.fault.model_copy(update={"point": POINT})
    run = run.model_copy(update={"id": run_id, "scenario": "planted_no_verification", "fault": fault})
    entry = Entry("x", run, "Title", "body, gateway", (), "", (), "2031-01-01T00:00:00Z")
    with console.capture() as captured:
        results.print_table([entry])
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 80
    assert title in lines[1]
    assert ("virtual" in lines[1]) == (title == "virtual")
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in lines if line.startswith("│")]
    assert "".join(cell[0] for cell in cells) == "planted_no_verification"
    assert "".join(cell[1] for cell in cells) == POINT
    points = [cell[1] for cell in cells if cell[1]]
    assert all(point.endswith((":", ".")) for point in points[:-1])
