"""A flashing job on the simulated bus that a foreign node disturbs with frames of its own, and what must hold then.

A case is a list of frames with instants. Whatever they are: nothing crashes, nothing hangs (bounds in virtual time
and in steps, no wall clock), success is only reported when the ECU's flash holds the image, a failure says what the
ECU is believed to be, and the tester's last words to all ECUs switch communication and DTC setting on again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import cache
from typing import NamedTuple

from bench.config import data_root
from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.specs import EcuSpec, VehicleSpec
from bench.core.world import World
from bench.flasher.errors import FlasherError, FlashFailed
from bench.flasher.recipe import Recipe
from bench.flasher.sequence import flash_ecu
from bench.flasher.signed_image import FlashJob
from bench.flasher.values import FlashReport
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.link.isotp_link import IsoTpFunctionalLink, IsoTpLink
from bench.link.sim_bus import SimCanBus
from bench.ports.can import CanPort
from bench.trust.keys import public_key, signing_key
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpParams
from ecu_sim.personality.geometry import header_region, image_region
from ecu_sim.vehicle import SimVehicle, build_vehicle
from tests.recipes import recipe_named

FUNCTIONAL_ID, REQUEST_ID, RESPONSE_ID, OTHER_ID = 0x7DF, 0x7A0, 0x7A8, 0x123
PADDING = 0xCC
BOOT_NS = 60 * NS_PER_MS
IMAGE_BYTES = 1_200
LONGEST_NS = 3_600 * NS_PER_S
MOST_STEPS = 400_000
SWITCHES = {0x28: 0x00, 0x85: 0x01}
"""Services that take something from every ECU, and the sub-function that gives it back."""


class Kind(NamedTuple):
    """A kind of ECU, how it is flashed, and the bank that a new image goes to."""

    personality: str
    recipe: str
    hardware_id: str
    bank: str


KINDS = {
    "single": Kind("body_controller", "single_bank", "BCM-HW-03", "A"),
    "dual": Kind("gateway", "dual_bank", "GW-HW-02", "B"),
}


class Injection(NamedTuple):
    """A frame of the foreign node, queued at this instant."""

    t_ns: int
    can_id: int
    data: bytes


class Reaction(NamedTuple):
    """What the foreign node says a little after each frame of `on_id` whose PCI is `on_kind` (None: any)."""

    on_id: int
    on_kind: int | None
    delay_ns: int
    can_id: int
    data: bytes
    skip: int
    times: int

    def meets(self, frame: CanFrame) -> bool:
        """Return whether that frame is one to react to."""
        kind = frame.data[0] >> 4 if frame.data else None
        return frame.can_id == self.on_id and self.on_kind in (None, kind)


class Case(NamedTuple):
    """Everything that a foreign node does in one run."""

    injections: tuple[Injection, ...] = ()
    reactions: tuple[Reaction, ...] = ()
    kind: str = "single"


class Heard(NamedTuple):
    """A frame that crossed the bus."""

    t_ns: int
    can_id: int
    data: bytes


class Hang(AssertionError):
    """The job ran into a bound."""


class BoundedLoop(VirtualLoop):
    """Virtual time that ends: too late or too many steps is a hang."""

    steps = 0

    def _count(self, now_ns: int) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            raise Hang(f"more than {MOST_STEPS} steps, at {now_ns / NS_PER_S:.3f} s")
        if now_ns > LONGEST_NS:
            raise Hang(f"still at work after {now_ns / NS_PER_S:.0f} s")

    def advance_inline(self, when_ns: int) -> bool:
        """Count a frame delivered inline as a step."""
        self._count(when_ns)
        return super().advance_inline(when_ns)

    def _run_once(self) -> None:
        self._count(self._now_ns)
        super()._run_once()


@cache
def fuzz_recipe(kind: str) -> Recipe:
    """The recipe of the ECU with fewer whole tries: a case that fails shall fail soon."""
    values = recipe_named(KINDS[kind].recipe).model_dump(mode="json")
    values["retries"] |= {"job": 3, "security": 1}
    return Recipe.model_validate(values)


@cache
def images(kind: str) -> tuple[SignedImage, SignedImage]:
    """What the ECU runs, and what it shall run."""

    def image(version: str, counter: int) -> SignedImage:
        data = demo_payload(1, "ecu", version, IMAGE_BYTES)
        return sign_image(
            data, hardware_id=KINDS[kind].hardware_id, software_id="APP", version=version, release_counter=counter,
            load_address=0, key=signing_key("image"),
        )  # fmt: skip

    return image("1.0.0", 1), image("1.1.0", 2)


@cache
def _key() -> bytes:
    return public_key("image")


class Job:
    """One case: an ECU, a tester that flashes it, and a foreign node."""

    def __init__(self, case: Case, *, bursts: bool = True) -> None:
        """Prepare a job; `bursts`: the bus may carry runs of frames at once where nobody needs them singly."""
        self.loop = BoundedLoop()
        self.world = World(self.loop, seed=1)
        self.world.on_crash = self.loop.stop
        self.case = case
        self._met = [0] * len(case.reactions)
        self.bursts = bursts
        self.report: FlashReport | None = None
        self.failure: FlasherError | None = None
        self.crash: BaseException | None = None

    def run(self) -> Job:
        """Run to the end of the job; whatever else than a FlasherError comes out is raised."""
        try:
            self.loop.run(self._main())
        finally:
            self.loop.discard()
        return self

    async def _main(self) -> None:
        self.bus = SimCanBus(self.world, "can0", 500_000, bursts=self.bursts)
        self.vehicle = build_ecu(self.world, self.bus, self.case.kind)
        old = images(self.case.kind)[0]
        self.vehicle.install("ecu", old.header.encode(), old.data)
        self.vehicle.power_on()
        await self.loop.sleep_ns(BOOT_NS)
        done = self.loop.create_future()
        Node(self.world, "intruder", self._intrude).power_on()
        Node(self.world, "tester", lambda life: self._test(life, done.set_result)).power_on()
        await done
        if self.world.crash is not None:
            raise self.world.crash
        if self.crash is not None:
            raise self.crash

    def _intrude(self, life: Incarnation) -> None:
        port = self.bus.attach(life)

        def hear(frame: CanFrame, t_ns: int) -> None:
            for n, reaction in enumerate(self.case.reactions):
                if reaction.meets(frame):
                    self._met[n] += 1
                    if 0 < self._met[n] - reaction.skip <= reaction.times:
                        answer = CanFrame(reaction.can_id, reaction.data)
                        life.call_at_ns(t_ns + reaction.delay_ns, port.send, answer)

        port.subscribe(hear, sorted({reaction.on_id for reaction in self.case.reactions}) or (FUNCTIONAL_ID,))
        for t_ns, can_id, data in self.case.injections:
            life.call_at_ns(t_ns, port.send, CanFrame(can_id, data))

    def _test(self, life: Incarnation, done: Callable[[None], None]) -> None:
        port = self.bus.attach(life)
        life.spawn(self._flash(life, port, done), "flasher")

    async def _flash(self, life: Incarnation, port: CanPort, done: Callable[[None], None]) -> None:
        new, recipe = images(self.case.kind)[1], fuzz_recipe(self.case.kind)
        job = FlashJob(ecu="ecu", image=new.data, header=new.header.encode(), version="1.1.0", software_id="APP")
        try:
            self.report = await flash_ecu(job, *links(life, port), recipe, life, self.world.points)
        except FlasherError as failure:
            self.failure = failure
        except Exception as crash:
            self.crash = crash
        done(None)

    # What must hold ---------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise AssertionError when the case shows a false success, a failure without a word, or a bus left off."""
        if self.report is not None:
            assert self.holds_image(), "success was reported, but the ECU does not hold the image"
            assert self.report.version == "1.1.0"
        else:
            assert isinstance(self.failure, FlasherError)
            assert not isinstance(self.failure, FlashFailed) or self.failure.believed
        for service, switched_on in SWITCHES.items():
            last = self._last_to_all(service)
            assert last in (None, switched_on), f"0x{service:02X} was left at {last}"

    def holds_image(self) -> bool:
        """Return whether the flash of the ECU holds image and header of the order, byte for byte."""
        new, flash, bank = images(self.case.kind)[1], self.vehicle.memory("ecu").flash, KINDS[self.case.kind].bank
        header = new.header.encode()
        return (
            flash.read(image_region(bank), 0, len(new.data)) == new.data
            and flash.read(header_region(bank), 0, len(header)) == header
        )

    def _last_to_all(self, service: int) -> int | None:
        """Return the sub-function of the tester's last functional request of a service."""
        frames = reversed(self.world.journal.frames())
        own = (frame.data for frame in frames if frame.sender == "tester" and frame.can_id == FUNCTIONAL_ID)
        return next((data[2] & 0x7F for data in own if data[1] == service), None)


