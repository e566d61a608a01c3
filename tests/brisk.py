"""The built-in data with short waits, for tests that make whole runs in real time.

New software is watched for a fifth of a second and the agent polls twice a second; everything else is as it is shipped.
A run takes a quarter of the time of one on the built-in bench, and passes the same stations.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.config import data_root

WAITS = (("recipes", "confirm_after_ms = 10000", "confirm_after_ms = 200"), ("benches", "_s = 2.0", "_s = 0.5"))
"""Folder, text, and what stands in its place."""


def brisk_bench(folder: Path, name: str = "realtime") -> Path:
    """Copy the built-in data into a folder and shorten its waits; returns the path of a bench."""
    root = folder / "brisk"
    if not root.exists():
        shutil.copytree(data_root(), root)
        for kind, text, instead in WAITS:
            changed = [path for path in (root / kind).glob("*.toml") if text in path.read_text()]
            assert changed, f"no file of {kind} has {text!r}"
            for path in changed:
                path.write_text(path.read_text().replace(text, instead))
    return root / "benches" / f"{name}.toml"
