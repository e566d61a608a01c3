"""Who may import whom: import-linter's contracts hold, and every package has one."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from importlinter.cli import lint_imports

EVERYBODYS = ("bench.core",)
"""May be imported by all; what it imports itself the contracts of the others say."""
OUTERMOST = ("bench.cli", "bench.pytest_plugin", "bench.__main__")
"""Entry points of the installed program: nothing imports them."""


def contracts(project: Path) -> dict[str, Any]:
    settings: dict[str, Any] = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))
    return dict(settings["tool"]["importlinter"])


def units(sources: Mapping[str, str]) -> set[str]:
    """Return what the layout speaks of: packages and modules directly below bench, and the other two packages."""
    found = set()
    for path in sources:
        parts = path.removesuffix(".py").split("/")
        if parts[0] != "bench":
            found.add(parts[0])
        elif parts[1] != "__init__":
            found.add(f"bench.{parts[1]}")
    return found


def unprotected(sources: Mapping[str, str], settings: Mapping[str, Any]) -> set[str]:
    """Return units that no contract protects."""
    named = {module for contract in settings["contracts"] for module in contract.get("protected_modules", ())}
    return units(sources) - named - set(EVERYBODYS) - set(OUTERMOST)


def roots_of(source: str) -> set[str]:
    """Return the absolute names a module imports, relative imports as a lone dot."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.add("." if node.level else node.module or "")
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            names.add("(dynamic import)")
    return names


def foreign(source: str, own: tuple[str, ...], libraries: tuple[str, ...] = ()) -> set[str]:
    """Return imports of `source` that are neither of the standard library nor below `own`, nor a library named."""
    return {
        name
        for name in roots_of(source)
        if name.split(".")[0] not in {*sys.stdlib_module_names, *libraries}
        and not any(name == package or name.startswith(f"{package}.") for package in own)
    }


def test_the_import_contracts_hold(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    monkeypatch.syspath_prepend(str(project))
    assert lint_imports(config_filename=str(project / "pyproject.toml"), no_cache=True, no_logo=True) == 0


def test_a_broken_contract_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in {
        "house": "",
        "house/room": "from house_kitchen import cook\n",
        "house_kitchen": "cook = 1\n",
    }.items():
        file = tmp_path / (f"{name}/__init__.py" if name != "house/room" else "house/room.py")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (tmp_path / "house.toml").write_text(
        '[tool.importlinter]\nroot_packages = ["house", "house_kitchen"]\n[[tool.importlinter.contracts]]\n'
        'name = "kitchen"\ntype = "protected"\nprotected_modules = ["house_kitchen"]\nallowed_importers = []\n'
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert lint_imports(config_filename=str(tmp_path / "house.toml"), no_cache=True, no_logo=True) == 1


def test_every_package_is_covered_by_a_contract(project: Path, sources: dict[str, str]) -> None:
    assert unprotected(sources, contracts(project)) == set()


def test_a_package_without_a_contract_is_caught(project: Path) -> None:
    new = {"bench/doip/server.py": "", "bench/wire/can.py": "", "bench/cli.py": "", "fleet/__init__.py": ""}
    assert unprotected(new, contracts(project)) == {"bench.doip", "fleet"}


def test_nobody_but_agent_and_who_drives_it_may_reach_the_flasher(project: Path) -> None:
    rules = [c for c in contracts(project)["contracts"] if c["type"] == "protected"]
    allowed = {m: set(c["allowed_importers"]) for c in rules for m in c["protected_modules"]}
    assert allowed["bench.flasher"] == {
        "bench.agent", "bench.cli", "bench.description", "bench.flashing", "bench.rig", "bench.serving",
    }  # fmt: skip
    assert allowed["ecu_sim"] == allowed["dm_server"] == set()


def test_core_imports_the_standard_library_only(sources: dict[str, str]) -> None:
    found = {path: foreign(text, ("bench.core",)) for path, text in sources.items() if path.startswith("bench/core/")}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_oracle_imports_core_and_cryptography_only(sources: dict[str, str]) -> None:
    judge = {path: text for path, text in sources.items() if path.startswith("bench/oracle/")}
    assert judge
    found = {path: foreign(text, ("bench.core", "bench.oracle"), ("cryptography",)) for path, text in judge.items()}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ("from bench.wire.isotp import IsoTpEndpoint", "bench.wire.isotp"),
        ("import bench.config", "bench.config"),
        ("def late():\n    from bench.trust import keys", "bench.trust"),
        ("import importlib\nimportlib.import_module('bench.wire')", "(dynamic import)"),
        ("__import__('bench.wire')", "(dynamic import)"),
        ("from ..wire import can", "."),
        ("import pydantic", "pydantic"),
    ],
)
def test_a_judge_that_shares_code_with_the_judged_is_caught(bad: str, named: str) -> None:
    assert foreign(bad, ("bench.core", "bench.oracle"), ("cryptography",)) == {named}


def test_what_the_judge_may_import_is_let_through() -> None:
    good = "import hashlib\nfrom bench.core.records import RunRecord\nfrom cryptography.hazmat.primitives import hashes"
    assert foreign(good, ("bench.core", "bench.oracle"), ("cryptography",)) == set()
