"""Small files, small functions: 500 and 60 lines at most; functions 10 at the median, 30 at the 90th percentile."""

from __future__ import annotations

import ast
import statistics

FILE_LINES, FUNCTION_LINES, MEDIAN_LINES, PERCENTILE_90_LINES = 500, 60, 10, 30


def functions(path: str, source: str) -> list[tuple[int, str]]:
    """Return (lines, `path:line name`) of every function, from `def` to its last line."""
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{path}:{node.lineno} {node.name}")
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def too_long(path: str, source: str) -> list[str]:
    """Return the file and the functions that are too long."""
    lines = source.count("\n")
    found = [f"{path}: {lines} lines"] if lines > FILE_LINES else []
    return found + [f"{where}: {lines} lines" for lines, where in functions(path, source) if lines > FUNCTION_LINES]


def spread(lengths: list[int]) -> tuple[float, float]:
    """Return median and 90th percentile."""
    return statistics.median(lengths), statistics.quantiles(lengths, n=10, method="inclusive")[-1]


def test_no_file_and_no_function_is_too_long(sources: dict[str, str]) -> None:
    assert [found for path, text in sources.items() for found in too_long(path, text)] == []


def test_functions_are_short_on_the_whole(sources: dict[str, str]) -> None:
    lengths = [lines for path, text in sources.items() for lines, _ in functions(path, text)]
    median, percentile_90 = spread(lengths)
    assert median <= MEDIAN_LINES
    assert percentile_90 <= PERCENTILE_90_LINES


def test_a_long_function_and_a_long_file_are_caught() -> None:
    body = "    x = 1\n" * FUNCTION_LINES
    assert too_long("bad.py", f"def long():\n{body}") == ["bad.py:1 long: 61 lines"]
    assert too_long("bad.py", f"class A:\n    async def long(self):\n{body.replace('    ', '        ')}") != []
    assert too_long("bad.py", "x = 1\n" * (FILE_LINES + 1)) == ["bad.py: 501 lines"]
    assert too_long("good.py", "x = 1\n" * FILE_LINES) == []
    assert too_long("good.py", "def fits():\n" + "    x = 1\n" * (FUNCTION_LINES - 1)) == []


def test_a_house_of_long_functions_is_caught() -> None:
    median, percentile_90 = spread([5] * 5 + [40] * 6)
    assert median > MEDIAN_LINES
    assert percentile_90 > PERCENTILE_90_LINES
