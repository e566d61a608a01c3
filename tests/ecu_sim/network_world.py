"""Vehicles of several ECUs on several buses, and a listener with a simple tester on each bus."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

from bench.config import data_root
from bench.core.car import CarState
from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.specs import EcuSpec, FrameSpec, ManagementSpec, VehicleSpec
from bench.core.world import World
from bench.images.signing import demo_payload, sign_image
from bench.link.sim_bus import SimCanBus
from bench.trust.keys import public_key, signing_key
from bench.wire import seed_key
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpEndpoint, IsoTpParams
from ecu_sim.memory.dtcs import StoredDtc
from ecu_sim.vehicle import SimVehicle, build_vehicle

FILES = {path.stem: path for path in (data_root() / "ecus").glob("*.toml")}
MANAGEMENT = ManagementSpec(
    base_id=0x500, node=1, cycle_ms=500, repeat_ms=1500, timeout_ms=2000, wait_bus_sleep_ms=1500
)  # fmt: skip


def ecu(ecu_id: str = "ecu", n: int = 0, **changed: Any) -> EcuSpec:
    """An ECU whose requests go to 0x7A0 + n."""
    given: dict[str, Any] = {
        "id": ecu_id, "personality": "body_controller", "channel": "can0", "request_id": 0x7A0 + n,
        "response_id": 0x7A8 + n, "hardware_id": "BCM-HW-03", "software_id": "APP",
    }  # fmt: skip
    return EcuSpec(**(given | changed))


def frame(can_id: int = 0x110, period_ms: int = 100, **changed: Any) -> FrameSpec:
    """A cyclic frame."""
    return FrameSpec(can_id=can_id, period_ms=period_ms, **changed)


class Listener:
    """A node on one bus: remembers every frame with its end, and asks one ECU at a time."""

    def __init__(self, world: World, bus: SimCanBus, name: str) -> None:
        self.world, self.bus = world, bus
        self.frames: list[tuple[int, CanFrame]] = []
        self.answers: list[bytes] = []
        self.node = Node(world, name, self._boot)
        self.node.power_on()

    def _boot(self, life: Incarnation) -> None:
        self.life = life
        self.port = self.bus.attach(life)
        self.port.subscribe(lambda frame, t_ns: self.frames.append((t_ns, frame)))
        self._endpoints: dict[int, IsoTpEndpoint] = {}

    def send(self, can_id: int, data: str | bytes) -> None:
        """Send one bare frame."""
        self.port.send(CanFrame(can_id, bytes.fromhex(data) if isinstance(data, str) else data))

    def of(self, can_id: int, since_ns: int = 0) -> list[tuple[int, bytes]]:
        """The frames with an identifier since then."""
        return [(t_ns, f.data) for t_ns, f in self.frames if f.can_id == can_id and t_ns > since_ns]

    def _endpoint(self, n: int) -> IsoTpEndpoint:
        if n not in self._endpoints:
            endpoint = IsoTpEndpoint(
                self.life, IsoTpParams(), lambda d, sent: self.port.send(CanFrame(0x7A0 + n, d), sent), self
            )
            self.port.subscribe(lambda f, t_ns: endpoint.on_frame(f.data, t_ns), (0x7A8 + n,))
            self._endpoints[n] = endpoint
        return self._endpoints[n]

    def on_start(self, length: int) -> None: ...

    def on_message(self, payload: bytes) -> None:
        self.answers.append(payload)

    def on_error(self, name: str) -> None:
        self.answers.append(name.encode())

    async def ask(self, pdu: str | bytes, n: int = 0, within_ms: int = 3000) -> str | None:
        """The final answer in hexadecimal, or None."""
        self.answers.clear()
        self._endpoint(n).send(bytes.fromhex(pdu) if isinstance(pdu, str) else pdu, lambda _error: None)
        for _ in range(within_ms):
            await self.world.clock.sleep_ns(NS_PER_MS)
            final = [a for a in self.answers if not (a[0] == 0x7F and a[2:] == b"\x78")]
            if final:
                return final[0].hex(" ").upper()
        return None


class NetCar:
    """A vehicle with a listener on every bus."""

    def __init__(self, world: World, vehicle: SimVehicle, listeners: dict[str, Listener]) -> None:
        self.world, self.vehicle, self.listeners = world, vehicle, listeners
        self.can0 = listeners["can0"]

    @property
    def now_ns(self) -> int:
        return self.world.clock.now_ns()

    async def wait_ms(self, ms: int) -> None:
        await self.world.clock.sleep_ns(ms * NS_PER_MS)

    def set(self, key: str, value: Any) -> None:
        self.vehicle.set_car(key, value, "test")

    def dtcs(self, ecu_id: str = "ecu") -> dict[str, int]:
        """Stored DTCs with their status, from NVM."""
        slots = (StoredDtc.decode(slot.content) for slot in self.vehicle.memory(ecu_id).dtc_block.slots)
        return {f"{dtc.code:06X}": int(dtc.status) for dtc in slots if dtc is not None}

    def entries(self, part: str, kind: str) -> list[Any]:
        return [e for e in self.world.journal.entries() if (e.part, e.kind) == (part, kind)]

    async def programming(self, n: int = 0) -> None:
        """Lead a body controller into its unlocked bootloader."""
        assert await self.can0.ask("1003", n) is not None
        assert (await self.can0.ask("1002", n) or "").startswith("50 02")
        await self.wait_ms(100)
        seed = bytes.fromhex((await self.can0.ask("2701", n)) or "")[2:]
        key = seed_key.compute("hmac_sha256", "body_controller", seed)
        assert await self.can0.ask(b"\x27\x02" + key, n) == "67 02"

    async def erase(self, n: int = 0, size: int = 4096) -> None:
        answer = await self.can0.ask(bytes.fromhex("3101FF004400000000") + size.to_bytes(4, "big"), n, 20_000)
        assert answer == "71 01 FF 00 00"


def drive(
    story: Callable[[NetCar], Awaitable[Any]],
    ecus: Iterable[EcuSpec],
    *,
    car: CarState | None = None,
    buses: dict[str, int | None] | None = None,
    files: dict[str, Path] | None = None,
    booted: bool = True,
) -> Any:
    """Run a story in a vehicle whose ECUs are booted; `buses` are channels with the rate of their data phase."""
    loop = VirtualLoop()
    world = World(loop, 1)
    world.on_crash = loop.stop

    async def main() -> Any:
        made = {name: SimCanBus(world, name, 500_000, rate) for name, rate in (buses or {"can0": None}).items()}
        specs = tuple(ecus)
        spec = VehicleSpec(vin="ZZZ00TABENCH00001", functional_id=0x7DF, ecus=specs, car=car or CarState())
        images = {}
        for each in specs:
            image = sign_image(
                demo_payload(1, each.id, "1.0.0", 4096), hardware_id=each.hardware_id, software_id="APP",
                version="1.0.0", release_counter=1, load_address=0, key=signing_key("image"),
            )  # fmt: skip
            images[each.id] = (image.header.encode(), image.data)
        vehicle = build_vehicle(world, spec, made, public_key("image"), FILES | (files or {}), images)
        listeners = {name: Listener(world, bus, f"tester-{name}") for name, bus in made.items()}
        story_car = NetCar(world, vehicle, listeners)
        vehicle.power_on()
        if booted:
            await story_car.wait_ms(200)
        return await story(story_car)

    try:
        return loop.run(main())
    finally:
        loop.discard()
        if world.crash is not None:
            raise world.crash
