"""Every personality of fixtures/ecus on a bus of its own, with a tester that speaks raw UDS and one that flashes.

Which recipe, addresses and habits belong to a personality is read from the vehicle files: a new personality takes part
as soon as a vehicle names it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from bench.assembly.links import functional_link
from bench.assembly.transports import own_link
from bench.config import data_root, load_toml
from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.points import FaultPoint
from bench.core.world import World
from bench.description.ecu_entry import EcuEntry
from bench.description.vehicle_file import VehicleFile
from bench.flasher.errors import FlasherError
from bench.flasher.recipe import Recipe
from bench.flasher.sequence import flash_ecu
from bench.flasher.signed_image import FlashJob
from bench.flasher.values import FlashReport
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.link.isotp_link import IsoTpFunctionalLink, IsoTpLink, transmitter
from bench.link.sim_bus import SimCanBus
from bench.serving.ecu_server import load_vehicle
from bench.trust.keys import public_key, signing_key
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpEndpoint
from ecu_sim.personality.personality import Personality, load_personality
from ecu_sim.vehicle import SimVehicle, build_vehicle

T = TypeVar("T")
BITRATE_BIT_S, DATA_BITRATE_BIT_S = 500_000, 2_000_000
SMALL_IMAGE_BYTES = 1_200
LONGEST_NS = 40_000 * NS_PER_S
MOST_STEPS = 3_000_000


@dataclass(frozen=True, eq=False)
class Kind:
    """A personality and what the vehicle files say of an ECU that has it."""

    name: str
    path: Path
    personality: Personality
    vehicle: VehicleFile
    entry: EcuEntry
    recipe: Recipe


@cache
def kinds() -> dict[str, Kind]:
    """Return every personality that a vehicle file names, by name (the first vehicle in alphabetical order counts)."""
    root, found = data_root(), {}
    named: dict[str, tuple[VehicleFile, EcuEntry]] = {}
    for path in sorted((root / "vehicles").glob("*.toml")):
        vehicle = load_vehicle(path)
        for entry in vehicle.ecus:
            named.setdefault(entry.kind, (vehicle, entry))
    for path in sorted((root / "ecus").glob("*.toml")):
        if path.stem in named:
            vehicle, entry = named[path.stem]
            recipe = load_toml(root / "recipes" / f"{entry.recipe}.toml", Recipe, "recipe")
            found[path.stem] = Kind(path.stem, path, load_personality(path), vehicle, entry, recipe)
    return found


def personality_names() -> list[str]:
    """Return the names of all ECU files."""
    return sorted(path.stem for path in (data_root() / "ecus").glob("*.toml"))


@cache
def image(name: str, version: str, counter: int, size_bytes: int) -> SignedImage:
    """Return a signed image for the ECU of that personality."""
    kind = kinds()[name]
    return sign_image(
        demo_payload(1, kind.entry.id, version, size_bytes), hardware_id=kind.entry.hardware_id,
        software_id=kind.entry.software_id, version=version, release_counter=counter,
        load_address=kind.recipe.memory.region_base, key=signing_key("image"),
    )  # fmt: skip


class Hang(AssertionError):
    """A story ran into a bound of steps or of virtual time."""


class BoundedLoop(VirtualLoop):
    """Virtual time that ends."""

    steps = 0

    def _run_once(self) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS or self._now_ns > LONGEST_NS:
            raise Hang(f"still at work after {self.steps} steps, at {self._now_ns / NS_PER_S:.0f} s")
        super()._run_once()


class Heard(NamedTuple):
    """A message of the ECU: when its first frame had arrived, and what it says."""

    start_ns: int
    pdu: bytes


class Tester:
    """A tester's node that sends whatever it is told and keeps what the ECU says."""

    def __init__(self, world: World, bus: SimCanBus, kind: Kind) -> None:
        self.world, self._bus, self._kind = world, bus, kind
        self.heard: list[Heard] = []
        self.errors: list[str] = []
        self.sent_ns = 0
        """When the last frame of the last message was on the bus."""
        self._waiting: asyncio.Future[None] | None = None
        self._start_ns = 0
        self.node = Node(world, "tester", self._boot)
        self.node.power_on()

    def _boot(self, life: Incarnation) -> None:
        kind = self._kind
        self._port = self._bus.attach(life)
        self._address, habits = kind.entry.address(), kind.vehicle.habits(kind.entry)
        self._transmit = transmitter(self._port, self._address, habits.params(), habits.frame_flags)
        self._endpoint = IsoTpEndpoint(life, habits.params(), self._transmit, self, address=self._address)
        self._functional: IsoTpFunctionalLink = functional_link(kind.vehicle, kind.entry.channel, self._port)
        self._port.subscribe(self._on_frame, (self._address.rx_identifier,))

    def _on_frame(self, frame: CanFrame, t_ns: int) -> None:
        if self._address.accepts(frame):
            self._endpoint.on_frame(frame.data, t_ns)

    # IsoTpListener ----------------------------------------------------------------------------------

    def on_start(self, length: int) -> None:
        del length
        self._start_ns = self.world.clock.now_ns()

    def on_message(self, payload: bytes) -> None:
        self.heard.append(Heard(self._start_ns, payload))
        self._wake()

    def on_error(self, name: str) -> None:
        self.errors.append(name)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def something(self, within_ns: int) -> None:
        """Wait until the ECU has said something, or until the time is over."""
        if within_ns <= 0:
            return
        self._waiting = asyncio.get_running_loop().create_future()
        timer = self.world.clock.call_at_ns(self.world.clock.now_ns() + within_ns, self._wake)
        await self._waiting
        timer.cancel()

    # Sending ----------------------------------------------------------------------------------------

    async def put(self, pdu: bytes) -> str | None:
        """Send a message physically; returns once it is on the bus, or with the name of what went wrong."""
        done: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        self._endpoint.send(pdu, lambda error: None if done.done() else done.set_result(error))
        error = await done
        self.sent_ns = self.world.clock.now_ns()
        return error

    async def tell_all(self, pdu: bytes) -> None:
        """Send a single frame functionally."""
        await self._functional.send(pdu)
        self.sent_ns = self.world.clock.now_ns()

    @property
    def receiving(self) -> bool:
        """Whether a message of the ECU is arriving."""
        return self._endpoint.receiving

    def put_frame(self, data: bytes) -> None:
        """Send one bare frame to the ECU, its address byte (if any) in front."""
        self._transmit((self._address.prefix + data)[:8], lambda _t_ns: None)


