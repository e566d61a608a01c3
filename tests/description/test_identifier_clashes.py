"""Identifiers of cyclic frames that something else on the same bus has already."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError

FRAME = "{ id = 0x120, period_ms = 100 }"
BODY = "frames = [{ id = 0x110, period_ms = 100, inhibit_bit = 16 }]"
ROUTE = 'from = "can1", to = "can0", id = 0x110'
CLASHES = [
    (BODY, "frames = [{ id = 0x7A0, period_ms = 100 }]", "ecus.0.frames.0.id", "requests to ECU body"),
    (BODY, "frames = [{ id = 0x7A8, period_ms = 100 }]", "ecus.0.frames.0.id", "responses of ECU body"),
    (BODY, "frames = [{ id = 0x7DF, period_ms = 100 }]", "ecus.0.frames.0.id", "functional requests"),
    (BODY, "frames = [{ id = 0x501, period_ms = 100 }]", "ecus.0.frames.0.id", "alive messages of ECU body"),
    (BODY, "frames = [{ id = 0x121, period_ms = 100 }]", "ecus.1.frames.1.id", "ecus.0.frames.0"),
    (FRAME, f"{FRAME}, {FRAME}", "ecus.1.frames.1.id", "ecus.1.frames.0"),
    (FRAME, "{ id = 0x7A1, period_ms = 100 }", "ecus.1.frames.0.id", "requests to ECU gateway"),
    (FRAME, "{ id = 0x110, period_ms = 100 }", "ecus.1.frames.0.id", "ecus.0.frames.0"),
    (ROUTE, f"{ROUTE}, to_id = 0x7A1", "ecus.0.frames.0.id", "0x7A1 on can0 by a route"),
    (
        ROUTE,
        ROUTE.replace("id = 0x110", "id = 0x100, last_id = 0x11F, to_id = 0x110"),
        "ecus.1.frames.0.id",
        "0x120 on can0 by a route",
    ),
]


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A copy of the built-in files."""
    for kind in ("benches", "vehicles", "ecus", "recipes"):
        shutil.copytree(data_root() / kind, tmp_path / kind)
    return tmp_path


def changed(files: Path, old: str, new: str) -> Path:
    car = files / "vehicles" / "gateway_car.toml"
    text = car.read_text(encoding="utf-8")
    assert old in text
    car.write_text(text.replace(old, new, 1), encoding="utf-8")
    return car


@pytest.mark.parametrize(("old", "new", "key", "other"), CLASHES)
def test_frame_with_an_identifier_that_something_else_has_is_refused(
    files: Path, old: str, new: str, key: str, other: str
) -> None:
    car = changed(files, old, new)
    bench = files / "benches" / "sim_gateway.toml"
    with pytest.raises(InputError) as refused:
        load_bench(bench)
    error = refused.value
    assert (error.file, error.key) == (str(car), key), str(error)
    assert other in error.problem, str(error)
    assert str(error.found).startswith("0x"), str(error)
    assert "has" in (error.allowed or ""), str(error)
    assert key in (error.hint or ""), str(error)


def test_same_number_with_29_bits_or_on_another_bus_is_no_clash(files: Path) -> None:
    changed(files, FRAME, "{ id = 0x7A1, id_29_bit = true, period_ms = 100 }, { id = 0x130, period_ms = 100 }")
    changed(files, BODY, "frames = [{ id = 0x130, period_ms = 100 }, { id = 0x7A1, period_ms = 100 }]")
    assert load_bench(files / "benches" / "sim_gateway.toml").vehicle.name == "gateway_car"
