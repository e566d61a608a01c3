"""The healthy run and its builders (`oracle_vectors.py`), loaded by path: tests are no packages."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bench.core.records import RunRecord


def load_vectors() -> ModuleType:
    name = "otabench_oracle_vectors"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name("oracle_vectors.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


@pytest.fixture(scope="session")
def v() -> ModuleType:
    """The builders."""
    return load_vectors()


@pytest.fixture
def healthy(v: ModuleType) -> RunRecord:
    """An update that went well; tests alter it with `dataclasses.replace`."""
    record: RunRecord = v.healthy()
    return record


@pytest.fixture
def refused(v: ModuleType) -> RunRecord:
    """A forged package that was refused."""
    record: RunRecord = v.refused()
    return record
