"""Simulated ECUs served on CAN adapters in real time (`otabench ecu`), for other processes and other tools."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import IO, Any

from bench.assembly.can_drivers import open_adapter
from bench.assembly.channels import senders
from bench.assembly.describe_ecu import describe_ecu
from bench.assembly.images import factory_image
from bench.assembly.vehicle import simulated
from bench.config import load_toml
from bench.core.clock import Clock
from bench.core.errors import InputError
from bench.core.frame_run import FrameFields, FrameRunRecord
from bench.core.journal import Journal
from bench.core.node import Incarnation
from bench.core.points import PointCounter, Points
from bench.core.specs import VehicleSpec
from bench.core.world import World
from bench.description.bench_file import PYTHON_CAN
from bench.description.catalogue import Catalogue
from bench.description.ecu_entry import EcuEntry
from bench.description.recipe_fit import refuse_unfit_recipe
from bench.description.vehicle_file import VehicleFile
from bench.flasher.recipe import Recipe
from bench.images.signing import SignedImage
from bench.link.misbehaving_bus import MisbehavingBus
from bench.ports.can import FRAMES_LOST, CanBus, CanPort, ChannelSpec
from bench.wire.ecu_misbehave import EcuMisbehaviour
from bench.wire.isotp_misbehave import Misbehaviour

AnyMisbehaviour = Misbehaviour | EcuMisbehaviour
"""Of the ECU's ISO-TP, or of its diagnostic server."""


class ServedEcu:
    """An ECU of a vehicle file with all that is needed to build it."""

    def __init__(
        self,
        vehicle_path: Path,
        ecu_id: str,
        misbehave: Sequence[AnyMisbehaviour] = (),
        flow_control: tuple[int, int] | None = None,
    ) -> None:
        """Read the files; InputError says what is wrong with them, or which ECUs there are.

        `misbehave` is what the ECU does wrong on purpose; each strike is a line of the journal. `flow_control` is the
        block size and STmin that it asks of testers, in the place of what its files say.
        """
        self.misbehave, self.flow_control = tuple(misbehave), flow_control
        self.vehicle = load_vehicle(vehicle_path)
        ecus = {ecu.id: ecu for ecu in self.vehicle.ecus}
        if ecu_id not in ecus:
            raise InputError(
                "the vehicle has no such ECU", file=str(vehicle_path), key="ECU", found=ecu_id, allowed=", ".join(ecus),
                hint="name one of these ECUs",
            )  # fmt: skip
        self.entry: EcuEntry = ecus[ecu_id]
        catalogue = Catalogue.around(vehicle_path)
        self.personality_path = catalogue.path("ecus", self.entry.kind, named_by=vehicle_path)
        recipe_path = catalogue.path("recipes", self.entry.recipe, named_by=vehicle_path)
        self.recipe = load_toml(recipe_path, Recipe, "recipe")
        described = describe_ecu(self.personality_path)
        refuse_unfit_recipe(ecu_id, self.recipe, recipe_path, self.personality_path, described)

    def installed(self, seed: int) -> SignedImage:
        """Return the software that it runs."""
        return factory_image(self.entry, self.recipe.memory.region_base, seed)

    def network(self) -> dict[str, Any]:
        """Return what the vehicle file says of its cyclic frames, partners, routes and network management."""
        spec = next(ecu for ecu in self.vehicle.spec().ecus if ecu.id == self.entry.id)
        values = asdict(spec)
        return {name: values[name] for name in ("frames", "partners", "routes", "management")}

    def between(self, world: World, bus: CanBus) -> CanBus:
        """Return the bus as its ISO-TP is to be heard there."""
        transport = [each for each in self.misbehave if isinstance(each, Misbehaviour)]
        note = partial(world.journal.add, self.entry.id, "misbehave")
        return MisbehavingBus(bus, self.entry.address(), transport, note) if transport else bus


