"""The figures, in the order in which they are taken."""

from __future__ import annotations

from benchmarks.demo_wall import demo_wall_s
from benchmarks.faulted_run import faulted_run_ms
from benchmarks.figure import Figure
from benchmarks.flash_figures import (
    burst_cpu_s_per_mib,
    by_size,
    flash_1mib_burst_wall_s,
    flash_64kib_wall_s,
    flash_64mib_rss_mib,
    flash_growth,
    sim_cpu_s_per_mib,
)
from benchmarks.flash_steps import flash_step_key_us, flash_step_us
from benchmarks.frames import frames_per_s
from benchmarks.idle_ecus import idle_100_ecus_wall_s
from benchmarks.memory_figures import (
    boot_1mib_cached_ms,
    boot_1mib_uncached_ms,
    ecu_idle_kib,
    ecu_key_us,
    ecu_restore_us,
    flash_snapshot_us,
)
from benchmarks.wire_shares import flash_time_share, wire_classic_share, wire_fd_share

FIGURES: tuple[Figure, ...] = (
    Figure(name="wire_classic_share", unit="of busy", better="higher", measure=wire_classic_share, aim=0.999),
    Figure(name="wire_fd_share", unit="of busy", better="higher", measure=wire_fd_share, aim=0.999),
    Figure(name="flash_time_share", unit="s", better="lower", measure=flash_time_share, aim_ratio=1.05),
    Figure(name="sim_frames_per_s", unit="frames/s", better="higher", measure=frames_per_s, aim=150_000),
    Figure(name="flash_64KiB_wall_s", unit="s", better="lower", measure=flash_64kib_wall_s, aim=0.1),
    Figure(name="flash_1MiB_burst_wall_s", unit="s", better="lower", measure=flash_1mib_burst_wall_s, aim=0.25),
    Figure(name="sim_cpu_s_per_MiB", unit="s/MiB", better="lower", measure=sim_cpu_s_per_mib, aim_ratio=0.1),
    Figure(name="burst_cpu_s_per_MiB", unit="s/MiB", better="lower", measure=burst_cpu_s_per_mib, aim_ratio=0.02),
    Figure(name="flash_64MiB_rss_MiB", unit="MiB", better="lower", measure=flash_64mib_rss_mib, aim=400),
    Figure(name="flash_growth", unit="64 MiB/1 MiB", better="lower", measure=flash_growth, aim=1.1),
    Figure(name="ecu_key_us", unit="us", better="lower", measure=ecu_key_us, aim=150),
    Figure(name="flash_step_us", unit="us", better="lower", measure=flash_step_us, aim=30),
    Figure(name="flash_step_key_us", unit="us", better="lower", measure=flash_step_key_us, aim=60),
    Figure(name="ecu_restore_us", unit="us", better="lower", measure=ecu_restore_us, aim=200),
    Figure(name="flash_snapshot_us", unit="us", better="lower", measure=flash_snapshot_us, aim=20),
    Figure(name="boot_1MiB_cached_ms", unit="ms", better="lower", measure=boot_1mib_cached_ms, aim=1),
    Figure(name="boot_1MiB_uncached_ms", unit="ms", better="lower", measure=boot_1mib_uncached_ms, aim_ratio=2),
    Figure(name="ecu_idle_KiB", unit="KiB", better="lower", measure=ecu_idle_kib, aim=200),
    *(
        Figure(name=f"fd_flash_{size}_wall_s", unit="s", better="lower", measure=measure)
        for size, measure in by_size().items()
    ),
    Figure(name="idle_100_ecus_wall_s", unit="s", better="lower", measure=idle_100_ecus_wall_s, aim=1.0),
    Figure(name="faulted_run_ms", unit="ms", better="lower", measure=faulted_run_ms, aim=200),
    Figure(name="demo_wall_s", unit="s", better="lower", measure=demo_wall_s, aim=30),
)
