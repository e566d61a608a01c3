"""Which built-in bench fits a scenario that the chosen one does not fit."""

from __future__ import annotations

from pathlib import Path

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.runs.scenario import load_scenario

SHOWN = 3


def naming_a_bench(error: InputError, scenario: Path) -> InputError:
    """Return the error; where the bench's vehicle lacks an ordered ECU, the next step names benches that have all."""
    if error.key != "order.images.ecu":
        return error
    ordered = {image.ecu for image in load_scenario(scenario).order.images}
    fitting = sorted((size, name) for name, size in _benches_with(ordered))
    if not fitting:
        return error
    options = ", ".join(f"--bench {name}" for _, name in fitting[:SHOWN])
    return InputError(
        error.problem,
        file=error.file,
        key=error.key,
        found=error.found,
        allowed=error.allowed,
        hint=f"run it on a bench that has every ordered ECU: {options}",
    )


def _benches_with(ecus: set[str]) -> list[tuple[str, int]]:
    """Return (name, how many ECUs its vehicle has) of the built-in benches in virtual time that have all these ECUs."""
    found = []
    for path in (data_root() / "benches").glob("*.toml"):
        files = load_bench(path)
        there = {ecu.id for ecu in files.vehicle.ecus}
        if files.bench.clock == "virtual" and ecus <= there:
            found.append((path.stem, len(there)))
    return found