@dataclass
class Lab:
    """One ECU without power, its bus, and a tester."""

    world: World
    loop: VirtualLoop
    bus: SimCanBus
    kind: Kind
    vehicle: SimVehicle

    def __post_init__(self) -> None:
        self.id = self.kind.entry.id
        self.node = self.vehicle.nodes[self.id]
        self.memory = self.vehicle.memory(self.id)
        self.tester = Tester(self.world, self.bus, self.kind)
        self.testers = 0
        self.node_lost: Callable[[], None] = lambda: None
        """Called when a story takes the ECU's power away."""

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Let virtual time go on until `work` is done; whatever crashed is raised."""
        try:
            return self.loop.run(work)
        finally:
            if self.world.crash is not None:
                raise self.world.crash

    def close(self) -> None:
        """End it all."""
        self.loop.discard()

    def install(self, version: str = "1.0.0", counter: int = 1, size_bytes: int = SMALL_IMAGE_BYTES) -> None:
        """Put software into the first bank, as a factory does."""
        signed = image(self.kind.name, version, counter, size_bytes)
        self.vehicle.install(self.id, signed.header.encode(), signed.data)

    async def wait_ms(self, ms: float) -> None:
        await self.world.clock.sleep_ns(int(ms * NS_PER_MS))

    async def ask(self, pdu: bytes, within_ms: int = 10_000) -> bytes | None:
        """Send physically and return the final answer, or None."""
        self.tester.heard.clear()
        await self.tester.put(pdu)
        end_ns = self.world.clock.now_ns() + within_ms * NS_PER_MS
        while True:
            final = next((heard.pdu for heard in self.tester.heard if _answers(heard.pdu, pdu)), None)
            left_ns = end_ns - self.world.clock.now_ns()
            if final is not None or left_ns <= 0:
                return final
            await self.tester.something(left_ns)

    async def answers_within(self, limit_ms: int) -> int | None:
        """Ask for the active session until there is an answer; return after how many milliseconds, or None."""
        begin_ns = self.world.clock.now_ns()
        while True:
            answer = await self.ask(b"\x22\xf1\x86", 20)  # a frame waits on the bus until somebody is there
            took_ms = (self.world.clock.now_ns() - begin_ns) // NS_PER_MS
            if answer or took_ms > limit_ms:
                return took_ms if took_ms <= limit_ms else None

    async def version(self) -> str | None:
        """Return what runs, or None when it is the bootloader."""
        answer = await self.ask(b"\x22" + self.kind.recipe.dids.version.to_bytes(2, "big"))
        assert answer is not None, "the ECU is silent"
        return answer[3:].decode() if answer[0] == 0x62 else None

    def begin_flash(self, signed: SignedImage, recipe: Recipe | None = None) -> Flashing:
        """Let another tester flash the ECU by its recipe, from now on."""
        self.testers += 1
        return Flashing(self, signed, recipe or self.kind.recipe, f"flasher{self.testers}")

    async def flash(self, signed: SignedImage) -> FlashReport:
        """Flash to the end; FlasherError when it went wrong."""
        flashing = self.begin_flash(signed)
        await flashing.done
        if flashing.failure is not None:
            raise flashing.failure
        assert flashing.report is not None
        return flashing.report

    def arm_cut(self, point: str) -> None:
        """Cut the ECU's power at a fault point (`erase:1:torn=0`)."""
        self.world.points.arm(FaultPoint.parse(f"power.ecu:{self.id}:{point}"), lambda: self.node.cut("test"))


