"""Figures of whole flashing jobs: wall time, processor time and memory, frame by frame and in runs."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial

from benchmarks.baseline_udsoncan import cpu_s_per_mib
from benchmarks.figure import Measured
from benchmarks.flashing import KIB, MIB, flash, random_image
from benchmarks.vehicles import BODY, HEAD_UNIT, large_body

ROUNDS = 3
BASELINE_BYTES = 256 * KIB
SIZES = {
    "16KiB": 16 * KIB,
    "256KiB": 256 * KIB,
    "1MiB": MIB,
    "4MiB": 4 * MIB,
    "16MiB": 16 * MIB,
    "64MiB": 64 * MIB,
}
"""The table of flashing time against image size."""


def flash_64kib_wall_s() -> Measured:
    """Return the wall time of flashing 64 KiB frame by frame, the best of three rounds."""
    return Measured(min(flash(BODY, random_image(64 * KIB, n), bursts=False).wall_s for n in range(ROUNDS)))


def flash_1mib_burst_wall_s() -> Measured:
    """Return the wall time of flashing 1 MiB in runs on classic CAN, 256-byte units, the best of three rounds."""
    setting = large_body(2 * MIB)
    return Measured(min(flash(setting, random_image(MIB, n), bursts=True).wall_s for n in range(ROUNDS)))


def sim_cpu_s_per_mib() -> Measured:
    """Return the processor time per MiB frame by frame, beside that of the same job done with other libraries."""
    ours = min(flash(BODY, random_image(BASELINE_BYTES, n), bursts=False).cpu_s for n in range(ROUNDS))
    return Measured(ours * MIB / BASELINE_BYTES, baseline=_baseline_cpu_s_per_mib())


def burst_cpu_s_per_mib() -> Measured:
    """Return the same in runs, over 1 MiB."""
    setting = large_body(2 * MIB)
    ours = min(flash(setting, random_image(MIB, n), bursts=True).cpu_s for n in range(ROUNDS))
    return Measured(ours, baseline=_baseline_cpu_s_per_mib())


def _baseline_cpu_s_per_mib() -> float:
    return min(cpu_s_per_mib(random_image(BASELINE_BYTES, 0)) for _ in range(ROUNDS))


def by_size() -> dict[str, Callable[[], Measured]]:
    """Return a measurement for each image size: a job on the head unit's FD bus, in runs."""
    return {name: partial(_head_unit_wall_s, size) for name, size in SIZES.items()}


def _head_unit_wall_s(size_bytes: int) -> Measured:
    rounds = ROUNDS if size_bytes <= MIB else 1
    return Measured(min(flash(HEAD_UNIT, random_image(size_bytes, n), bursts=True).wall_s for n in range(rounds)))


def flash_growth() -> Measured:
    """Return the wall time per MiB at 64 MiB over that at 1 MiB."""
    large, small = _head_unit_wall_s(64 * MIB).value / 64, _head_unit_wall_s(MIB).value
    return Measured(large / small)


def flash_64mib_rss_mib() -> Measured:
    """Return the peak memory of a process that flashes 64 MiB."""
    done = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"the job of 64 MiB failed:\n{done.stderr[-2000:]}")
    return Measured(float(done.stdout))


if __name__ == "__main__":
    flash(HEAD_UNIT, random_image(64 * MIB, 0), bursts=True)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB)
