"""Keys of a vehicle file that only a simulated ECU needs: missing where it is simulated, it is named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.assembly.images import installed_images
from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.description.ecu_facts import ecu_layouts
from bench.description.load import BenchFiles

KEYS = ("personality", "hardware_id", "installed")
ADAPTER = 'driver = "python-can"\ninterface = "virtual"\nchannel = "physical"'


def loaded(folder: Path, *missing: str, real: bool) -> BenchFiles:
    """Load the built-in bench, its first ECU without some keys, and all ECUs simulated or physically there."""
    for name in ("benches", "vehicles", "recipes", "ecus"):
        shutil.copytree(data_root() / name, folder / name)
    bench = folder / "benches" / "realtime.toml"
    text = bench.read_text()
    if real:
        text = text.replace('driver = "sim"', ADAPTER, 1) + '\n[ecus]\nreal = "all"\n'
    bench.write_text(text)
    vehicle = next(path for path in (folder / "vehicles").glob("*.toml") if f'vehicle = "{path.stem}"' in text)
    lines = vehicle.read_text().splitlines(keepends=True)
    for key in missing:
        del lines[next(n for n, line in enumerate(lines) if line.startswith(f"{key} ="))]
    vehicle.write_text("".join(lines))
    return load_bench(bench)


@pytest.mark.parametrize("key", KEYS)
def test_simulated_ecu_without_a_key_is_refused_by_name(tmp_path: Path, key: str) -> None:
    with pytest.raises(InputError) as error:
        loaded(tmp_path, key, real=False)
    first = loaded(tmp_path / "whole", real=False).vehicle.ecus[0]
    assert (error.value.key, error.value.found) == (f"ecus.{first.id}.{key}", "nothing")
    assert str(tmp_path / "vehicles") in str(error.value.file)


def test_physical_ecu_needs_none_until_it_shall_be_judged(tmp_path: Path) -> None:
    files = loaded(tmp_path, *KEYS, real=True)
    first = files.vehicle.ecus[0]
    assert (first.personality, first.hardware_id, first.installed) == (None, "", None)
    assert first.id not in installed_images(files, 1)
    with pytest.raises(InputError, match="has no personality"):
        ecu_layouts(files)
    with pytest.raises(InputError, match="has no personality"):
        _ = first.kind
    with pytest.raises(InputError, match="has no installed"):
        _ = first.factory
