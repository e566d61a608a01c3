"""Which buses an update disturbs: derived from frames, routes and partners of the vehicle file."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.assembly.load import load_bench
from bench.config import data_root
from bench.core.errors import InputError
from bench.description.affected_buses import affected_buses

HEAD_UNIT = "partners = [{ id = 0x130, timeout_ms = 1000 }]"
Affected = Callable[..., dict[str, tuple[str, ...]]]


@pytest.fixture
def affected(tmp_path: Path) -> Affected:
    """Return what each ECU of a built-in bench affects, with texts of its vehicle file replaced."""

    def derive(bench: str, **changes: str) -> dict[str, tuple[str, ...]]:
        for kind in ("benches", "vehicles", "ecus", "recipes"):
            shutil.copytree(data_root() / kind, tmp_path / kind)
        name = re.search(r'vehicle = "(\w+)"', (tmp_path / "benches" / f"{bench}.toml").read_text())
        assert name is not None
        path = tmp_path / "vehicles" / f"{name[1]}.toml"
        for old, new in changes.items():
            text = path.read_text()
            assert old in text
            path.write_text(text.replace(old, new))
        vehicle = load_bench(tmp_path / "benches" / f"{bench}.toml").vehicle
        return {ecu.id: affected_buses(vehicle, ecu) for ecu in vehicle.ecus}

    return derive


def test_car_without_cyclic_frames_disturbs_no_other_bus(affected: Affected) -> None:
    assert set(affected("sim_two_buses").values()) == {()}


def test_ecu_behind_a_gateway_disturbs_its_own_bus_too(affected: Affected) -> None:
    assert affected("sim_gateway") == {"body": ("can1",), "gateway": ("can1",)}


def test_silent_bus_takes_along_those_that_miss_what_is_routed_from_it(affected: Affected) -> None:
    found = affected("sim_full")
    assert all(set(found[ecu]) == {"can1", "can2"} for ecu in ("body", "gateway", "battery", "adas"))
    assert found["head_unit"] == (), "nobody elsewhere expects its frame"


def test_bus_whose_partner_misses_nothing_is_left_alone(affected: Affected) -> None:
    found = affected("sim_full", **{HEAD_UNIT: ""})
    assert {channels for ecu, channels in found.items() if ecu != "head_unit"} == {("can1",)}


def test_renumbering_and_format_of_a_route_count(affected: Affected) -> None:
    renumbered = '{ from = "can0", to = "can2", id = 0x130, to_id = 0x131 }'
    found = affected("sim_full", **{'{ from = "can0", to = "can2", id = 0x130 }': renumbered})
    assert "can2" not in found["battery"]


def test_route_that_leaves_can_fd_frames_out_carries_none() -> None:
    (gateway,) = (e for e in load_bench(data_root() / "benches" / "sim_full.toml").vehicle.ecus if e.id == "gateway")
    (route,) = (r for r in gateway.routes if (r.from_, r.frames) == ("can2", "classic"))
    assert route.takes("can2", 0x510, id_29_bit=False, fd=False)
    assert not route.takes("can2", 0x510, id_29_bit=False, fd=True)
    assert not route.takes("can2", 0x510, id_29_bit=True, fd=False)
    assert not route.takes("can0", 0x510, id_29_bit=False, fd=False)
    assert not route.takes("can2", 0x540, id_29_bit=False, fd=False)


def test_vehicle_file_may_name_the_buses_itself(affected: Affected) -> None:
    found = affected("sim_full", **{'id = "adas"\n': 'id = "adas"\naffects = ["can0", "can2"]\n'})
    assert found["adas"] == ("can2",)


def test_affected_bus_that_the_bench_lacks_is_refused_with_its_key(affected: Affected) -> None:
    with pytest.raises(InputError) as refusal:
        affected("sim_full", **{'id = "adas"\n': 'id = "adas"\naffects = ["can7"]\n'})
    for word in ("ecus.adas.affects", "can7", "can0, can1, can2"):
        assert word in str(refusal.value)
