"""Figures of an ECU's memory: snapshots, restored ECUs, boots with and without a known image, idle ECUs."""

from __future__ import annotations

import gc
import hashlib
import time
import tracemalloc
from collections.abc import Callable, Coroutine
from functools import cache
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.core.car import CarState
from bench.core.clock import NS_PER_S
from bench.core.continuing import schedule, state_sha256
from bench.core.loop import VirtualLoop
from bench.core.records import CanAddress
from bench.core.specs import EcuSpec
from bench.core.world import World
from bench.images.signing import SignedImage, sign_image
from bench.link.sim_bus import SimCanBus
from bench.trust.keys import public_key, signing_key
from bench.wire.image_header import SIGNED_BYTES
from benchmarks.figure import Measured
from benchmarks.flashing import KIB, MIB, random_image
from benchmarks.vehicles import large_body, loaded
from ecu_sim.ecu import SimEcu
from ecu_sim.memory.banks import MemorySnapshot
from ecu_sim.personality.personality import Personality, load_personality
from ecu_sim.surroundings import Car
from ecu_sim.uds.identification import Identity

ROUNDS = 300
PASSES = 5
"""The best of them counts: a garbage collection of what earlier figures left behind strikes one."""
BOOTS = 10
IDLE_ECUS = 50
IDLE_IMAGE_BYTES = 32 * KIB
SPEC = EcuSpec(
    id="body", personality="body_controller", channel="can0", request_id=0x7A0, response_id=0x7A8,
    hardware_id="BCM-HW-03", software_id="BCM-APP",
)  # fmt: skip


@cache
def _personality() -> Personality:
    """Return a body controller with 1 MiB."""
    with loaded(large_body(MIB)) as files:
        return load_personality(files.personality_files["body_controller"])


def _image(number: int, length: int = MIB) -> SignedImage:
    return sign_image(
        random_image(length, number), hardware_id=SPEC.hardware_id, software_id=SPEC.software_id, version="1.0.0",
        release_counter=1, load_address=_personality().banks[0].linked_base, key=signing_key("image"),
    )  # fmt: skip