def links(life: Incarnation, port: CanPort) -> tuple[IsoTpLink, IsoTpFunctionalLink]:
    """Return the tester's physical and functional link."""
    return (
        IsoTpLink(life, port, IsoTpAddress.normal(REQUEST_ID, RESPONSE_ID), IsoTpParams(padding=PADDING)),
        IsoTpFunctionalLink(port, IsoTpAddress.normal(FUNCTIONAL_ID, RESPONSE_ID), IsoTpParams(padding=PADDING)),
    )


def build_ecu(world: World, bus: SimCanBus, kind: str) -> SimVehicle:
    """Return an ECU of that kind on the bus, its flash empty and its power off."""
    name = KINDS[kind].personality
    spec = EcuSpec(
        id="ecu", personality=name, channel="can0", request_id=REQUEST_ID, response_id=RESPONSE_ID,
        hardware_id=KINDS[kind].hardware_id, software_id="APP",
    )  # fmt: skip
    vehicle = VehicleSpec(vin="ZZZ00TABENCH00001", functional_id=FUNCTIONAL_ID, ecus=(spec,))
    files = {name: data_root() / "ecus" / f"{name}.toml"}
    return build_vehicle(world, vehicle, {"can0": bus}, _key(), files, {})


@cache
def golden(kind: str) -> tuple[Heard, ...]:
    """The frames of an undisturbed job."""
    job = Job(Case(kind=kind)).run()
    assert job.report is not None, job.failure
    assert job.holds_image()
    return tuple(Heard(frame.t_ns, frame.can_id, frame.data) for frame in job.world.journal.frames())


