"""A simulated vehicle: the `sim` driver of the entry point `otabench.vehicle`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.core.errors import InputError
from bench.core.node import Node
from bench.core.records import EcuLayout, FlashDump
from bench.core.specs import EcuSpec, VehicleSpec
from bench.core.waveform import Waveform
from bench.core.world import World
from bench.ports import CanBus
from bench.wire.image_header import HEADER_BYTES, HeaderError
from ecu_sim.boot.manager import candidates
from ecu_sim.ecu import SimEcu
from ecu_sim.memory.banks import EcuMemory
from ecu_sim.personality.geometry import header_region, image_region
from ecu_sim.personality.personality import Personality, ecu_layout, load_personality
from ecu_sim.uds.identification import Identity


class SimVehicle:
    """The ECUs of one car; each is a node of its own with a supply of its own."""

    def __init__(self, spec: VehicleSpec, ecus: Mapping[str, SimEcu]) -> None:
        self.spec = spec
        self._ecus = dict(ecus)
        self.nodes: Mapping[str, Node] = {ecu_id: ecu.node for ecu_id, ecu in self._ecus.items()}

    def power_on(self) -> None:
        """Apply power to every ECU, in the order of the vehicle file."""
        for node in self.nodes.values():
            node.power_on()

    def memory(self, ecu_id: str) -> EcuMemory:
        """Return the persistent parts of an ECU; KeyError when there is none of that id."""
        return self._ecus[ecu_id].memory

    def layout(self, ecu_id: str) -> EcuLayout:
        """Return what the bench knows of an ECU before a run."""
        ecu = self._ecus[ecu_id]
        return ecu_layout(ecu.spec, ecu.personality)

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
        place = self.memory(ecu_id).image_place(bank, linked_address, 1) if self._has(ecu_id, bank) else None
        if place is None:
            raise InputError(f"{ecu_id} has no 0x{linked_address:08X} in bank {bank}")
        self.memory(ecu_id).flash.flip_bit(image_region(bank), place.offset, bit)

    def flip_header_bit(self, ecu_id: str, bank: str, offset: int, bit: int) -> None:
        """Flip one bit of a bank's header slot; InputError beyond its 256 bytes."""
        if not self._has(ecu_id, bank) or not 0 <= offset < HEADER_BYTES:
            raise InputError(f"{ecu_id} has no header byte {offset} in bank {bank}", allowed=f"0 to {HEADER_BYTES - 1}")
        self.memory(ecu_id).flash.flip_bit(header_region(bank), offset, bit)

    def set_condition(self, ecu_id: str, condition: int, *, met: bool) -> None:
        """Let a condition of the car be met or not (`ecu_sim.surroundings`), as the application sees it."""
        self._ecus[ecu_id].surroundings.set_condition(condition, met=met)

    def cut_power(self, ecu_id: str, cause: str) -> None:
        """Cut the ECU's supply line: it loses power at once, or once its capacitor is empty (`supply.hold_ms`)."""
        self._ecus[ecu_id].supply.cut(cause)

    def restore_power(self, ecu_id: str, cause: str) -> None:
        """Close the ECU's supply line again; it boots if it had lost power."""
        self._ecus[ecu_id].supply.restore(cause)

    def apply_supply(self, ecu_id: str, waveform: Waveform, name: str) -> None:
        """Let the voltage at an ECU follow a waveform from now on."""
        self._ecus[ecu_id].supply.apply(waveform, name)

    def hang(self, ecu_id: str) -> None:
        """Let what an ECU executes now stand still, until its watchdog bites."""
        self._ecus[ecu_id].watchdog.hang()

    def crash(self, ecu_id: str) -> None:
        """Let what an ECU executes now end in an exception of the processor."""
        self._ecus[ecu_id].watchdog.crash()

    def bank_to_boot(self, ecu_id: str) -> str:
        """Return the bank that the boot manager would try first if it started now."""
        personality = self._ecus[ecu_id].personality
        names = tuple(bank.name for bank in personality.banks)
        return next(candidates(self.memory(ecu_id).nvm.record, names, personality.boot.trial_boots))[0]

    def _has(self, ecu_id: str, bank: str) -> bool:
        return any(known.name == bank for known in self._ecus[ecu_id].personality.banks)


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
    built = SimVehicle(
        vehicle,
        {
            spec.id: _build_ecu(world, vehicle, spec, personalities[spec.id], buses, image_public_key)
            for spec in vehicle.ecus
        },
    )
    for ecu_id, (header, image) in installed_images.items():
        if ecu_id not in built.nodes:
            raise InputError("installed image for an unknown ECU", found=ecu_id, allowed=", ".join(built.nodes))
        built.install(ecu_id, header, image)
    return built


def _build_ecu(
    world: World,
    vehicle: VehicleSpec,
    spec: EcuSpec,
    personality: Personality,
    buses: Mapping[str, CanBus],
    image_public_key: bytes,
) -> SimEcu:
    if spec.channel not in buses:
        raise InputError(f"ECU {spec.id!r} is on an unknown bus", found=spec.channel, allowed=", ".join(buses))
    if personality.isotp.fd and not buses[spec.channel].fd:
        raise InputError(
            f"ECU {spec.id!r} sends CAN FD frames on {spec.channel}, which is a classic bus",
            key="isotp.tx_dl",
            found=f"personality {personality.name!r} with tx_dl = {personality.isotp.tx_dl}",
            allowed="a personality with tx_dl = 8, or data_bitrate_bit_s for that channel in the bench file",
        )
    identity, functional = Identity(spec, vehicle.vin), vehicle.functional_address(spec.channel)
    return SimEcu(world, spec, personality, buses[spec.channel], identity, functional, image_public_key)
