"""JSON Schemas of what otabench writes, made from the models; `docs/schemas/` holds them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel

from bench.evidence.build import View
from bench.evidence.contract import Run, Runs

OUTPUT_SCHEMAS: Mapping[str, type[BaseModel]] = {"run": Run, "runs": Runs, "view": View}
"""File name (without `.schema.json`) -> model. Files that otabench reads are added by whoever owns their models."""


def schema_text(model: type[BaseModel]) -> str:
    """Return the schema of `model` as indented JSON, as it stands in its file."""
    return json.dumps(model.model_json_schema(by_alias=True), indent=2, sort_keys=True) + "\n"


def schema_files(models: Mapping[str, type[BaseModel]]) -> dict[str, str]:
    """Return file name -> content for `models`."""
    return {f"{name}.schema.json": schema_text(model) for name, model in models.items()}


def write_schemas(folder: Path, models: Mapping[str, type[BaseModel]] = OUTPUT_SCHEMAS) -> list[Path]:
    """Write one `<name>.schema.json` per model into `folder`; returns the paths in the order of `models`."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in schema_files(models).items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths
