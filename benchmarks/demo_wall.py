"""demo_wall_s: `otabench demo` as a user starts it, interpreter and imports included."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figure import Measured


def demo_wall_s() -> Measured:
    """Return the wall time of one demo in a process of its own; RuntimeError when the demo fails."""
    command = [str(Path(sys.executable).with_name("otabench")), "demo"]
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.perf_counter()
        done = subprocess.run([*command, "--out", folder], capture_output=True, text=True, check=False)
        spent_s = time.perf_counter() - start_s
    if done.returncode != 0:
        raise RuntimeError(f"otabench demo ended with {done.returncode}:\n{done.stderr[-2000:]}")
    return Measured(spent_s)
