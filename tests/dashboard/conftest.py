"""A reports folder with the sample runs of tests/evidence, and one that broke off."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest
from flask.testing import FlaskClient

from bench.dashboard.app import create_app
from bench.evidence.write import write_run

RUNS = ("passing_run", "failing_run", "caught_run", "unobserved_run", "broken_run")


def load_samples() -> ModuleType:
    """Return the module of samples by its path: tests are no packages."""
    name = "otabench_sample_run"
    if name not in sys.modules:
        path = Path(__file__).parents[1] / "evidence" / "sample_run.py"
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


@pytest.fixture(scope="session")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that `reports` copies, written once: tests change theirs."""
    folder = tmp_path_factory.mktemp("written") / "reports"
    samples = load_samples()
    for age, name in enumerate(RUNS):
        run = write_run(getattr(samples, name)(), folder)
        os.utime(run / "verdicts.json", (1_900_000_000 + age,) * 2)
    half = folder / "half-written"
    half.mkdir()
    (half / "verdicts.json").write_text('{"id": "v1')
    (folder / "index.html").write_text("<p>not a run</p>")
    (folder / ".hidden.part-1").mkdir()
    return folder


@pytest.fixture
def reports(written: Path, tmp_path: Path) -> Path:
    """Five readable runs, the later in RUNS the newer, and one half folder."""
    return Path(shutil.copytree(written, tmp_path / "reports"))  # times of files are kept


@pytest.fixture
def client(reports: Path) -> FlaskClient:
    """A browser without a network."""
    return create_app(reports).test_client()
