"""A bench file with all that it names, read on this machine: its CAN drivers, its simulated kinds of ECU."""

from __future__ import annotations

from pathlib import Path

from bench.assembly.can_drivers import driver_names
from bench.assembly.describe_ecu import describe_ecu
from bench.description.load import BenchFiles, read_bench


def load_bench(path: Path, vehicle_name: str | None = None) -> BenchFiles:
    """Read a bench file and what it names, and check that they fit each other and what is installed here.

    `vehicle_name` takes the place of the bench's own vehicle: a name, or the path of a file.
    """
    return read_bench(path, vehicle_name, drivers=driver_names(), describe=describe_ecu)
