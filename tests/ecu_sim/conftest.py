"""A car with one simulated ECU on a simulated bus, and a tester that speaks UDS to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bench.config import data_root
from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.points import FaultPoint
from bench.core.specs import EcuSpec, VehicleSpec
from bench.core.world import World
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.link.sim_bus import SimCanBus
from bench.trust.keys import public_key, signing_key
from bench.wire import seed_key
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import OutcomeCallback
from ecu_sim.memory.torn import TornReads
from ecu_sim.personality.personality import load_personality
from ecu_sim.personality.sections import SecurityRules
from ecu_sim.vehicle import SimVehicle, build_vehicle

FUNCTIONAL_ID, REQUEST_ID, RESPONSE_ID = 0x7DF, 0x7A0, 0x7A8
SECOND_REQUEST_ID, SECOND_RESPONSE_ID = 0x7B0, 0x7B8
HARDWARE = {"body_controller": "BCM-HW-03", "gateway": "GW-HW-02", "head_unit": "HU-HW-07", "adas": "ADAS-HW-01",
            "door_module": "DOOR-HW-01", "ev_battery": "EVB-HW-01"}  # fmt: skip


class Tester:
    """A UDS tester: its own node, one physical and one functional address."""

    def __init__(
        self, world: World, bus: SimCanBus, ids: tuple[int, int] = (REQUEST_ID, RESPONSE_ID), name: str = "tester"
    ) -> None:
        self._world, self._bus, self._ids = world, bus, ids
        self.answers: list[tuple[int, bytes]] = []
        self._waiting: asyncio.Future[None] | None = None
        Node(world, name, self._boot).power_on()

    def _boot(self, life: Incarnation) -> None:
        self._port = self._bus.attach(life)
        self._endpoint = IsoTpEndpoint(life, IsoTpParams(max_length=70_000), self._transmit, self)
        self._port.subscribe(self._heard)

    def _transmit(self, data: bytes, sent: OutcomeCallback) -> None:
        self._port.send(CanFrame(self._ids[0], data), sent)

    def _heard(self, frame: CanFrame, t_ns: int) -> None:
        if frame.can_id == self._ids[1]:
            self._endpoint.on_frame(frame.data, t_ns)

    def on_start(self, length: int) -> None:
        self._started_ns = self._world.clock.now_ns()

    def on_message(self, payload: bytes) -> None:
        self.answers.append((self._started_ns, payload))
        self._wake()

    def on_error(self, name: str) -> None:
        self.answers.append((self._world.clock.now_ns(), name.encode()))

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    async def _something(self, within_ns: int) -> None:
        self._waiting = asyncio.get_running_loop().create_future()
        timer = self._world.clock.call_at_ns(self._world.clock.now_ns() + within_ns, self._wake)
        await self._waiting
        timer.cancel()

    def put(self, pdu: bytes) -> None:
        """Send without waiting for anything."""
        self._endpoint.send(pdu, lambda _error: None)

    def put_frame(self, can_id: int, data: bytes) -> None:
        """Send one bare frame."""
        self._port.send(CanFrame(can_id, data))

    async def ask(self, pdu: bytes, within_ms: int = 3_000) -> bytes | None:
        """Send physically; the final answer (after any 0x78), or None."""
        self.answers.clear()
        if self._endpoint.sending:
            await self._world.clock.sleep_ns(2_100 * NS_PER_MS)
        self.put(pdu)
        return await self.final(within_ms)

    async def final(self, within_ms: int = 3_000) -> bytes | None:
        """The next answer that is not 0x78, or None."""
        end_ns = self._world.clock.now_ns() + within_ms * NS_PER_MS
        while self._world.clock.now_ns() < end_ns:
            for _, answer in self.answers:
                if not (answer[:1] == b"\x7f" and answer[2:] == b"\x78"):
                    return answer
            await self._something(end_ns - self._world.clock.now_ns())
        return None

    async def tell_all(self, pdu: bytes, within_ms: int = 100) -> list[bytes]:
        """Send functionally; all answers within the time."""
        self.answers.clear()
        self._port.send(CanFrame(FUNCTIONAL_ID, bytes((len(pdu),)) + pdu))
        await self._world.clock.sleep_ns(within_ms * NS_PER_MS)
        return [answer for _, answer in self.answers]

    @property
    def pending(self) -> list[int]:
        """When each 0x78 began to arrive."""
        return [t_ns for t_ns, answer in self.answers if answer[:1] == b"\x7f" and answer[2:] == b"\x78"]


class Car:
    """One ECU, one tester, and the usual ways."""

    def __init__(self, world: World, vehicle: SimVehicle, tester: Tester, personality: str) -> None:
        self.world, self.vehicle, self.tester, self.personality = world, vehicle, tester, personality
        self.node = vehicle.nodes["ecu"]
        self.rules = load_personality(personality_files(data_root())[personality])
        self.memory = vehicle.memory("ecu")
        self.ask = tester.ask
        self.second: Tester

    def image(self, version: str = "2.0.0", counter: int = 2, length: int = 4096, **changed: Any) -> SignedImage:
        """A signed image for this ECU, or for whatever `changed` says."""
        given: dict[str, Any] = {
            "hardware_id": HARDWARE[self.personality], "software_id": "APP", "version": version,
            "release_counter": counter, "load_address": self.rules.banks[0].linked_base, "key": signing_key("image"),
        }  # fmt: skip
        return sign_image(demo_payload(1, "ecu", version, length), **(given | changed))

    async def wait_ms(self, ms: int) -> None:
        await self.world.clock.sleep_ns(ms * NS_PER_MS)

    async def good(self, pdu: str | bytes, within_ms: int = 3_000) -> bytes:
        """Ask and insist on a positive answer."""
        raw = bytes.fromhex(pdu) if isinstance(pdu, str) else pdu
        answer = await self.ask(raw, within_ms)
        assert answer is not None, f"no answer to {raw[:16].hex(' ')}"
        assert answer[0] == raw[0] + 0x40, f"{raw[:16].hex(' ')} got {answer.hex(' ')}"
        return answer

    async def hex(self, pdu: str, within_ms: int = 1_000) -> str | None:
        """Ask in hexadecimal; the answer likewise, or None."""
        answer = await self.ask(bytes.fromhex(pdu), within_ms)
        return None if answer is None else answer.hex(" ").upper()

    async def awake(self) -> None:
        """Power on if need be and wait until booted."""
        self.node.power_on()
        await self.wait_ms(400)

    async def programming(self) -> None:
        """Lead the ECU, in whatever mode it is, to the unlocked programming session."""
        await self.good("1003")
        await self.good("1002")
        await self.wait_ms(100)
        await self.good("1002")
        await self.unlock()

    async def unlock(self) -> None:
        """Open the bootloader (27 01)."""
        assert self.rules.security is not None
        await self._open(self.rules.security)

    async def unlock_application(self) -> None:
        """Enter the extended session and open the application's lock (27 11)."""
        assert self.rules.diagnostics.application_security is not None
        await self.good("1003")
        await self._open(self.rules.diagnostics.application_security)

    async def _open(self, rules: SecurityRules) -> None:
        seed = (await self.good(bytes((0x27, rules.level))))[2:]
        key = seed_key.compute(rules.algorithm, rules.secret_name, seed)
        await self.good(bytes((0x27, rules.level + 1)) + key)

    async def erase(self, image: SignedImage) -> None:
        base, length = self.rules.banks[0].linked_base.to_bytes(4, "big"), len(image.data).to_bytes(4, "big")
        await self.good(bytes.fromhex("3101FF0044") + base + length, 60_000)

    async def download(self, address: int, data: bytes, block: int = 3840) -> None:
        await self.good(bytes.fromhex("340044") + address.to_bytes(4, "big") + len(data).to_bytes(4, "big"))
        for i, at in enumerate(range(0, len(data), block)):
            await self.good(bytes((0x36, (i + 1) & 0xFF)) + data[at : at + block])
        await self.good("37")

    async def put_image(self, image: SignedImage) -> None:
        """Erase and download image and header, without the final check."""
        await self.programming()
        await self.erase(image)
        await self.download(self.rules.banks[0].linked_base, image.data)
        await self.download(self.rules.header_address, image.header.encode())

    async def flash(self, image: SignedImage) -> None:
        """The whole job up to the running application."""
        await self.put_image(image)
        assert await self.good("31010202") == bytes.fromhex("7101020200")
        assert await self.good("3101FF01") == bytes.fromhex("7101FF0100")
        if self.rules.dual_bank:
            await self.good("31010203")
        await self.good("1101")
        await self.wait_ms(400)

    async def version(self) -> str | None:
        """What 22 F189 says, or None when only the bootloader answers."""
        answer = await self.ask(bytes.fromhex("22F189"))
        assert answer is not None, "the ECU is silent"
        return answer[3:].decode() if answer[0] == 0x62 else None

    async def confirm(self) -> None:
        await self.good("1003")
        await self.good("31010204")
        await self.good("1001")

    def arm_cut(self, point: str, reads: TornReads | None = None) -> None:
        """Cut the power at a fault point; what is torn reads as told, or as was said before."""

        def cut() -> None:
            if reads is not None:
                self.memory.tear_as(reads)
            self.node.cut("test")

        self.world.points.arm(FaultPoint.parse(point), cut)

    def stages(self) -> list[tuple[str, str | None]]:
        """Boot stages so far, without the boot manager."""
        return [(b.stage, b.bank) for b in self.world.recorder.boots if b.stage != "boot_manager"]