# Cases ----------------------------------------------------------------------------------------------

Draw = Callable[[random.Random], bytes]


def case(seed: int, number: int) -> Case:
    """Return one case; the same for the same seed and number."""
    draw = random.Random(f"{seed}:{number}")
    kind = draw.choice(("single", "single", "dual"))
    if draw.random() < 0.5:
        return Case(tuple(_injections(draw, kind, draw.choice((1, 2, 4, 8, 30)))), (), kind)
    reactions = tuple(_reaction(draw) for _ in range(draw.choice((1, 1, 2, 3))))
    return Case(tuple(_injections(draw, kind, draw.choice((0, 0, 2)))), reactions, kind)


def _injections(draw: random.Random, kind: str, count: int) -> Iterator[Injection]:
    frames = golden(kind)
    end_ns = frames[-1].t_ns
    spread_ns = draw.choice((200_000, 5 * NS_PER_MS, 300 * NS_PER_MS, 2 * end_ns))
    near_ns = draw.choice(frames).t_ns if draw.random() < 0.8 else draw.randrange(end_ns)
    for _ in range(count):
        t_ns = max(0, near_ns + draw.randrange(-spread_ns // 8, spread_ns))
        yield Injection(t_ns, _whom(draw), draw.choice(MAKERS)(draw))


def _reaction(draw: random.Random) -> Reaction:
    on_id = draw.choice((REQUEST_ID, RESPONSE_ID))
    on_kind = draw.choice((None, 0, 1, 2, 3))
    delay_ns = draw.choice((0, 0, 100_000, NS_PER_MS, 20 * NS_PER_MS, 99 * NS_PER_MS))
    times = draw.choice((1, 2, 4, 20, 200))
    return Reaction(on_id, on_kind, delay_ns, _whom(draw), draw.choice(MAKERS)(draw), draw.choice((0, 0, 3, 40)), times)


def _whom(draw: random.Random) -> int:
    return draw.choices((RESPONSE_ID, REQUEST_ID, FUNCTIONAL_ID, OTHER_ID), (5, 4, 1, 1))[0]


def _any(draw: random.Random) -> bytes:
    return draw.randbytes(draw.randrange(9))


def _single(draw: random.Random) -> bytes:
    payload = draw.randbytes(draw.randrange(1, 8))
    return (bytes((len(payload),)) + payload).ljust(8, b"\xcc")


def _first(draw: random.Random) -> bytes:
    return bytes((0x10 | draw.choice((0, 0, 1, 15)), draw.choice((0, 8, 20, 255)))) + draw.randbytes(6)


def _consecutive(draw: random.Random) -> bytes:
    return bytes((0x20 | draw.randrange(16),)) + draw.randbytes(7)


def _flow(draw: random.Random) -> bytes:
    status = draw.choice((0, 0, 1, 1, 2, 3, 15))
    return bytes((0x30 | status, draw.choice((0, 1, 8, 255)), draw.choice((0, 1, 20, 127, 0x80, 0xF1, 0xFF)))) + bytes(
        draw.choice((0, 5))
    )


def _answer(draw: random.Random) -> bytes:
    """A single frame that reads like an answer of the ECU, or like a request."""
    sid = draw.choice((0x10, 0x11, 0x22, 0x27, 0x2E, 0x31, 0x34, 0x36, 0x37, 0x3E))
    nrc = draw.choice((0x10, 0x11, 0x13, 0x21, 0x21, 0x22, 0x24, 0x31, 0x33, 0x35, 0x37, 0x71, 0x73, 0x78, 0x78, 0x7F))
    payload = draw.choice(
        (
            bytes((0x7F, sid, nrc)),
            bytes((0x76, draw.randrange(5))),
            b"\x71\x01" + draw.choice((b"\xff\x00", b"\x02\x02", b"\xff\x01")) + draw.choice((b"\x00", b"\x04", b"")),
            b"\x74\x20" + draw.choice((b"\x00\x00", b"\x00\x02", b"\x00\x03", b"\x00\x82", b"\x0f\xff", b"\xff\xff")),
            b"\x77", b"\x51\x01", b"\x67\x02", b"\x6e\xf1\x5a", b"\x7e\x00",
            b"\x50\x02" + draw.randbytes(4), b"\x67\x01" + draw.randbytes(5), b"\x62\xf1\x86" + draw.randbytes(1),
            b"\x62\xf1\x89" + draw.randbytes(4), b"\x62\xf1\x88APP",
            bytes((sid, draw.choice((0, 1, 2, 3, 0x81)))), b"\x11\x01", b"\x37", b"\x36" + draw.randbytes(5),
        )
    )  # fmt: skip
    return (bytes((len(payload),)) + payload).ljust(8, b"\xcc")


def _copied(draw: random.Random) -> bytes:
    """A frame of the undisturbed job, perhaps with one byte changed or its end cut off."""
    data = bytearray(draw.choice(golden("single")).data)
    change = draw.randrange(3)
    if change == 1:
        data[draw.randrange(len(data))] = draw.randrange(256)
    elif change == 2:
        del data[draw.randrange(len(data)) :]
    return bytes(data)


MAKERS: tuple[Draw, ...] = (_any, _single, _first, _consecutive, _flow, _answer, _answer, _copied, _copied)
