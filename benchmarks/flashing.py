"""flash_64KiB_wall_s and sim_cpu_s_per_MiB: one whole flashing job, flasher and ECU, frame by frame, trace on."""

from __future__ import annotations

import time
from dataclasses import dataclass

from bench.config import data_root
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.seeds import keyed_bytes
from bench.core.world import World
from bench.flasher.sequence import flash_ecu
from bench.flasher.values import FlashJob
from bench.images.signing import SignedImage, sign_image
from bench.link.sim_bus import SimCanBus
from bench.rig.agent_node import ecu_links
from bench.rig.files import BenchFiles, EcuEntry, load_bench
from bench.trust.keys import public_key, signing_key
from benchmarks.baseline_udsoncan import cpu_s_per_mib
from benchmarks.figure import Measured
from ecu_sim.vehicle import SimVehicle, build_vehicle

KIB, MIB = 1 << 10, 1 << 20
VERSION = "2.0.0"
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Spent:
    """What a job cost."""

    wall_s: float
    cpu_s: float


def flash_64kib_wall_s() -> Measured:
    """Return the wall time of flashing 64 KiB, the best of three rounds."""
    return Measured(min(_flash(random_image(64 * KIB, number)).wall_s for number in range(ROUNDS)))


def sim_cpu_s_per_mib() -> Measured:
    """Return the processor time per MiB, beside that of the same job done with other libraries."""
    image = random_image(256 * KIB, 0)
    ours = min(_flash(image).cpu_s for _ in range(ROUNDS)) * MIB / len(image)
    return Measured(ours, baseline=min(cpu_s_per_mib(image) for _ in range(ROUNDS)))


def random_image(length: int, number: int) -> bytes:
    """Return the same random bytes on every machine."""
    return keyed_bytes(number, "benchmark", "image", 0, length)


def _flash(image: bytes) -> Spent:
    files = load_bench(data_root() / "benches" / "sim_van.toml")
    ecu = files.vehicle.ecus[0]
    loop = VirtualLoop()
    world = World(loop, seed=1)
    buses = {
        channel.name: SimCanBus(world, channel.name, channel.bitrate_bit_s, channel.data_bitrate_bit_s)
        for channel in files.bench.channels
    }
    vehicle = _vehicle(world, files, buses)
    target = _signed(files, ecu, image, VERSION, 2)
    job = FlashJob(ecu=ecu.id, image=image, header=target.header.encode(), version=VERSION, software_id=ecu.software_id)
    done: list[bool] = []

    def boot(life: Incarnation) -> None:
        life.spawn(program(life), "flasher")

    async def program(life: Incarnation) -> None:
        access = ecu_links(files, buses, life)[ecu.id]
        await flash_ecu(job, access.link, access.functional, access.recipe, life, world.points)
        done.append(True)

    async def main() -> None:
        vehicle.power_on()
        Node(world, "tester", boot).power_on()
        while not done and world.crash is None:
            await loop.sleep_ns(10_000_000_000)

    wall_s, cpu_s = time.perf_counter(), time.process_time()
    loop.run(main())
    spent = Spent(time.perf_counter() - wall_s, time.process_time() - cpu_s)
    loop.discard()
    if not done or len(world.journal.frames()) < len(image) // 7:
        raise RuntimeError(f"the job was not done: {world.crash}")
    return spent


def _vehicle(world: World, files: BenchFiles, buses: dict[str, SimCanBus]) -> SimVehicle:
    ecu = files.vehicle.ecus[0]
    installed = _signed(files, ecu, random_image(ecu.installed.size_bytes, 9), ecu.installed.version, 1)
    images = {ecu.id: (installed.header.encode(), installed.data)}
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
