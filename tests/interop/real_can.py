"""What tests over real adapters share: a bench file, a job, flashing on the real clock, an ECU in its own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from bench.assembly.channels import open_buses
from bench.assembly.images import IMAGE_KEY
from bench.assembly.load import load_bench
from bench.core.clock import Clock
from bench.core.node import Incarnation, Node
from bench.core.realtime import run_on_clock
from bench.core.records import FrameRecord
from bench.core.world import World
from bench.description.load import BenchFiles
from bench.flasher.access import EcuAccess
from bench.flasher.recipe import Recipe
from bench.flasher.sequence import flash_ecu
from bench.flasher.signed_image import FlashJob
from bench.flasher.values import FlashReport
from bench.flashing.access import ecu_accesses
from bench.images.signing import demo_payload, sign_image
from bench.ports.can import CanBus
from bench.trust.keys import signing_key

ROOT = Path(__file__).parent.parent.parent
READY_S = 120.0
"""An emulated machine is slow."""
T = TypeVar("T")
BENCH = """\
schema = 1
name = "adapter"
vehicle = "{vehicle}"
clock = "real"

[[channels]]
name = "can0"
driver = "python-can"
interface = "{interface}"
channel = "{channel}"
bitrate_bit_s = 500_000
transport = "{transport}"
options = {{ {options} }}

[ecus]
real = "all"

[power]
driver = "sim"

[server]
driver = "tls"

[agent]
driver = "local"
"""


def bench_on(
    folder: Path,
    interface: str,
    channel: str,
    *,
    transport: str = "own",
    options: str = "",
    vehicle: str = "one_ecu_van",
    p2_ms: int = 50,
) -> BenchFiles:
    """Return a bench whose ECUs are all out there, on one adapter; a slow machine needs more than a P2 of 50 ms."""
    path = folder / "benches" / "adapter.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        BENCH.format(vehicle=vehicle, interface=interface, channel=channel, transport=transport, options=options)
    )
    files = load_bench(path)
    return replace(files, recipes={ecu: _patient(recipe, p2_ms) for ecu, recipe in files.recipes.items()})


def _patient(recipe: Recipe, p2_ms: int) -> Recipe:
    timing = recipe.timing.model_copy(update={"p2_ms": p2_ms, "p2_star_ms": max(recipe.timing.p2_star_ms, 2 * p2_ms)})
    return recipe.model_copy(update={"timing": timing})


def new_software(files: BenchFiles, ecu_id: str, size_bytes: int = 16_384, data: bytes | None = None) -> FlashJob:
    """Return the job that brings version 2.0.0, signed with the test key, to an ECU."""
    ecu = next(each for each in files.vehicle.ecus if each.id == ecu_id)
    image = sign_image(
        demo_payload(7, ecu_id, "2.0.0", size_bytes) if data is None else data,
        hardware_id=ecu.hardware_id,
        software_id=ecu.software_id,
        version="2.0.0",
        release_counter=9,
        load_address=files.recipes[ecu_id].memory.region_base,
        key=signing_key(IMAGE_KEY),
    )
    return FlashJob(
        ecu=ecu_id, image=image.data, header=image.header.encode(), version="2.0.0", software_id=ecu.software_id
    )


@dataclass
class Ours:
    """Our side of an open bench."""

    world: World
    life: Incarnation
    buses: dict[str, CanBus]
    access: dict[str, EcuAccess]

    async def flash(self, job: FlashJob) -> FlashReport:
        """Flash one ECU."""
        access = self.access[job.ecu]
        return await flash_ecu(
            job, access.link, access.functional, access.recipe, self.life, self.world.points, lambda _progress: None
        )

    @property
    def frames(self) -> Sequence[FrameRecord]:
        return self.world.journal.frames()


@asynccontextmanager
async def connected(clock: Clock, files: BenchFiles) -> AsyncIterator[Ours]:
    """Open the bench's channels and links to every ECU."""
    world = World(clock, seed=1)
    node = Node(world, "agent", lambda _life: None)
    node.power_on()
    assert node.incarnation is not None
    with open_buses(world, files) as buses:
        yield Ours(world, node.incarnation, buses, ecu_accesses(files, buses, node.incarnation))


def in_real_time(main: Callable[[Clock], Coroutine[Any, Any, T]]) -> T:
    """Run on the machine's clock; no thread may be left afterwards."""
    before = set(threading.enumerate())
    result = run_on_clock(main, virtual=False)
    assert set(threading.enumerate()) <= before, "a thread was left behind"
    return result


class EcuProcess:
    """`otabench ecu ARGUMENTS` in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "bench.cli", "ecu", *arguments, "--json"]
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self._watchdog = threading.Timer(READY_S, self._process.kill)
        self._watchdog.start()

    def ready(self) -> dict[str, Any]:
        """Wait for the line that says the ECU listens."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        self._watchdog.cancel()
        if not line:
            raise AssertionError(f"otabench ecu did not become ready: {self._process.communicate()[1]}")
        said: dict[str, Any] = json.loads(line)
        return said

    def stop(self) -> None:
        """End it by SIGTERM; it must end well."""
        self._process.send_signal(signal.SIGTERM)
        _, errors = self._process.communicate(timeout=READY_S)
        assert self._process.returncode == 0, errors

    def kill(self) -> None:
        """Leave nothing behind, whatever happened."""
        self._watchdog.cancel()
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()


@contextmanager
def ecu_process(*arguments: str) -> Iterator[dict[str, Any]]:
    """Run `otabench ecu ARGUMENTS`, ready to be talked to, until the block ends."""
    process = EcuProcess(*arguments)
    try:
        yield process.ready()
        process.stop()
    finally:
        process.kill()


def isolated(module: str, *arguments: str, limit_s: float = 120.0) -> Any:
    """Run a module of the tests in a network namespace of its own where root may, and return the JSON it prints.

    Multicast then reaches this pair of processes only. Without root it runs as it is: the module must use
    a port of its own and a hop limit of 0.
    """
    command = [sys.executable, "-m", module, *arguments]
    if os.geteuid() == 0:
        prepare = 'ip link set lo up multicast on && ip route add 239.0.0.0/8 dev lo && exec "$@"'
        command = ["unshare", "-n", "sh", "-c", prepare, "sh", *command]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)
