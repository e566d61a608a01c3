"""The built-in data with short waits, for tests that make whole runs or jobs in real time.

New software is watched for a fifth of a second, the agent polls twice a second, the pauses between two tries of a job
are a quarter of a second, and a drive after the update takes one second; everything else is as it is shipped. A run
passes the same stations. That the shipped waits do what they are for is shown in virtual time, where they cost nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.config import data_root

WAITS = (
    ("recipes", "confirm_after_ms = 10000", "confirm_after_ms = 200"),
    ("recipes", "job_pause_ms = 2250", "job_pause_ms = 250"),
    ("benches", "poll_interval_s = 2.0", "poll_interval_s = 0.5"),
    ("scenarios", "schema = 1\n", "schema = 1\ndrive_after = { duration_s = 1 }\n"),
)
"""Folder, text, and what stands in its place."""


def brisk_data(folder: Path) -> Path:
    """Copy the built-in data into a folder and shorten its waits; returns the copy's root."""
    root = folder / "brisk"
    if not root.exists():
        shutil.copytree(data_root(), root)
        for kind, text, instead in WAITS:
            changed = [path for path in (root / kind).glob("*.toml") if text in path.read_text()]
            assert changed, f"no file of {kind} has {text!r}"
            for path in changed:
                path.write_text(path.read_text().replace(text, instead))
    return root


def brisk_bench(folder: Path, name: str = "realtime") -> Path:
    """Return the path of a built-in bench with short waits."""
    return brisk_data(folder) / "benches" / f"{name}.toml"
