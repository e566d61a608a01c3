"""A recipe that contradicts the memory of the ECU that the bench simulates with it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.rig.job import make_job
from bench.serving.ecu_server import ServedEcu

MISTAKES = [
    ("region_base = 0x00000000", "region_base = 0x00100000", "memory.region_base", "0x00100000",
     "0x00000000-0x0003FFFF", "banks"),
    ("region_size = 0x00040000", "region_size = 0x00040001", "memory.region_size", "0x40001", "up to 0x40000", "banks"),
    ("region_size = 0x00040000", "region_size = 0x00080000", "memory.region_size", "0x80000", "up to 0x40000", "banks"),
    ("program_unit_bytes = 256", "program_unit_bytes = 128", "memory.program_unit_bytes", "128", "multiple of 256",
     "flash.unit_bytes"),
]  # fmt: skip


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the built-in files."""
    for kind in ("benches", "vehicles", "ecus", "recipes", "scenarios", "supply"):
        shutil.copytree(data_root() / kind, tmp_path / kind)
    return tmp_path


def changed(path: Path, old: str, new: str) -> Path:
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return path


@pytest.mark.parametrize(("old", "new", "key", "found", "allowed", "other_key"), MISTAKES)
def test_recipe_that_contradicts_its_simulated_ecu_is_refused_before_a_run(
    files: Path, old: str, new: str, key: str, found: str, allowed: str, other_key: str
) -> None:
    recipe = changed(files / "recipes" / "single_bank.toml", old, new)
    with pytest.raises(InputError) as refused:
        make_job(files / "scenarios" / "healthy.toml", files / "benches" / "sim.toml")
    error = refused.value
    assert (error.file, error.key, error.found) == (str(recipe), key, found), str(error)
    assert allowed in (error.allowed or ""), str(error)
    assert other_key in (error.allowed or ""), str(error)
    assert "body_controller.toml" in (error.allowed or ""), str(error)
    assert key in (error.hint or ""), str(error)


def test_recipe_of_an_ecu_that_is_served_is_held_against_it_too(files: Path) -> None:
    recipe = changed(files / "recipes" / "single_bank.toml", "region_base = 0x00000000", "region_base = 0x00100000")
    with pytest.raises(InputError) as refused:
        ServedEcu(files / "vehicles" / "two_ecu_car.toml", "body")
    assert (refused.value.file, refused.value.key) == (str(recipe), "memory.region_base")


def test_larger_unit_and_smaller_region_fit(files: Path) -> None:
    recipe = changed(files / "recipes" / "single_bank.toml", "program_unit_bytes = 256", "program_unit_bytes = 512")
    changed(recipe, "region_size = 0x00040000", "region_size = 0x00020000")
    changed(recipe, "region_base = 0x00000000", "region_base = 0x00020000")
    assert load_bench(files / "benches" / "sim.toml").recipes["body"].memory.program_unit_bytes == 512


def test_unit_of_the_external_flash_counts_where_downloads_go_there(files: Path) -> None:
    changed(files / "ecus" / "adas.toml", "unit_bytes = 256\nprogram_us = 1500", "unit_bytes = 512\nprogram_us = 1500")
    with pytest.raises(InputError) as refused:
        load_bench(files / "benches" / "sim_adas.toml")
    assert refused.value.key == "memory.program_unit_bytes"
    assert "multiple of 512" in (refused.value.allowed or "")


def test_recipe_of_a_real_ecu_stands_alone(files: Path) -> None:
    bench = files / "benches" / "sim.toml"
    text = bench.read_text(encoding="utf-8").replace('clock = "virtual"', 'clock = "real"')
    text = text.replace('driver = "sim"\nbitrate', 'driver = "python-can"\ninterface = "virtual"\nbitrate', 1)
    bench.write_text(f'{text}\n[ecus]\nreal = ["body"]\n', encoding="utf-8")
    changed(files / "recipes" / "single_bank.toml", "region_base = 0x00000000", "region_base = 0x00100000")
    assert [ecu.id for ecu in load_bench(bench).simulated] == ["gateway"]
