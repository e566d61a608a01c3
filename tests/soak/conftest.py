"""Loads the modules beside this file under their full names: test folders are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path


def _load(name: str) -> None:
    full = f"tests.soak.{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).with_name(f"{name}.py"))
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[full])


for each in ("lab", "nrcs", "rules", "requests", "story", "acts", "soak", "cuts"):
    _load(each)
