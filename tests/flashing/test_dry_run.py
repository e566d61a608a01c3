"""The dry run goes through the real flasher: same requests, and an estimate that the simulation confirms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.flashing.dry_run import dry_run
from bench.flashing.ideal_times import EcuTimes, known_times
from bench.flashing.order import FlashOrder
from bench.flashing.run import run_flash

if TYPE_CHECKING:
    from pathlib import Path

    from tests.flashing.conftest import Stage

RECIPES = sorted(path.stem for path in (data_root() / "recipes").glob("*.toml"))
WITHIN = 0.03


def place_of(recipe: str) -> tuple[str, str]:
    """Return a built-in bench and an ECU flashed by that recipe."""
    for path in sorted((data_root() / "benches").glob("*.toml")):
        files = load_bench(path)
        for ecu in files.vehicle.ecus:
            if files.bench.clock == "virtual" and ecu.recipe == recipe:
                return files.bench.name, ecu.id
    raise AssertionError(f"no virtual bench has an ECU flashed by {recipe}")


@pytest.mark.parametrize("size_bytes", [5_000, 100_000])
@pytest.mark.parametrize("recipe", RECIPES)
def test_estimate_of_every_built_in_recipe_is_the_simulated_time(stage: Stage, recipe: str, size_bytes: int) -> None:
    bench, ecu = place_of(recipe)
    order = stage.order(ecu, size_bytes=size_bytes, bench=bench)
    estimated, true = dry_run(order).result, run_flash(order)
    assert true.good
    assert estimated.duration_ns == pytest.approx(true.duration_ns, rel=WITHIN)


def test_estimate_of_ecus_that_share_a_bus_is_the_simulated_time(stage: Stage) -> None:
    order = stage.order("body", "door", "gateway", size_bytes=50_000)
    assert dry_run(order).result.duration_ns == pytest.approx(run_flash(order).duration_ns, rel=WITHIN)


@pytest.mark.parametrize("recipe", RECIPES)
def test_dry_run_shows_the_requests_that_the_real_job_sends(stage: Stage, recipe: str) -> None:
    bench, ecu = place_of(recipe)
    order = stage.order(ecu, size_bytes=5_000, bench=bench)
    shown = [exchange.request for exchange in dry_run(order).exchanges if len(exchange.request) <= 7]
    seed_and_key = (b"\x27\x02",)
    sent = [each.payload for each in stage.requests(stage.play(order).frames)]
    assert [each for each in shown if each[:2] not in seed_and_key] == [
        each for each in sent if each[:2] not in seed_and_key
    ]


def test_every_exchange_of_a_dry_run_is_positive_and_in_order(stage: Stage) -> None:
    found = dry_run(stage.order("body"))
    times = [exchange.t_ns for exchange in found.exchanges]
    assert times == sorted(times)
    assert times[0] == 0
    assert all(exchange.answers[-1][0] == exchange.request[0] + 0x40 for exchange in found.exchanges if exchange.ecu)
    assert found.unknown_times == ()


def test_personality_without_times_makes_an_estimate_without_them(tmp_path: Path) -> None:
    (tmp_path / "bare.toml").write_text('name = "bare"\n')
    (tmp_path / "broken.toml").write_text("name = [")
    assert known_times(tmp_path / "bare.toml") == EcuTimes()
    assert known_times(tmp_path / "broken.toml") is None


def test_sequence_that_cannot_be_gone_through_is_refused_with_the_recipe(stage: Stage) -> None:
    order = stage.order("body", size_bytes=5_000)
    hasty = {"p2_ms": 1, "delta_p2_ms": 0, "reboot_settle_ms": 0, "reboot_wait_ms": 1}
    short: FlashOrder = stage.with_recipe(order, "body", timing=hasty, retries={"job": 1})
    with pytest.raises(InputError, match="cannot be gone through"):
        dry_run(short)
