"""Buses on which ECUs misbehave once a fault says so: only where the faults of a run will strike at ISO-TP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from bench.core.world import World
from bench.description.vehicle_file import VehicleFile
from bench.link.misbehaving_bus import MisbehavingBus
from bench.ports.can import CanBus
from bench.wire.isotp_misbehave import Misbehaviour


class WildBuses:
    """The orders of each ECU whose ISO-TP a fault of the run strikes at; `between` lays them into the buses."""

    def __init__(self, world: World, vehicle: VehicleFile, ecus: Iterable[str]) -> None:
        self._world, self._vehicle = world, vehicle
        self._orders: dict[str, list[Misbehaviour]] = {ecu: [] for ecu in ecus}

    def between(self, buses: Mapping[str, CanBus]) -> dict[str, CanBus]:
        """Return the buses as the vehicle's ECUs get them."""
        theirs = dict(buses)
        for ecu in self._vehicle.ecus:
            if ecu.id in self._orders:
                note = partial(self._world.journal.add, ecu.id, "misbehave")
                theirs[ecu.channel] = MisbehavingBus(theirs[ecu.channel], ecu.address(), self._orders[ecu.id], note)
        return theirs

    def add(self, ecu: str, how: Misbehaviour) -> None:
        """Have one of these ECUs misbehave from now on."""
        self._orders[ecu].append(how)
