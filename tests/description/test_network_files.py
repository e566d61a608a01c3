"""The rest of the vehicle as keys of files: what is allowed, what is refused and how that is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.description.load import BenchFiles
from bench.runs.scenario import load_scenario

Changed = Callable[..., Path]


@pytest.fixture
def changed(tmp_path: Path) -> Changed:
    """Return a copy of the built-in files with a text replaced in one of them."""

    def change(name: str, old: str, new: str) -> Path:
        for kind in ("benches", "vehicles", "ecus", "recipes", "scenarios"):
            shutil.copytree(data_root() / kind, tmp_path / kind)
        text = (tmp_path / name).read_text()
        assert old in text
        (tmp_path / name).write_text(text.replace(old, new, 1))
        return tmp_path

    return change


def gateway_car() -> BenchFiles:
    return load_bench(data_root() / "benches" / "sim_gateway.toml")


def test_vehicle_file_becomes_the_vehicle_that_is_built() -> None:
    body, gateway = gateway_car().vehicle.spec().ecus
    assert (body.channel, body.tester_channel) == ("can1", "can0")
    assert body.management is not None
    assert (body.management.base_id, body.management.node) == (0x500, 1)
    assert [(f.can_id, f.period_ms, f.inhibit_bit) for f in body.frames] == [(0x110, 100, 16)]
    assert [(p.can_id, p.timeout_ms) for p in body.partners] == [(0x121, 1000)]
    spans = [(r.source, r.target, r.first_id, r.last_id, r.to_id) for r in gateway.routes]
    assert spans[0] == ("can0", "can1", 0x7DF, 0x7DF, 0x7DF)
    assert spans[3] == ("can0", "can1", 0x500, 0x53F, 0x500)
    assert [f.channel for f in gateway.frames] == [None, "can1"]


def test_car_of_a_vehicle_without_one_is_parked_and_awake() -> None:
    car = gateway_car().vehicle.spec().car
    assert (car.ignition, car.engine, car.speed_km_h, car.gear) == (True, False, 0, "P")


CAR = "vehicles/gateway_car.toml"
MISTAKES = [
    (CAR, "period_ms = 100, inhibit_bit = 16", "period_ms = 0", ["period_ms", "from 1"]),
    (CAR, "inhibit_bit = 16", "inhibit_bit = 8", ["inhibit_bit", "from 16"]),
    (CAR, "inhibit_bit = 16", "inhibit_bit = 64", ["inhibit_bit", "16 to 63"]),
    (CAR, "{ id = 0x120, period_ms = 100 }", "{ id = 0x120, period_ms = 100, length = 12 }", ["fd", "length is 12"]),
    (CAR, "{ id = 0x120, period_ms = 100 }", "{ id = 0x1200, period_ms = 100 }", ["id up to 2047", "id_29_bit"]),
    (CAR, 'channel = "can1" }', 'channel = "can9" }', ["frames.channel", "can0, can1", "can9"]),
    (CAR, 'timeout_ms = 1000, channel = "can1"', 'timeout_ms = 1000, channel = "can9"', ["partners.channel", "can9"]),
    (CAR, "timeout_ms = 1000", "timeout_ms = 1", ["timeout_ms", "from 10"]),
    (CAR, "nm_node = 1", "nm_node = 64", ["nm_node", "0 to 63"]),
    (CAR, "[network]", "[other]", ["other"]),
    (CAR, "base_id = 0x500", "base_id = 0x7F0", ["base_id"]),
    (CAR, "base_id = 0x500", "cycle_ms = 2000", ["cycle_ms below timeout_ms"]),
    (CAR, 'from = "can0", to = "can1", id = 0x7DF', 'from = "can0", to = "can0", id = 0x7DF', ["different channels"]),
    (CAR, 'from = "can0", to = "can1", id = 0x7DF', 'from = "can0", to = "can8", id = 0x7DF', ["can8", "can0, can1"]),
    (CAR, "id = 0x500, last_id = 0x53F", "id = 0x500, last_id = 0x4FF", ["last_id from id"]),
    (CAR, "id = 0x500, last_id = 0x53F", "id = 0x500, last_id = 0x53F, to_id = 0x7F0", ["identifiers up to 0x7FF"]),
    (CAR, 'reached_on = "can0"', 'reached_on = "can5"', ["reached_on", "can5", "can0, can1"]),
    (CAR, "functional_id = 0x7DF", "functional_id = 0x7A0", ["functional_id", "own identifier"]),
    (CAR, 'id = "body"', 'id = "car"', ["belong to the bench"]),
    ("vehicles/gateway_car.toml", "request_id = 0x7A1", "request_id = 0x7A0", ["can0", "stands twice"]),
]


@pytest.mark.parametrize(("name", "old", "new", "words"), MISTAKES)
def test_wrong_key_is_refused_with_what_is_allowed(
    changed: Changed, name: str, old: str, new: str, words: list[str]
) -> None:
    root = changed(name, old, new)
    with pytest.raises(InputError) as caught:
        load_bench(root / "benches" / "sim_gateway.toml")
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_two_ecus_of_one_bus_with_the_same_node_are_refused(changed: Changed) -> None:
    root = changed("vehicles/ev_car.toml", "nm_node = 3", "nm_node = 1")
    with pytest.raises(InputError, match="nm_node 1 on can0 stands twice"):
        load_bench(root / "benches" / "sim_ev.toml")


def test_route_from_an_fd_bus_to_a_classic_one_is_refused_unless_it_leaves_fd_frames_out(changed: Changed) -> None:
    rate = 'name = "can1"\ndriver = "sim"\nbitrate_bit_s = 500_000'
    root = changed("benches/sim_gateway.toml", rate, f"{rate}\ndata_bitrate_bit_s = 2_000_000")
    with pytest.raises(InputError) as caught:
        load_bench(root / "benches" / "sim_gateway.toml")
    assert 'frames = "classic"' in (caught.value.allowed or "")
    assert caught.value.key == "ecus.gateway.routes.2"
    car = root / "vehicles" / "gateway_car.toml"
    car.write_text(
        car.read_text().replace('from = "can1", to = "can0"', 'from = "can1", to = "can0", frames = "classic"')
    )
    assert load_bench(root / "benches" / "sim_gateway.toml").vehicle.name == "gateway_car"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('key = "engine"', 'key = "colour"', ["drive", "speed_km_h"]),
        ("value = true", "value = 3", ["drive", "true, false"]),
        ("at_s = 1.2", "at_s = -1", ["at_s", "from 0"]),
    ],
)
def test_wrong_drive_is_refused(changed: Changed, old: str, new: str, words: list[str]) -> None:
    root = changed("scenarios/healthy_ev.toml", old, new)
    with pytest.raises(InputError) as caught:
        load_scenario(root / "scenarios" / "healthy_ev.toml")
    assert all(word in str(caught.value) for word in words), str(caught.value)
