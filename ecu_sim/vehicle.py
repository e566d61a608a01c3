"""A simulated vehicle: the `sim` driver of the entry point `otabench.vehicle`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.core.car import CarValue
from bench.core.continuing import State, schedule
from bench.core.errors import InputError
from bench.core.loop import VirtualLoop
from bench.core.node import Node
from bench.core.offers import Offers
from bench.core.records import FlashDump
from bench.core.specs import EcuSpec, VehicleSpec
from bench.core.waveform import Waveform
from bench.core.world import World
from bench.ports.can import CanBus
from bench.ports.faults import CAR
from bench.wire.ecu_misbehave import EcuMisbehaviour
from bench.wire.image_header import HeaderError
from ecu_sim.ecu import SimEcu
from ecu_sim.fault_ports import BreakableEcu
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.memory.torn import TornReads
from ecu_sim.network.fitting import refuse_loops, refuse_unfit
from ecu_sim.network.starter import StarterControl
from ecu_sim.personality.personality import Personality, load_personality
from ecu_sim.surroundings import Car
from ecu_sim.uds.identification import Identity


class SimVehicle:
    """The ECUs of one car; each is a node of its own with a supply of its own."""

    def __init__(
        self, world: World, spec: VehicleSpec, ecus: Mapping[str, SimEcu], car: Car, starter: StarterControl | None
    ) -> None:
        self._clock, self._seeds = world.clock, world.seeds
        self.spec, self.car, self._starter = spec, car, starter
        self._ecus = dict(ecus)
        self._breakable = {ecu_id: BreakableEcu(ecu) for ecu_id, ecu in self._ecus.items()}
        self.nodes: Mapping[str, Node] = {ecu_id: ecu.node for ecu_id, ecu in self._ecus.items()}

    def continuing(self, now_ns: int) -> State:
        """Return all that the car's later behaviour depends on, instants as what is left of them.

        The buses between its ECUs give their own; RuntimeError on a real clock, which cannot say what is due.
        """
        if not isinstance(self._clock, VirtualLoop):
            raise RuntimeError("only simulated time can say what is due")
        ecus = tuple((ecu_id, ecu.continuing(now_ns)) for ecu_id, ecu in self._ecus.items())
        drawn = tuple(each for each in sorted(self._seeds.state().items()) if each[0][0] in self._ecus)
        due = schedule(self._clock, self._ecus, now_ns)
        return ecus, self.car.continuing(now_ns), tuple((*stream, n) for stream, n in drawn), due

    def offer_fault_ports(self, offers: Offers) -> None:
        """Offer what faults may do to each ECU and to the car."""
        for breakable in self._breakable.values():
            breakable.offer(offers)
        offers.offer(CAR, self.car)

    def power_on(self) -> None:
        """Apply power to every ECU, in the order of the vehicle file, and to the starter control if there is one."""
        if self._starter is not None:
            self._starter.node.power_on()
        for node in self.nodes.values():
            node.power_on()

    def memory(self, ecu_id: str) -> EcuMemory:
        """Return the persistent parts of an ECU; KeyError when there is none of that id."""
        return self._ecus[ecu_id].memory

    def install(self, ecu_id: str, header: bytes, image: bytes, bank: str | None = None) -> None:
        """Put a confirmed image into flash as the factory does, mark and release floor included.

        `bank` is the first one unless named. `InputError` when header or image do not fit the ECU.
        """
        ecu = self._ecus[ecu_id]
        try:
            ecu.memory.install(bank or ecu.personality.banks[0].name, header, image)
        except (HeaderError, ValueError) as error:
            raise InputError(f"image of ECU {ecu_id!r} cannot be installed: {error}") from None

    def dump(self, ecu_id: str) -> FlashDump:
        """Return the ECU's memory as a reader of the chip finds it."""
        return self.memory(ecu_id).dump()

    def flip_bit(self, ecu_id: str, bank: str, linked_address: int, bit: int) -> None:
        """Flip one bit (0 to 7) of a bank's image, as bit rot does; InputError outside the bank."""
        self._breakable[ecu_id].flip_image_bit(bank, linked_address, bit)

    def flip_header_bit(self, ecu_id: str, bank: str, offset: int, bit: int) -> None:
        """Flip one bit of a bank's header slot; InputError beyond its 256 bytes."""
        self._breakable[ecu_id].flip_header_bit(bank, offset, bit)

    def tear_as(self, ecu_id: str, reads: str) -> None:
        """Say how cells read that the next cut tears (`ecu_sim.memory.torn`); an ECU without power is left alone."""
        self._breakable[ecu_id].tear_as(reads)

    def set_condition(self, ecu_id: str, condition: int, *, met: bool) -> None:
        """Let a condition of the car be met or not (`ecu_sim.surroundings`), as the application sees it."""
        self._ecus[ecu_id].surroundings.set_condition(condition, met=met)

    def cut_power(self, ecu_id: str, cause: str) -> None:
        """Cut the ECU's supply line: it loses power at once, or once its capacitor is empty (`supply.hold_ms`)."""
        self._breakable[ecu_id].cut(cause)

    def restore_power(self, ecu_id: str, cause: str) -> None:
        """End one cut of the ECU's supply line; after the last it boots if it had lost power."""
        self._breakable[ecu_id].restore(cause)

    def apply_supply(self, ecu_id: str, waveform: Waveform, name: str, torn_reads: str = TornReads.MIXED) -> None:
        """Let the voltage at an ECU follow a waveform from now on; cells that its brown-outs tear read as told."""
        self._breakable[ecu_id].follow(waveform, name, torn_reads)

    def hang(self, ecu_id: str) -> None:
        """Let what an ECU executes now stand still, until its watchdog bites."""
        self._ecus[ecu_id].watchdog.hang()

    def crash(self, ecu_id: str) -> None:
        """Let what an ECU executes now end in an exception of the processor."""
        self._ecus[ecu_id].watchdog.crash()

    def set_car(self, key: str, value: CarValue, cause: str) -> None:
        """Change a value of the car (`bench.core.car`); ValueError for one that it does not have."""
        self.car.set(key, value, cause)

    def misbehave(self, ecu_id: str, order: EcuMisbehaviour) -> None:
        """Have an ECU break the rules of UDS as ordered, from its next request on."""
        self._breakable[ecu_id].misbehave(order)

    def bank_to_boot(self, ecu_id: str) -> str:
        """Return the bank that the boot manager would try first if it started now."""
        return self._breakable[ecu_id].bank_to_boot()


