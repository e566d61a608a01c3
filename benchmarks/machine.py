"""What the figures were taken on, so that those of two machines can be told apart."""

from __future__ import annotations

import os
import platform
import sys
import sysconfig
import time
from pathlib import Path


def machine() -> dict[str, object]:
    """Return the `machine` object of reports/benchmarks.json."""
    return {
        "cpu": _cpu_name(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "python_build": _build(),
        "calibration_s": float(f"{calibration_s():.4g}"),
    }


def calibration_s() -> float:
    """Return the least of three times that a fixed loop of integer, bytes and dictionary work takes."""
    return min(_calibrate() for _ in range(3))


def _calibrate() -> float:
    start_s = time.perf_counter()
    table: dict[int, int] = {}
    number, data = 1, bytes(range(256))
    for step in range(300_000):
        number = (number * 1_103_515_245 + 12_345) & 0x7FFF_FFFF
        table[number & 0xFFF] = table.get(number & 0xFFF, 0) + data[number & 0xFF]
        if step & 7 == 0:
            data = data[1:] + data[:1]
    return time.perf_counter() - start_s


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _build() -> str:
    """Say how the interpreter was built: an unoptimised one may be half as fast."""
    arguments = sysconfig.get_config_var("CONFIG_ARGS") or ""
    optimised = "--enable-optimizations" in arguments or sys.prefix == "/usr" or sys.base_prefix == "/usr"
    compiler = platform.python_compiler()
    return f"{'optimised' if optimised else 'not optimised'}, {compiler}"