class Flashing:
    """A flashing job of a node of its own, which can be cut: then nothing is undone."""

    def __init__(self, lab: Lab, signed: SignedImage, recipe: Recipe, part: str) -> None:
        self._lab, self._recipe = lab, recipe
        header = signed.header
        self._job = FlashJob(
            ecu=lab.id, image=signed.data, header=header.encode(), version=header.version,
            software_id=header.software_id,
        )  # fmt: skip
        self.report: FlashReport | None = None
        self.failure: FlasherError | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.node = Node(lab.world, part, self._boot)
        lab.tester.node.cut("a flasher works")  # two nodes alone: the bus may carry many frames at once
        self.node.power_on()

    def _boot(self, life: Incarnation) -> None:
        life.spawn(self._work(life), "flasher")

    async def _work(self, life: Incarnation) -> None:
        kind = self._lab.kind
        port = self._lab.bus.attach(life)
        link: IsoTpLink = own_link(life, port, kind.entry.address(), kind.vehicle.habits(kind.entry))
        functional = functional_link(kind.vehicle, kind.entry.channel, port)
        try:
            self.report = await flash_ecu(self._job, link, functional, self._recipe, life, self._lab.world.points)
        except FlasherError as failure:
            self.failure = failure
        self.over()

    def over(self) -> None:
        """Let whoever waits for the end go on, and the other tester listen again."""
        self._lab.tester.node.power_on()
        if not self.done.done():
            self.done.set_result(None)

    def stop(self) -> None:
        """Take the tester's power away."""
        self.node.cut("test")
        self.over()


def _answers(pdu: bytes, asked: bytes) -> bool:
    """Return whether a message is the final answer to that request, and not a late one to an earlier request."""
    if pdu[0] == 0x7F:
        return pdu[1] == asked[0] and not is_pending(pdu)
    return pdu[0] == asked[0] + 0x40 and (asked[0] != 0x22 or pdu[1:3] == asked[1:3])


def is_pending(pdu: bytes) -> bool:
    """Return whether it is a negative response 0x78."""
    return len(pdu) == 3 and pdu[0] == 0x7F and pdu[2] == 0x78


@cache
def quick_recipe(name: str) -> Recipe:
    """Return the ECU's recipe with few retries: what fails shall fail soon."""
    values = kinds()[name].recipe.model_dump(mode="json")
    values["retries"] |= {"job": 1, "security": 1}
    return Recipe.model_validate(values)


Story = Callable[[Lab], Awaitable[T]]


def open_lab(name: str, *, seed: int = 1, bursts: bool = True) -> Lab:
    """Return an ECU of that personality, its power off and its flash empty; `do` goes on, `close` ends it."""
    kind, loop = kinds()[name], BoundedLoop()
    world = World(loop, seed)
    world.on_crash = loop.stop

    async def build() -> Lab:
        whole = kind.vehicle.spec()
        spec = replace(whole, ecus=tuple(ecu for ecu in whole.ecus if ecu.id == kind.entry.id))
        own = spec.ecus[0]
        channels = {own.channel, *(name for route in own.routes for name in (route.source, route.target))}
        buses = {name: _bus(world, kind, name, bursts=bursts) for name in sorted(channels)}
        vehicle = build_vehicle(world, spec, buses, public_key("image"), {kind.name: kind.path}, {})
        return Lab(world, loop, buses[own.channel], kind, vehicle)

    return loop.run(build())


def _bus(world: World, kind: Kind, channel: str, *, bursts: bool) -> SimCanBus:
    fd = kind.entry.channel == channel and (kind.personality.isotp.fd or kind.vehicle.habits(kind.entry).fd)
    return SimCanBus(world, channel, BITRATE_BIT_S, DATA_BITRATE_BIT_S if fd else None, bursts=bursts)


def run_lab(name: str, story: Callable[[Lab], Any], *, seed: int = 1, bursts: bool = True) -> Any:
    """Run a story from beginning to end."""
    lab = open_lab(name, seed=seed, bursts=bursts)
    try:
        return lab.do(story(lab))
    finally:
        lab.close()
