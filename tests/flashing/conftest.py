"""Flash orders on the built-in benches, and a stage on which the simulated vehicle can be interfered with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bench.assembly.channels import open_buses
from bench.assembly.images import installed_images
from bench.assembly.load import load_bench
from bench.assembly.vehicle import build_vehicle
from bench.config import data_root
from bench.core.clock import NS_PER_MS, Clock
from bench.core.realtime import run_on_clock
from bench.core.records import FrameRecord
from bench.core.world import World
from bench.description.load import BenchFiles
from bench.flasher.recipe import Recipe
from bench.flashing.access import ecu_accesses
from bench.flashing.order import FlashOrder, OrderedEcu, Signing, make_order
from bench.flashing.run import FlashResult, flash_order, plug_in_tester
from bench.flashing.supplies import SimulatedSupplies
from bench.images.signing import demo_payload
from bench.ports.can import CanBus

FUNCTIONAL_ID = 0x7DF
Interfere = Callable[[World, Any], None]
Between = Callable[[World, CanBus], CanBus]


@dataclass(frozen=True, slots=True)
class Heard:
    """A single-frame request: when it ended, on which bus, to whom, its payload."""

    t_ns: int
    channel: str
    can_id: int
    payload: bytes


def requests(frames: Sequence[FrameRecord]) -> list[Heard]:
    """Return the tester's single-frame requests."""
    return [
        Heard(f.t_ns, f.channel, f.can_id, f.data[1 : 1 + f.data[0]])
        for f in frames
        if f.sender == "tester" and 0 < f.data[0] <= 7
    ]


def functional(frames: Sequence[FrameRecord], channel: str) -> list[str]:
    """Return what went to all ECUs of a bus, tester present left out."""
    heard = [each for each in requests(frames) if each.can_id == FUNCTIONAL_ID and each.channel == channel]
    return [each.payload.hex() for each in heard if each.payload != b"\x3e\x80"]


@cache
def built_in(bench: str) -> BenchFiles:
    """Read a built-in bench, once for all tests: its values do not change."""
    return load_bench(data_root() / "benches" / f"{bench}.toml")


class Stage:
    """Makes orders and plays them."""

    requests = staticmethod(requests)
    functional = staticmethod(functional)

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def files(self, bench: str = "sim_two_buses") -> BenchFiles:
        """Return a built-in bench."""
        return built_in(bench)

    def order(self, *ecus: str, size_bytes: int = 20_000, bench: str = "sim_two_buses") -> FlashOrder:
        """Return an order of random firmware, a file of its own for each ECU."""
        files = self.files(bench)
        ordered: list[OrderedEcu] = []
        for ecu in ecus:
            file = self.folder / f"{ecu}.bin"
            file.write_bytes(demo_payload(7, ecu, "2.0.0", size_bytes))
            base = files.recipes[ecu].memory.region_base
            signing = Signing(version="2.0.0", release_counter=2, base=base)
            ordered += make_order(files, {ecu: [file]}, signing, simulated=True).ecus
        return FlashOrder(files=files, ecus=tuple(ordered))

    def with_recipe(self, order: FlashOrder, ecu: str, **parts: dict[str, Any]) -> FlashOrder:
        """Return the order with keys of one ECU's recipe changed."""
        values = order.files.recipes[ecu].model_dump(mode="json")
        for part, changes in parts.items():
            values[part] |= changes
        recipes = {**order.files.recipes, ecu: Recipe.model_validate(values)}
        return replace(order, files=replace(order.files, recipes=recipes))

    def play(
        self,
        order: FlashOrder,
        interfere: Interfere | None = None,
        *,
        parallel: bool = True,
        between: Between = lambda _world, bus: bus,
    ) -> FlashResult:
        """Flash the order; `interfere` gets world and vehicle once the vehicle is up.

        `between` returns the bus that the ECUs are given instead of the tester's.
        """

        async def main(clock: Clock) -> FlashResult:
            world = World(clock, 1)
            with open_buses(world, order.files) as buses:
                theirs = {name: between(world, bus) for name, bus in buses.items()}
                vehicle = build_vehicle(world, order.files, theirs, installed_images(order.files, 1))
                vehicle.power_on()
                await clock.sleep_ns(500 * NS_PER_MS)
                if interfere is not None:
                    interfere(world, vehicle)
                life = plug_in_tester(world)
                accesses = ecu_accesses(order.files, buses, life)
                supplies = {ecu.id: SimulatedSupplies(vehicle, clock) for ecu in order.files.simulated}
                result = await flash_order(
                    world, life, order, accesses, lambda _progress: None, parallel=parallel, supplies=supplies
                )
                self.vehicle = vehicle
                return result

        return run_on_clock(main, virtual=True)


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """A stage with a folder for firmware files."""
    return Stage(tmp_path)
