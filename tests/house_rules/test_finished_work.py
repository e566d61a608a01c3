"""Nothing half done, nothing that only works on one machine, nothing without its papers."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

import bench

UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK|raise NotImplementedError)\b")
MACHINE_PATH = re.compile(r"(?<![\w.:/}])/(root|home|work|Users|mnt|private)/\w|\b[A-Z]:\\\\?(Users|work)\b")
READ_BY_USERS = ("bench", "ecu_sim", "dm_server", "fixtures", "docs", "benchmarks", "tests", ".ci")
TEXT = {".py", ".md", ".toml", ".json", ".html", ".css", ".js", ".sh", ".txt", ".cfg", ""}
PAPERS = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "pyproject.toml")


def unfinished(path: str, source: str) -> list[str]:
    """Return marks of unfinished work and handlers that hide every error."""
    found = [f"{path}: {match.group()}" for match in UNFINISHED.finditer(source)]
    nodes = list(ast.walk(ast.parse(source)))
    protocols = [node for node in nodes if isinstance(node, ast.ClassDef) and _is_protocol(node)]
    for node in nodes:
        if isinstance(node, ast.ExceptHandler) and node.type is None:
            found.append(f"{path}:{node.lineno} bare except")
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not _in_one_of(protocols, node):
            found += [f"{path}:{node.lineno} {node.name} has no body"] if _empty(node) and not _overload(node) else []
    return found


def _empty(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether a function consists of `...` or `pass` alone (a docstring alone says that doing nothing is meant)."""
    return all(
        isinstance(line, ast.Pass)
        or (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant) and line.value.value is ...)
        for line in node.body
    )


def _overload(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it only declares one of several signatures: the function that follows has the body."""
    return any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list)


def _is_protocol(node: ast.ClassDef) -> bool:
    return any("Protocol" in ast.unparse(base) for base in node.bases)


def _in_one_of(classes: list[ast.ClassDef], node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any(c.lineno < node.lineno <= (c.end_lineno or 0) for c in classes)


def machine_paths(path: str, text: str) -> list[str]:
    """Return absolute paths of somebody's machine."""
    return [f"{path}: {match.group()}" for match in MACHINE_PATH.finditer(text)]


def texts(project: Path) -> dict[str, str]:
    files = [f for folder in READ_BY_USERS for f in (project / folder).rglob("*") if f.is_file() and f.suffix in TEXT]
    files += [project / name for name in PAPERS]
    kept = [file for file in files if "__pycache__" not in file.parts and "_data" not in file.parts]
    return {str(file.relative_to(project)): file.read_text(encoding="utf-8") for file in sorted(kept)}


def test_nothing_is_unfinished(sources: dict[str, str]) -> None:
    assert [found for path, text in sources.items() for found in unfinished(path, text)] == []


@pytest.mark.parametrize(
    "bad",
    [
        "x = 1  # TO" + "DO later",
        "def f():\n    raise NotImplemented" + "Error",
        "try:\n    f()\nexcept:\n    g()",
        "def f():\n    ...",
        "class A:\n    def f(self):\n        pass",
    ],
)
def test_unfinished_work_is_caught(bad: str) -> None:
    assert unfinished("bad.py", bad)


def test_a_protocol_and_a_documented_nothing_are_let_through() -> None:
    good = 'class Port(Protocol):\n    def send(self) -> None: ...\n\ndef idle() -> None:\n    """Do nothing."""\n'
    good += "@overload\ndef one(x: int) -> int: ...\n"
    assert unfinished("good.py", good) == []


def test_no_text_names_a_path_of_one_machine(project: Path) -> None:
    assert [found for path, text in texts(project).items() for found in machine_paths(path, text)] == []


@pytest.mark.parametrize("bad", ["see /ro" + "ot/x.toml", "'/ho" + "me/ann/bench'", "C:\\Us" + "ers\\ann"])
def test_a_path_of_one_machine_is_caught(bad: str) -> None:
    assert machine_paths("bad.md", bad)


@pytest.mark.parametrize("good", ["reports/work/x", "https://example.org/home/x", "/usr/share/x", "./work/x"])
def test_other_paths_are_let_through(good: str) -> None:
    assert machine_paths("good.md", good) == []


def test_every_package_carries_its_types(project: Path) -> None:
    packages = sorted(file.parent.name for file in project.glob("*/__init__.py"))
    assert {"bench", "ecu_sim", "dm_server"} <= set(packages)
    assert [name for name in packages if not (project / name / "py.typed").is_file()] == []


def test_version_is_the_same_everywhere_and_has_an_entry_in_the_change_log(project: Path) -> None:
    settings = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    assert settings["project"]["version"] == bench.__version__
    assert f"## [{bench.__version__}]" in (project / "CHANGELOG.md").read_text(encoding="utf-8")


def test_tests_are_no_packages(project: Path) -> None:
    assert list((project / "tests").rglob("__init__.py")) == []
