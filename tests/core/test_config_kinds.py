"""A file of one kind given where another kind belongs: the message says what the file is."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.config import data_root, load_toml
from bench.core.errors import InputError
from bench.description.bench_file import BenchFile
from bench.description.supply import load_profile
from bench.description.vehicle_file import VehicleFile
from bench.flasher.recipe import load_recipe
from bench.runs.scenario import load_scenario
from ecu_sim.personality.personality import load_personality

FILES: dict[str, str] = {
    "benches/sim": "a bench file",
    "vehicles/two_ecu_car": "a vehicle file",
    "ecus/body_controller": "an ECU file",
    "recipes/single_bank": "a recipe",
    "scenarios/healthy": "a scenario",
    "supply/dip": "a supply profile",
}
LOADERS: dict[str, Callable[[Path], object]] = {
    "benches/sim": lambda path: load_toml(path, BenchFile, "bench"),
    "vehicles/two_ecu_car": lambda path: load_toml(path, VehicleFile, "vehicle"),
    "ecus/body_controller": load_personality,
    "recipes/single_bank": load_recipe,
    "scenarios/healthy": load_scenario,
    "supply/dip": load_profile,
}


@pytest.mark.parametrize("given", FILES)
@pytest.mark.parametrize("wanted", FILES)
def test_file_of_another_kind_is_told_as_what_it_is(given: str, wanted: str) -> None:
    path = data_root() / f"{given}.toml"
    if given == wanted:
        LOADERS[wanted](path)
        return
    with pytest.raises(InputError) as refused:
        LOADERS[wanted](path)
    error = refused.value
    assert (error.file, error.key) == (str(path), "(the whole file)"), str(error)
    assert f"is {FILES[given]}" in error.problem, str(error)
    assert str(error.found).startswith(f"{FILES[given]}, with the keys "), str(error)
    assert error.allowed == FILES[wanted], str(error)
    assert FILES[wanted] in (error.hint or ""), str(error)


def test_ecu_file_with_many_wrong_keys_stays_an_ecu_file(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text((data_root() / "ecus" / "body_controller.toml").read_text().replace("[boot]", "[memory]"))
    with pytest.raises(InputError) as refused:
        load_personality(path)
    assert refused.value.key == "memory"
