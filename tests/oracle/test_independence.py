from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import bench.oracle

FOLDER = Path(bench.oracle.__file__).parent
ALLOWED = ("bench.core", "bench.oracle", "cryptography")


def strangers(source: str) -> list[str]:
    """Return what a module of the judge imports that it must not."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        found += [
            name
            for name in names
            if name.split(".")[0] not in sys.stdlib_module_names
            and not any(name == root or name.startswith(f"{root}.") for root in ALLOWED)
        ]
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            found.append(ast.unparse(node))
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.rglob("*.py")), ids=lambda path: str(path.relative_to(FOLDER)))
def test_judge_imports_only_core_and_cryptography(path: Path) -> None:
    assert strangers(path.read_text(encoding="utf-8")) == []


def test_forbidden_imports_are_noticed() -> None:
    source = (
        "import bench.wire.isotp\nfrom bench import wire\nfrom . import x\nimport json\nimport_module('bench.wire')"
    )
    assert strangers(source) == ["bench.wire.isotp", "bench", ".", "import_module('bench.wire')"]
