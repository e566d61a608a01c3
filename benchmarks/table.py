"""The figures, in the order in which they are taken."""

from __future__ import annotations

from benchmarks.demo_wall import demo_wall_s
from benchmarks.figure import Figure
from benchmarks.flashing import flash_64kib_wall_s, sim_cpu_s_per_mib
from benchmarks.frames import frames_per_s

FIGURES: tuple[Figure, ...] = (
    Figure(name="sim_frames_per_s", unit="frames/s", better="higher", measure=frames_per_s, aim=150_000),
    Figure(name="flash_64KiB_wall_s", unit="s", better="lower", measure=flash_64kib_wall_s),
    Figure(name="sim_cpu_s_per_MiB", unit="s/MiB", better="lower", measure=sim_cpu_s_per_mib, aim_ratio=0.1),
    Figure(name="demo_wall_s", unit="s", better="lower", measure=demo_wall_s, aim=30),
)
