"""docs/checklist.md names a test for every clause, and every test it names exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import bench

PROJECT = Path(bench.__file__).parents[1]
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
HEADS = ("clause", "complaint", "---")


def rows(text: str) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each clause with the tests named beside it."""
    cells = [line.strip().strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    assert all(len(row) == 2 for row in cells), "a row has two cells"
    return [(row[0].strip(), NAMED.findall(row[1])) for row in cells if row[0].strip() not in HEADS]


def problems(text: str, project: Path) -> list[str]:
    """Return clauses without a test, clauses that stand twice, and tests that do not exist."""
    known: dict[str, set[str]] = {}
    found: list[str] = []
    section_rows = rows(text)
    for clause, tests in section_rows:
        if not tests:
            found.append(f"{clause}: no test")
        for file, test in tests:
            if test not in known.setdefault(file, _tests_in(project / file)):
                found.append(f"{clause}: no {file}::{test}")
    clauses = [clause for clause, _ in section_rows]
    return found + [f"{clause}: stands twice" for clause in sorted(set(clauses)) if clauses.count(clause) > 1]


def _tests_in(file: Path) -> set[str]:
    if not file.is_file():
        return set()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_clause_of_the_checklist_names_tests_that_exist() -> None:
    text = (PROJECT / "docs" / "checklist.md").read_text(encoding="utf-8")
    assert len(rows(text)) > 80
    assert problems(text, PROJECT) == []


def test_clause_without_a_test_or_with_one_that_does_not_exist_is_caught(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_x.py").write_text("def test_a() -> None:\n    assert True\n", encoding="utf-8")
    table = "\n".join(
        (
            "| clause | tests |", "| --- | --- |", "| kept | `tests/test_x.py::test_a` |", "| bare | by hand |",
            "| gone | `tests/test_x.py::test_b` |", "| lost | `tests/test_y.py::test_a` |",
            "| kept | `tests/test_x.py::test_a` |",
        )
    )  # fmt: skip
    assert problems(table, tmp_path) == [
        "bare: no test",
        "gone: no tests/test_x.py::test_b",
        "lost: no tests/test_y.py::test_a",
        "kept: stands twice",
    ]
