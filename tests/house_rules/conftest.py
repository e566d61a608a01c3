"""The sources that the house rules read, as text by path."""

from __future__ import annotations

from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
PACKAGES = ("bench", "ecu_sim", "dm_server")


@pytest.fixture(scope="session")
def project() -> Path:
    return PROJECT


@pytest.fixture(scope="session")
def sources() -> dict[str, str]:
    """All Python files of the three packages: path relative to the project -> text."""
    files = sorted(file for package in PACKAGES for file in (PROJECT / package).rglob("*.py"))
    return {file.relative_to(PROJECT).as_posix(): file.read_text(encoding="utf-8") for file in files}