class _Bench:
    """A world with a bus that ECUs can be put on."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.bus = SimCanBus(self.world, "can0", 500_000)
        self.image_key = public_key("image")

    def ecu(self) -> SimEcu:
        identity = Identity(SPEC, "ZZZ00TABENCH00001")
        return SimEcu(
            self.world, SPEC, _personality(), {"can0": self.bus}, Car(self.world, CarState()), identity,
            CanAddress(0x7DF), self.image_key,
        )  # fmt: skip

    def with_image(self, image: SignedImage) -> SimEcu:
        ecu = self.ecu()
        ecu.memory.install("A", image.header.encode(), image.data)
        return ecu

    def restored(self, snapshot: MemorySnapshot) -> SimEcu:
        ecu = self.ecu()
        ecu.memory.restore(snapshot)
        return ecu

    def run(self, main: Coroutine[Any, Any, float]) -> float:
        """Return what `main` measured."""
        try:
            measured: float = self.loop.run(main)
            if self.world.crash is not None:
                raise self.world.crash
            return measured
        finally:
            self.loop.discard()

    async def boot_s(self, ecu: SimEcu) -> float:
        """Return the wall time from power to the running application."""
        began_s = time.perf_counter()
        ecu.node.power_on()
        await self.loop.sleep_ns(NS_PER_S)
        spent_s = time.perf_counter() - began_s
        if self.world.recorder.boots[-1].stage != "application":
            raise RuntimeError(f"the ECU did not boot: {self.world.recorder.boots[-1]}")
        return spent_s


def ecu_restore_us() -> Measured:
    """Return the wall time from a snapshot of 1 MiB to an ECU object that boots."""
    snapshot = _Bench().with_image(_image(1)).memory.snapshot()
    bench = _Bench()

    def one_pass_s() -> float:
        began_s = time.perf_counter()
        for _ in range(ROUNDS // PASSES):
            bench.restored(snapshot).node.power_on()
        return (time.perf_counter() - began_s) / (ROUNDS // PASSES)

    async def main() -> float:
        return min(one_pass_s() for _ in range(PASSES))

    return Measured(bench.run(main()) * 1e6)


def flash_snapshot_us() -> Measured:
    """Return the wall time of a snapshot and a state hash after one more program operation in 1 MiB of flash."""
    bench = _Bench()
    ecu = bench.with_image(_image(1))

    async def main() -> float:
        await bench.boot_s(ecu)
        life, memory = ecu.node.incarnation, ecu.memory
        if life is None:
            raise RuntimeError("the ECU lost power")
        region = memory.flash.region("image:A")
        await memory.flash.erase(life, region.name, region.sector_count // 2, 8)
        first = region.begins[region.sector_count // 2]
        spent_s = 0.0
        for n in range(ROUNDS):
            offset = first + n * region.unit_bytes
            await memory.flash.program(life, region.name, offset, random_image(region.unit_bytes, n))
            began_s = time.perf_counter()
            memory.snapshot()
            memory.state_sha256()
            spent_s += time.perf_counter() - began_s
        return spent_s / ROUNDS

    return Measured(bench.run(main()) * 1e6)


def ecu_key_us() -> Measured:
    """Return the wall time of the key of a booted ECU with 1 MiB of flash and of its bus, one program operation after
    the last one."""
    bench = _Bench()
    ecu = bench.with_image(_image(1))

    async def main() -> float:
        await bench.boot_s(ecu)
        life, memory = ecu.node.incarnation, ecu.memory
        if life is None:
            raise RuntimeError("the ECU lost power")
        region = memory.flash.region("image:A")
        await memory.flash.erase(life, region.name, region.sector_count // 2, 8)
        first, spent_s, keys = region.begins[region.sector_count // 2], 0.0, set[str]()
        for n in range(ROUNDS):
            await memory.flash.program(life, region.name, first + n * region.unit_bytes, bytes(region.unit_bytes))
            began_s, now_ns = time.perf_counter(), bench.loop.now_ns()
            due = schedule(bench.loop, (SPEC.id, bench.bus.part), now_ns)
            keys.add(state_sha256((ecu.continuing(now_ns), bench.bus.state(now_ns), due)))
            spent_s += time.perf_counter() - began_s
        if len(keys) < ROUNDS:
            raise RuntimeError("two states of flash have one key")
        return spent_s / ROUNDS

    return Measured(bench.run(main()) * 1e6)


def boot_1mib_cached_ms() -> Measured:
    """Return the wall time of a boot of 1 MiB that was verified before, by an ECU that was restored since."""
    first = _Bench()
    ecu = first.with_image(_image(1))
    snapshot = ecu.memory.snapshot()
    first.run(first.boot_s(ecu))
    return Measured(min(_boots_s(lambda bench, _n: bench.restored(snapshot))) * 1e3)


def boot_1mib_uncached_ms() -> Measured:
    """Return the wall time of a boot of 1 MiB that was never seen, beside SHA-256 and one signature check alone."""
    images = [_image(100 + n) for n in range(BOOTS)]
    ours = min(_boots_s(lambda bench, n: bench.with_image(images[n])))
    return Measured(ours * 1e3, baseline=min(map(_verified_s, images)) * 1e3)


def _boots_s(ecu: Callable[[_Bench, int], SimEcu]) -> list[float]:
    found = []
    for n in range(BOOTS):
        bench = _Bench()
        found.append(bench.run(bench.boot_s(ecu(bench, n))))
    return found


def _verified_s(image: SignedImage) -> float:
    raw, key = image.header.encode(), public_key("image")
    began_s = time.perf_counter()
    hashlib.sha256(image.data).digest()
    Ed25519PublicKey.from_public_bytes(key).verify(raw[SIGNED_BYTES:], raw[:SIGNED_BYTES])
    return time.perf_counter() - began_s


def ecu_idle_kib() -> Measured:
    """Return the memory of one booted, idle ECU with 1 MiB of flash and an image of 32 KiB of its own in it."""
    bench = _Bench()
    images = [_image(n, IDLE_IMAGE_BYTES) for n in range(IDLE_ECUS)]

    async def main() -> float:
        ecus = []
        gc.collect()
        tracemalloc.start()
        for image in images:
            ecus.append(bench.with_image(image))
            ecus[-1].node.power_on()
        await bench.loop.sleep_ns(NS_PER_S)
        gc.collect()
        used_bytes, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return used_bytes / len(ecus)

    return Measured(bench.run(main()) / KIB)
