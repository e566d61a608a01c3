"""docs/guides/unknown-ecu.md: draft from the maker's files, filled by the guide's tables, flashes the foreign units."""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.cli import exit_code_of
from bench.core.errors import InputError
from bench.description.load import BenchFiles
from bench.flasher.belief import EcuState
from bench.flasher.recipe import load_recipe
from bench.flasher.recipe_gaps import GAP, gap_keys
from bench.flashing.explain import explain
from tests.foreign import odx_unit, plain_unit, vbf_loader
from tests.foreign.files import (
    MAKER_B,
    application,
    data_for,
    maker_a,
    odx_blocks,
    pdx,
    plain_image,
    public_pem,
    secondary_bootloader,
)
from tests.foreign.filled import GUIDE, filled, rows
from tests.foreign.memory import Flash
from tests.foreign.ours import flash, foreign_bench, odx_job, plain_job, vbf_job
from tests.foreign.tester import new_port, unit

PDX = pdx(odx_blocks("2.0.0"), "2.0.0")
FILES: dict[str, dict[str, Callable[[], bytes]]] = {
    "vbf_loader": {
        "data.vbf": lambda: data_for("AB").raw,
        "exe.vbf": lambda: application("AB").raw,
        "sbl.vbf": lambda: secondary_bootloader().raw,
    },
    "odx_unit": {"unit.pdx": lambda: PDX},
    "plain_unit": {"pump.bin": plain_image},
}
ECUS = {"vbf_loader": "engine", "odx_unit": "inverter", "plain_unit": "pump"}


def drafted(name: str, folder: Path) -> str:
    """Return the draft that the guide's command writes."""
    for file, content in FILES[name].items():
        (folder / file).write_bytes(content())
    written = folder / f"{name}.toml"
    (line,) = [
        each for each in GUIDE.read_text(encoding="utf-8").splitlines() if each.endswith(f"-o recipes/{name}.toml")
    ]
    words = shlex.split(line)
    assert words[:3] == ["otabench", "recipe", "from"]
    there = {file: str(folder / file) for file in FILES[name]} | {words[-1]: str(written)}
    assert exit_code_of([there.get(word, word) for word in words[1:]]) == 0
    return written.read_text(encoding="utf-8")


def bench_with(name: str, folder: Path, port: int) -> BenchFiles:
    """Return the foreign bench with the recipe that the guide makes in the place of the hand-written one."""
    ports = {ecu: port if ecu == ECUS[name] else new_port() for ecu in ECUS.values()}
    files = foreign_bench(folder / "bench", ports)
    path = folder / "bench" / "recipes" / f"{name}.toml"
    path.write_text(filled(drafted(name, folder), name), encoding="utf-8")
    return replace(files, recipes={**files.recipes, ECUS[name]: load_recipe(path)})


@pytest.mark.parametrize("name", FILES)
def test_draft_is_refused_and_the_guide_fills_each_of_its_gaps(tmp_path: Path, name: str) -> None:
    text, path = drafted(name, tmp_path), tmp_path / f"{name}.toml"
    keys = gap_keys(tomllib.loads(text))
    with pytest.raises(InputError, match="recipe is a draft") as refused:
        load_recipe(path)
    assert refused.value.key == keys[0]
    in_guide = [key for key, _ in rows(name)]
    deleted = tuple(key.strip("[]") for key, value in rows(name) if value is None)
    assert [key for key in keys if key not in in_guide and not key.startswith(deleted or ("-",))] == []
    path.write_text(filled(text, name), encoding="utf-8")
    assert gap_keys(tomllib.loads(path.read_text(encoding="utf-8"))) == ()
    assert load_recipe(path).name == name


@pytest.mark.parametrize("name", FILES)
def test_draft_with_any_one_gap_left_is_refused(tmp_path: Path, name: str) -> None:
    draft, path = drafted(name, tmp_path), tmp_path / f"{name}.toml"
    lines = draft.splitlines()
    comments = [n for n, line in enumerate(lines) if line.startswith(f"# {GAP}: ")]
    gaps = [n for n, line in enumerate(lines) if line.endswith(f'= "{GAP}"')]
    assert len(comments) == len(gaps), "each gap has its comment"
    for key in gap_keys(tomllib.loads(draft)):
        values = filled(draft, name).splitlines()
        place = next((n for n, line in enumerate(values) if line.startswith(f"{key.rpartition('.')[2]} = ")), None)
        if place is None:
            continue  # the guide deletes it
        values[place] = f'{key.rpartition(".")[2]} = "{GAP}"'
        path.write_text("\n".join(values), encoding="utf-8")
        with pytest.raises(InputError, match="recipe is a draft"):
            load_recipe(path)


def test_guides_vbf_recipe_flashes_the_unit(tmp_path: Path) -> None:
    port, pem = new_port(), public_pem(tmp_path, maker_a())
    files, exe, data = bench_with("vbf_loader", tmp_path, port), application("AB"), data_for("AB")
    with unit("vbf_loader", tmp_path / "a", port, "--key", str(pem)):
        ended = flash(files, vbf_job(secondary_bootloader(), exe, data))
    assert (ended.error, ended.run.belief.state) == (None, EcuState.NEW_SOFTWARE)
    flashed = Flash(tmp_path / "a" / "flash.bin", vbf_loader.VbfLoader.regions)
    assert all(flashed.read(address, len(block)) == block for file in (exe, data) for address, block in file.blocks)


def test_guides_odx_recipe_flashes_the_unit(tmp_path: Path) -> None:
    port, pem = new_port(), public_pem(tmp_path, MAKER_B)
    files, blocks = bench_with("odx_unit", tmp_path, port), odx_blocks("2.0.0")
    with unit("odx_unit", tmp_path / "b", port, "--key", str(pem)):
        ended = flash(files, odx_job("2.0.0", *blocks))
    assert (ended.error, ended.run.belief.state) == (None, EcuState.NEW_SOFTWARE)
    flashed = Flash(tmp_path / "b" / "flash.bin", odx_unit.OdxUnit.regions)
    assert all(flashed.read(block.address, len(block.data)) == block.data for block in blocks)


def test_guides_plain_recipe_flashes_the_unit(tmp_path: Path) -> None:
    port = new_port()
    files, image = bench_with("plain_unit", tmp_path, port), plain_image()
    with unit("plain_unit", tmp_path / "c", port):
        ended = flash(files, plain_job(image))
    assert (ended.error, ended.run.belief.state) == (None, EcuState.STORED)
    flashed = Flash(tmp_path / "c" / "flash.bin", plain_unit.PlainUnit.regions)
    assert flashed.read(plain_unit.START, len(image)) == image


@pytest.mark.parametrize("name", FILES)
def test_the_recipes_fit_the_guides_vehicle(tmp_path: Path, name: str) -> None:
    files = bench_with(name, tmp_path, new_port())
    path = files.vehicle_path.parent.parent / "recipes" / f"{name}.toml"
    explained = explain(load_recipe(path), path, files.vehicle, files.vehicle_path)
    assert (explained.ecus, explained.problems) == ((ECUS[name],), ())
