"""One simulated ECU served on a CAN adapter in real time (`otabench ecu`), for other processes and other tools."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

from bench.config import load_toml
from bench.core.clock import Clock
from bench.core.errors import InputError
from bench.core.frame_run import RunRecord
from bench.core.journal import Journal
from bench.core.node import Incarnation
from bench.core.points import PointCounter, Points
from bench.core.records import FrameRecord
from bench.core.world import World
from bench.flasher.recipe import Recipe
from bench.images.signing import demo_payload, sign_image
from bench.link.misbehaving_bus import MisbehavingBus
from bench.ports import CanBus, CanPort, ChannelSpec
from bench.rig.can_drivers import PYTHON_CAN, open_adapter
from bench.rig.channels import senders
from bench.rig.files import Catalogue, EcuEntry, VehicleFile
from bench.rig.images import IMAGE_KEY
from bench.rig.server import plug_in
from bench.trust.keys import public_key, signing_key
from bench.wire.ecu_misbehave import EcuMisbehaviour
from bench.wire.isotp_misbehave import Misbehaviour

AnyMisbehaviour = Misbehaviour | EcuMisbehaviour
"""Of the ECU's ISO-TP, or of its diagnostic server."""


class ServedEcu:
    """An ECU of a vehicle file with all that is needed to build it."""

    def __init__(self, vehicle_path: Path, ecu_id: str, misbehave: Sequence[AnyMisbehaviour] = ()) -> None:
        """Read the files; InputError says what is wrong with them, or which ECUs there are.

        `misbehave` is what the ECU does wrong on purpose; each strike is a line of the journal.
        """
        self.misbehave = tuple(misbehave)
        self.vehicle = load_vehicle(vehicle_path)
        ecus = {ecu.id: ecu for ecu in self.vehicle.ecus}
        if ecu_id not in ecus:
            raise InputError(
                "the vehicle has no such ECU", file=str(vehicle_path), found=ecu_id, allowed=", ".join(ecus)
            )
        self.entry: EcuEntry = ecus[ecu_id]
        catalogue = Catalogue.around(vehicle_path)
        self.personality_path = catalogue.path("ecus", self.entry.personality, named_by=vehicle_path)
        recipe_path = catalogue.path("recipes", self.entry.recipe, named_by=vehicle_path)
        self.recipe = load_toml(recipe_path, Recipe, "recipe")

    def build(self, world: World, bus: CanBus) -> Any:
        """Build the ECU on a bus, with its software installed, without power."""
        entry = self.entry
        transport = [each for each in self.misbehave if isinstance(each, Misbehaviour)]
        if transport:
            bus = MisbehavingBus(
                bus, entry.address(), transport, lambda name: world.journal.add(entry.id, "misbehave", name)
            )
        image = sign_image(
            demo_payload(world.seeds.seed, entry.id, entry.installed.version, entry.installed.size_bytes),
            hardware_id=entry.hardware_id,
            software_id=entry.software_id,
            version=entry.installed.version,
            release_counter=entry.installed.release_counter,
            load_address=self.recipe.memory.region_base,
            key=signing_key(IMAGE_KEY),
        )
        whole = self.vehicle.spec()
        mine = next(ecu for ecu in whole.ecus if ecu.id == entry.id)
        spec = replace(whole, ecus=(replace(mine, routes=(), reached_on=None),))  # there is one bus: nothing to route
        vehicle = plug_in("otabench.vehicle", "sim")(
            world,
            spec,
            {entry.channel: bus},
            public_key(IMAGE_KEY),
            {entry.personality: self.personality_path},
            {entry.id: (image.header.encode(), image.data)},
        )
        for order in self.misbehave:
            if isinstance(order, EcuMisbehaviour):
                vehicle.misbehave(entry.id, order)
        return vehicle


def load_vehicle(path: Path) -> VehicleFile:
    """Read a vehicle file."""
    return load_toml(path, VehicleFile, "vehicle")


async def serve_ecu(
    clock: Clock, served: ServedEcu, spec: ChannelSpec, seed: int, journal: IO[bytes] | None, ready: Callable[[], None]
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called once the ECU listens.

    EquipmentError when the adapter cannot be opened or goes away, InputError for wrong files.
    """
    world = World(clock, seed)
    world.journal = FlowingJournal(clock, journal)
    world.points = UnlistedPoints(clock)
    stop = asyncio.Event()
    world.on_crash = stop.set
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    bus = open_adapter(world, PYTHON_CAN, spec, senders(served.vehicle, served.entry.channel))
    watched = WatchedBus(bus)
    try:
        served.build(world, watched).power_on()
        await _first(stop, watched.attached)
        if not stop.is_set():
            ready()
            await stop.wait()
        world.seal()
    finally:
        bus.close()
    if world.crash is not None:
        raise world.crash.error


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


class WatchedBus:
    """A bus that tells when a node attached: the ECU has booted and listens."""

    def __init__(self, bus: CanBus) -> None:
        self._bus = bus
        self.attached = asyncio.Event()

    @property
    def fd(self) -> bool:
        """Whether the bus carries CAN FD frames."""
        return self._bus.fd

    def attach(self, life: Incarnation) -> CanPort:
        """See `CanBus.attach`."""
        self.attached.set()
        return self._bus.attach(life)


class FlowingJournal(Journal):
    """A journal that keeps nothing in memory: a server has no end. Lines go to a file, if there is one."""

    def __init__(self, clock: Clock, file: IO[bytes] | None) -> None:
        super().__init__(clock)
        self._file = file

    def add(self, part: str, kind: str, payload: bytes | str = b"") -> None:
        """Record an event."""
        super().add(part, kind, payload)
        self._flow()

    def frame(self, record: FrameRecord | RunRecord) -> None:
        """Record a frame, or a run of them."""
        super().frame(record)
        self._flow()

    def _flow(self) -> None:
        if self._file is not None:
            for line in self.lines():
                self._file.write(line + b"\n")
        self._entries.clear()


class UnlistedPoints(Points):
    """Fault points of a server: counted, but not listed, since no sweep will ever want them."""

    def counter(self, part: str, event: str) -> PointCounter:
        """Return the counter of (part, event)."""
        key = (part, event)
        if key not in self._counters:
            self._counters[key] = _UnlistedCounter(self._clock, self._phases, part, event)
        return self._counters[key]


class _UnlistedCounter(PointCounter):
    __slots__ = ()

    def begin(self, units: int = 0) -> int:
        """Count the operation."""
        del units
        self._n += 1
        return self._n
