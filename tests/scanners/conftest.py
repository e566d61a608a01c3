"""Loads the modules beside this file under their full names: test folders are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

for _name in ("served", "scan"):
    _full = f"tests.scanners.{_name}"
    if _full not in sys.modules:
        _spec = importlib.util.spec_from_file_location(_full, Path(__file__).with_name(f"{_name}.py"))
        assert _spec is not None
        assert _spec.loader is not None
        sys.modules[_full] = importlib.util.module_from_spec(_spec)
        _spec.loader.exec_module(sys.modules[_full])