Story = Callable[[Car], Awaitable[Any]]


@pytest.fixture
def drive() -> Callable[..., Any]:
    """Run a story with a car whose ECU is booted (unless `cold`) and holds version 1.0.0 (unless not `installed`)."""

    def run(
        story: Story,
        personality: str = "body_controller",
        *,
        installed: bool = True,
        cold: bool = False,
        seed: int = 1,
        root: Path | None = None,
    ) -> Any:
        loop = VirtualLoop()
        world = World(loop, seed)
        world.on_crash = loop.stop

        async def main() -> Any:
            fd = load_personality(personality_files(root or data_root())[personality]).isotp.fd
            bus = SimCanBus(world, "can0", 500_000, 2_000_000 if fd else None)
            spec = EcuSpec(
                id="ecu", personality=personality, channel="can0", request_id=REQUEST_ID, response_id=RESPONSE_ID,
                hardware_id=HARDWARE[personality], software_id="APP",
                second_tester=(SECOND_REQUEST_ID, SECOND_RESPONSE_ID),
            )  # fmt: skip
            vehicle_spec = VehicleSpec(vin="ZZZ00TABENCH00001", functional_id=FUNCTIONAL_ID, ecus=(spec,))
            vehicle = build_vehicle(
                world, vehicle_spec, {"can0": bus}, public_key("image"), personality_files(root or data_root()), {}
            )
            car = Car(world, vehicle, Tester(world, bus), personality)
            car.second = Tester(world, bus, (SECOND_REQUEST_ID, SECOND_RESPONSE_ID), "second tester")
            if installed:
                image = car.image("1.0.0", 1)
                vehicle.install("ecu", image.header.encode(), image.data)
            if not cold:
                vehicle.power_on()
                await car.wait_ms(200)
            return await story(car)

        try:
            return loop.run(main())
        finally:
            loop.discard()
            if world.crash is not None:
                raise world.crash

    return run


@pytest.fixture
def changed_ecus(tmp_path: Path) -> Callable[[str, str], Path]:
    """Return a data root whose ECU personalities have one text replaced."""

    def change(old: str, new: str) -> Path:
        (tmp_path / "ecus").mkdir()
        for source in sorted((data_root() / "ecus").glob("*.toml")):
            (tmp_path / "ecus" / source.name).write_text(source.read_text().replace(old, new))
        return tmp_path

    return change


def personality_files(root: Path) -> dict[str, Path]:
    """Return the ECU files below a data root by name."""
    return {path.stem: path for path in (root / "ecus").glob("*.toml")}