class ServedVehicle:
    """The ECUs of one vehicle that are served together; one alone routes nothing, since it has one bus."""

    def __init__(self, ecus: Sequence[ServedEcu]) -> None:
        self.ecus, self.vehicle = tuple(ecus), ecus[0].vehicle

    @property
    def channels(self) -> tuple[str, ...]:
        """The channels that they need, in the order of the vehicle file."""
        own = (ecu.entry.channel for ecu in self.ecus)
        routed = (name for ecu in self._spec().ecus for route in ecu.routes for name in (route.source, route.target))
        return tuple(dict.fromkeys((*own, *routed)))

    def _spec(self) -> VehicleSpec:
        whole = self.vehicle.spec()
        served = {ecu.entry.id: ecu for ecu in self.ecus}
        here = tuple(
            replace(ecu, flow_control=served[ecu.id].flow_control or ecu.flow_control)
            for ecu in whole.ecus
            if ecu.id in served
        )
        if len(here) == 1:
            here = (here[0].alone(),)
        return replace(whole, ecus=here)

    def build(self, world: World, buses: Mapping[str, CanBus]) -> Any:
        """Build the ECUs on their buses, each with its software installed, without power."""
        theirs = dict(buses)
        for ecu in self.ecus:
            theirs[ecu.entry.channel] = ecu.between(world, theirs[ecu.entry.channel])
        images = {ecu.entry.id: ecu.installed(world.seeds.seed) for ecu in self.ecus}
        personalities = {ecu.entry.kind: ecu.personality_path for ecu in self.ecus}
        vehicle = simulated(world, self._spec(), theirs, personalities, images)
        for ecu in self.ecus:
            for order in ecu.misbehave:
                if isinstance(order, EcuMisbehaviour):
                    vehicle.misbehave(ecu.entry.id, order)
        return vehicle


def load_vehicle(path: Path) -> VehicleFile:
    """Read a vehicle file."""
    return load_toml(path, VehicleFile, "vehicle")


async def serve_ecus(
    clock: Clock,
    served: ServedVehicle,
    specs: Sequence[ChannelSpec],
    seed: int,
    journal: IO[bytes] | None,
    ready: Callable[[], None],
    lost: Callable[[str, str], None] = lambda _channel, _text: None,
) -> None:
    """Serve until SIGINT or SIGTERM; `ready` is called once every ECU listens, `lost` when frames were lost before it.

    EquipmentError when an adapter cannot be opened or goes away, InputError for wrong files.
    """
    world = World(clock, seed)
    world.journal = FlowingJournal(clock, journal, lost)
    world.points = UnlistedPoints(clock)
    stop = asyncio.Event()
    world.on_crash = stop.set
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    here = Attendance({ecu.entry.id for ecu in served.ecus})
    with ExitStack() as opened:
        buses: dict[str, CanBus] = {}
        for spec in specs:
            bus = open_adapter(world, PYTHON_CAN, spec, senders(served.vehicle, spec.name))
            opened.callback(bus.close)
            buses[spec.name] = WatchedBus(bus, here)
        served.build(world, buses).power_on()
        await _first(stop, here.complete)
        if not stop.is_set():
            ready()
            await stop.wait()
        world.seal()
    if world.crash is not None:
        raise world.crash.error


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(event.wait()) for event in events]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()


class Attendance:
    """Who has booted: `complete` is set once all that are expected have attached to a bus."""

    def __init__(self, expected: set[str]) -> None:
        self._missing = set(expected)
        self.complete = asyncio.Event()

    def came(self, part: str) -> None:
        """Note that a node attached to a bus."""
        self._missing.discard(part)
        if not self._missing:
            self.complete.set()


class WatchedBus:
    """A bus that tells when a node attached: the ECU has booted and listens."""

    def __init__(self, bus: CanBus, attendance: Attendance) -> None:
        self._bus, self._attendance = bus, attendance

    @property
    def fd(self) -> bool:
        """Whether the bus carries CAN FD frames."""
        return self._bus.fd

    def attach(self, life: Incarnation) -> CanPort:
        """See `CanBus.attach`."""
        self._attendance.came(life.part)
        return self._bus.attach(life)


class FlowingJournal(Journal):
    """A journal that keeps nothing in memory: a server has no end. Lines go to a file, if there is one."""

    def __init__(
        self, clock: Clock, file: IO[bytes] | None, lost: Callable[[str, str], None] = lambda _channel, _text: None
    ) -> None:
        """Write to `file`; `lost` is told the channel and the words of each loss."""
        super().__init__(clock)
        self._file, self._lost = file, lost

    def add(self, part: str, kind: str, payload: bytes | str = b"") -> None:
        """Record an event."""
        super().add(part, kind, payload)
        if kind == FRAMES_LOST:
            self._lost(part, str(payload))
        self._flow()

    def frame(self, record: FrameFields | FrameRunRecord) -> None:
        """Record a frame, or a run of them."""
        super().frame(record)
        self._flow()

    def _flow(self) -> None:
        if self._file is not None:
            for line in self.lines():
                self._file.write(line + b"\n")
        self._entries.clear()


class _UnlistedCounter(PointCounter):
    __slots__ = ()

    def begin(self, units: int = 0) -> int:
        """Count the operation."""
        del units
        self._n += 1
        return self._n


class UnlistedPoints(Points):
    """Fault points of a server: counted, but not listed, since no sweep will ever want them."""

    counter_type = _UnlistedCounter
