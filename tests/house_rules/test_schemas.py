"""docs/schemas is what `make schemas` writes now."""

from __future__ import annotations

import runpy
from pathlib import Path

from bench.evidence.schemas import schema_files


def test_the_committed_schemas_are_those_of_the_models(project: Path) -> None:
    models = runpy.run_path(str(project / "docs" / "make_schemas.py"))["MODELS"]
    folder = project / "docs" / "schemas"
    assert {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")} == schema_files(models)
