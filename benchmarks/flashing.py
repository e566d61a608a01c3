"""One whole flashing job, flasher and ECU, with the trace on: what it costs, and what it leaves on the bus."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.records import FrameRecord
from bench.core.seeds import keyed_bytes
from bench.core.world import World
from bench.description.ecu_entry import EcuEntry
from bench.description.load import BenchFiles
from bench.flasher.sequence import flash_ecu
from bench.flasher.signed_image import FlashJob
from bench.flasher.values import FlashReport
from bench.flashing.access import ecu_accesses
from bench.images.signing import SignedImage, sign_image
from bench.link.sim_bus import SimCanBus
from bench.trust.keys import public_key, signing_key
from bench.wire.can_bulk import run_times_ns
from benchmarks.vehicles import Setting, loaded
from ecu_sim.vehicle import SimVehicle, build_vehicle

KIB, MIB = 1 << 10, 1 << 20
VERSION = "2.0.0"
LOOK_EVERY_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True)
class Spent:
    """What a job cost, what it reported, and the frames of the ECU's bus."""

    wall_s: float
    cpu_s: float
    report: FlashReport
    world: World

    def frames(self) -> Sequence[FrameRecord]:
        """Return the frames of all buses."""
        return self.world.journal.frames()


def random_image(length: int, number: int) -> bytes:
    """Return the same random bytes on every machine."""
    return keyed_bytes(number, "benchmark", "image", 0, length)


def flash(setting: Setting, image: bytes, *, bursts: bool) -> Spent:
    """Flash one ECU with `image` and return the costs; RuntimeError when it went wrong."""
    with loaded(setting) as files:
        return _flash(files, setting.ecu, image, bursts=bursts)


def _flash(files: BenchFiles, ecu_id: str, image: bytes, *, bursts: bool) -> Spent:
    ecu = next(ecu for ecu in files.vehicle.ecus if ecu.id == ecu_id)
    loop = VirtualLoop()
    world = World(loop, seed=1)
    buses = {
        channel.name: SimCanBus(world, channel.name, channel.bitrate_bit_s, channel.data_bitrate_bit_s, bursts=bursts)
        for channel in files.bench.channels
    }
    vehicle = _vehicle(world, files, buses)
    target = _signed(files, ecu, image, VERSION, 2)
    job = FlashJob(ecu=ecu.id, image=image, header=target.header.encode(), version=VERSION, software_id=ecu.software_id)
    done: list[FlashReport] = []

    def boot(life: Incarnation) -> None:
        life.spawn(program(life), "flasher")

    async def program(life: Incarnation) -> None:
        access = ecu_accesses(files, buses, life)[ecu.id]
        done.append(await flash_ecu(job, access.link, access.functional, access.recipe, life, world.points))

    async def main() -> None:
        vehicle.power_on()
        Node(world, "tester", boot).power_on()
        while not done and world.crash is None:
            await loop.sleep_ns(LOOK_EVERY_NS)

    run_times_ns.cache_clear()  # what an earlier round counted must not flatter this one
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    loop.run(main())
    wall_s, cpu_s = time.perf_counter() - wall_s, time.process_time() - cpu_s
    loop.discard()
    if not done:
        raise RuntimeError(f"the job was not done: {world.crash}")
    return Spent(wall_s, cpu_s, done[0], world)


def _vehicle(world: World, files: BenchFiles, buses: dict[str, SimCanBus]) -> SimVehicle:
    images = {}
    for ecu in files.vehicle.ecus:
        installed = _signed(files, ecu, random_image(ecu.factory.size_bytes, 9), ecu.factory.version, 1)
        images[ecu.id] = (installed.header.encode(), installed.data)
    return build_vehicle(world, files.vehicle.spec(), buses, public_key("image"), files.personality_files, images)


def _signed(files: BenchFiles, ecu: EcuEntry, data: bytes, version: str, release_counter: int) -> SignedImage:
    return sign_image(
        data,
        hardware_id=ecu.hardware_id,
        software_id=ecu.software_id,
        version=version,
        release_counter=release_counter,
        load_address=files.recipes[ecu.id].memory.region_base,
        key=signing_key("image"),
    )
