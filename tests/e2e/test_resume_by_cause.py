"""The flasher alone against the ADAS controller: whatever breaks a transfer off, it goes on from what flash holds."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from bench.assembly.links import functional_link
from bench.assembly.load import load_bench
from bench.assembly.transports import own_link
from bench.config import data_root
from bench.core.clock import NS_PER_S
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.flasher.recipe import Recipe
from bench.flasher.sequence import flash_ecu
from bench.flasher.signed_image import FlashJob
from bench.flasher.values import FlashReport
from bench.images.signing import SignedImage, demo_payload, sign_image
from bench.link.sim_bus import SimCanBus
from bench.ports.diagnostics import AnswerTimeout, DiagLink
from bench.trust.keys import public_key, signing_key
from ecu_sim.vehicle import SimVehicle, build_vehicle

IMAGE_BYTES, SECTORS, COPIED_SECTORS = 65_536, 16, 4
Trouble = Callable[["Car"], Awaitable[None]]
TRANSFER_DATA = 0x36


def image(version: str, counter: int) -> SignedImage:
    data = demo_payload(1, "adas", version, IMAGE_BYTES)
    return sign_image(
        data, hardware_id="ADAS-HW-01", software_id="ADAS-APP", version=version, release_counter=counter,
        load_address=0, key=signing_key("image"),
    )  # fmt: skip


class TroubledLink:
    """`DiagLink` that lets `trouble` happen in the place of one answer to 0x36."""

    def __init__(self, car: Car, inner: DiagLink, at_block: int, trouble: Trouble) -> None:
        self._car, self._inner, self._blocks_left, self._trouble = car, inner, at_block, trouble
        self._due = False

    async def send(self, payload: bytes) -> None:
        await self._inner.send(payload)
        if payload[0] == TRANSFER_DATA:
            self._blocks_left -= 1
            self._due = self._blocks_left == 0

    async def receive(self, start_within_ns: int) -> bytes:
        if self._due:
            self._due = False
            await self._trouble(self._car)
            raise AnswerTimeout("the answer was lost")
        return await self._inner.receive(start_within_ns)

    def discard(self) -> int:
        return self._inner.discard()


class Car:
    """The car with one ADAS controller, and a tester with its recipe."""

    def __init__(self, world: World, vehicle: SimVehicle) -> None:
        self.world, self.vehicle = world, vehicle
        self.node, self.flash = vehicle.nodes["adas"], vehicle.memory("adas").flash

    def wear(self) -> list[int]:
        """Return how often each sector that the image was downloaded to was erased."""
        return [self.flash.wear.get(("image:staging", sector), 0) for sector in range(SECTORS)]


def flashed(trouble: Trouble, at_block: int, change: Callable[[Recipe], Recipe]) -> tuple[FlashReport, Car]:
    """Flash 2.0.0 over 1.0.0 with that trouble; returns the report and the car at the end."""
    loop = VirtualLoop()
    world = World(loop, 1)
    world.on_crash = loop.stop
    files = load_bench(data_root() / "benches" / "sim_adas.toml")
    ecu = files.vehicle.ecus[0]
    bus = SimCanBus(world, "can0", 500_000)
    old, new = image("1.0.0", 1), image("2.0.0", 2)
    installed = {"adas": (old.header.encode(), old.data)}
    vehicle = build_vehicle(
        world, files.vehicle.spec(), {"can0": bus}, public_key("image"), files.personality_files, installed
    )
    car = Car(world, vehicle)
    lives: list[Incarnation] = []
    Node(world, "tester", lives.append).power_on()
    port = bus.attach(lives[0])
    link = TroubledLink(car, own_link(lives[0], port, ecu.address(), files.vehicle.habits(ecu)), at_block, trouble)
    functional = functional_link(files.vehicle, "can0", port)
    job = FlashJob(ecu="adas", image=new.data, header=new.header.encode(), version="2.0.0", software_id="ADAS-APP")

    async def main() -> FlashReport:
        vehicle.power_on()
        recipe = change(files.recipes["adas"])
        return await flash_ecu(job, link, functional, recipe, lives[0], world.points)

    try:
        report = loop.run(main())
        assert car.flash.read("image:A", 0, IMAGE_BYTES) == new.data
        assert [car.flash.wear.get(("image:A", sector), 0) for sector in range(COPIED_SECTORS)] == [1] * COPIED_SECTORS
        return report, car
    finally:
        loop.discard()
        if world.crash is not None:
            raise world.crash


async def reset(car: Car) -> None:
    """A watchdog: the supply stays."""
    car.node.reset()


async def power_loss(car: Car) -> None:
    car.node.cut("test")
    await car.world.clock.sleep_ns(NS_PER_S // 5)
    car.node.power_on()


async def lost_answer(_car: Car) -> None:
    """Nothing happens to the ECU."""


async def unnoticed_reset(car: Car) -> None:
    """The tester learns of the reset only long after the ECU is up again."""
    car.node.reset()
    await car.world.clock.sleep_ns(8 * NS_PER_S)


def no_repeats(recipe: Recipe) -> Recipe:
    """Let a lost answer end the try at once, as a restarted tester would see it."""
    return recipe.model_copy(update={"retries": recipe.retries.model_copy(update={"block": 0})})


def unchanged(recipe: Recipe) -> Recipe:
    return recipe


def from_scratch(recipe: Recipe) -> Recipe:
    routines = recipe.routines.model_copy(update={"report_progress": None})
    return no_repeats(recipe).model_copy(update={"routines": routines})


@pytest.mark.parametrize("trouble", [reset, power_loss, lost_answer, unnoticed_reset], ids=lambda each: each.__name__)
@pytest.mark.parametrize("at_block", [2, 9, 16])
def test_transfer_goes_on_and_no_sector_is_erased_twice_unless_a_unit_was_torn(trouble: Any, at_block: int) -> None:
    """Reset and cut come while the block is being programmed: the sector of the torn unit alone is erased again."""
    report, car = flashed(trouble, at_block, no_repeats)
    assert report.version == "2.0.0"
    assert report.counts["job_retry"] >= 1
    assert sum(car.wear()) <= SECTORS + (trouble is not lost_answer)
    assert max(car.wear()) <= 2
    if at_block > 8:
        assert report.counts["resumed_transfer"] >= 1
        assert report.sent_bytes < IMAGE_BYTES * 3 // 2


def test_lost_answer_is_first_asked_again_with_the_same_counter() -> None:
    report, car = flashed(lost_answer, 9, unchanged)
    assert (report.counts["block_repeat"], report.counts["job_retry"], report.downloads) == (1, 0, 1)
    assert car.wear() == [1] * SECTORS


def test_ecu_that_is_not_asked_is_erased_and_sent_everything_again() -> None:
    """What resuming saves, seen by the same trouble without it."""
    report, car = flashed(lost_answer, 9, from_scratch)
    assert car.wear() == [2] * SECTORS
    assert report.sent_bytes > IMAGE_BYTES * 5 // 4
