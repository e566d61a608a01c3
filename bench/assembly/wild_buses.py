"""Buses on which ECUs misbehave once a fault says so: only where the faults of a run will strike at ISO-TP."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

from bench.core.world import World
from bench.description.vehicle_file import VehicleFile
from bench.link.misbehaving_bus import MisbehavingBus
from bench.ports.can import CanBus
from bench.ports.faults import ISO_TP_RULES
from bench.wire.isotp_misbehave import Misbehaviour


class IsoTpOrders:
    """What one ECU's ISO-TP does wrong from now on (`bench.ports.faults.IsoTpRules`)."""

    def __init__(self) -> None:
        self.orders: list[Misbehaviour] = []

    def misbehave(self, how: Misbehaviour) -> None:
        """Add an order."""
        self.orders.append(how)


class WildBuses:
    """The orders of each ECU whose ISO-TP a fault of the run strikes at; `between` lays them into the buses."""

    def __init__(self, world: World, vehicle: VehicleFile, ecus: Iterable[str]) -> None:
        self._world, self._vehicle = world, vehicle
        self._orders = {ecu: IsoTpOrders() for ecu in ecus}
        for ecu, orders in self._orders.items():
            world.offers.offer(ISO_TP_RULES, orders, ecu)

    def between(self, buses: Mapping[str, CanBus]) -> dict[str, CanBus]:
        """Return the buses as the vehicle's ECUs get them."""
        theirs = dict(buses)
        for ecu in self._vehicle.ecus:
            if ecu.id in self._orders:
                note = partial(self._world.journal.add, ecu.id, "misbehave")
                theirs[ecu.channel] = MisbehavingBus(
                    theirs[ecu.channel], ecu.address(), self._orders[ecu.id].orders, note
                )
        return theirs