def build_vehicle(
    world: World,
    vehicle: VehicleSpec,
    buses: Mapping[str, CanBus],
    image_public_key: bytes,
    personality_files: Mapping[str, Path],
    installed_images: Mapping[str, tuple[bytes, bytes]],
) -> SimVehicle:
    """Build the ECUs of `vehicle` without power; `personality_files` says where each personality
    lies, `installed_images` maps an ECU's id to (header, image).

    `InputError` when a personality, a bus or an image cannot be used.
    """
    personalities = {ecu.id: load_personality(personality_files[ecu.personality]) for ecu in vehicle.ecus}
    refuse_loops(vehicle.ecus)
    car = Car(world, vehicle.car)
    built = SimVehicle(
        world,
        vehicle,
        {
            spec.id: _build_ecu(world, vehicle, spec, personalities[spec.id], buses, car, image_public_key)
            for spec in vehicle.ecus
        },
        car,
        _starter(world, vehicle, buses, car),
    )
    built.offer_fault_ports(world.offers)
    for ecu_id, (header, image) in installed_images.items():
        if ecu_id not in built.nodes:
            raise InputError("installed image for an unknown ECU", found=ecu_id, allowed=", ".join(built.nodes))
        built.install(ecu_id, header, image)
    return built


def _starter(world: World, vehicle: VehicleSpec, buses: Mapping[str, CanBus], car: Car) -> StarterControl | None:
    """Return what obeys the inhibit signals; nothing is attached where no ECU has one."""
    signals = {spec.id: signal for spec in vehicle.ecus if (signal := spec.inhibit_signal) is not None}
    return StarterControl(world, signals, buses, car) if signals else None


def _build_ecu(
    world: World,
    vehicle: VehicleSpec,
    spec: EcuSpec,
    personality: Personality,
    buses: Mapping[str, CanBus],
    car: Car,
    image_public_key: bytes,
) -> SimEcu:
    if spec.channel not in buses:
        raise InputError(f"ECU {spec.id!r} is on an unknown bus", found=spec.channel, allowed=", ".join(buses))
    refuse_unfit(spec, personality, buses)
    identity, functional = Identity(spec, vehicle.vin), vehicle.functional_address(spec.channel)
    return SimEcu(world, spec, personality, buses, car, identity, functional, image_public_key)
