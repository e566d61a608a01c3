"""Power cuts inside a boot: at each stage, and at every instant while the boot manager writes its NVM."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.clock import NS_PER_US
from bench.core.points import FaultPoint
from bench.wire.image_behaviour import Behaviour
from tests.ecu_sim.bad_images import bad_image

BODY, GATEWAY = "body_controller", "gateway"
STAGES = ["", ":torn=0", ":torn=1", ":after"]


def cut_at_boot(car: Any, n: int, where: str) -> None:
    car.world.points.arm(FaultPoint.parse(f"power.ecu:ecu:boot:{n}{where}"), lambda: car.node.cut("test"))


@pytest.mark.parametrize("where", STAGES)
@pytest.mark.parametrize("personality", [BODY, GATEWAY])
def test_cut_at_each_stage_of_an_ordinary_boot_changes_nothing(drive: Any, personality: str, where: str) -> None:
    async def story(car: Any) -> None:
        record = car.memory.nvm.record
        cut_at_boot(car, 2, where)
        await car.good("1101")
        await car.wait_ms(200)
        assert not car.node.powered
        await car.awake()
        assert await car.version() == "1.0.0"
        assert car.memory.nvm.record == record

    drive(story, personality)


@pytest.mark.parametrize("where", STAGES)
@pytest.mark.parametrize("personality", [BODY, GATEWAY])
def test_cut_at_each_stage_of_the_way_into_programming_leaves_an_ecu_that_can_be_flashed(
    drive: Any, personality: str, where: str
) -> None:
    async def story(car: Any) -> None:
        cut_at_boot(car, 2, where)
        await car.good("1003")
        await car.good("1002")
        await car.wait_ms(200)
        assert not car.node.powered
        await car.awake()
        assert await car.version() == "1.0.0", "what was asked for is forgotten with the power"
        await car.flash(car.image())
        assert await car.version() == "2.0.0"

    drive(story, personality)


@pytest.mark.parametrize("after_us", [*range(19_500, 26_000, 250)])
def test_cut_at_any_instant_of_a_trial_boot_counts_it_or_not(drive: Any, after_us: int) -> None:
    """The NVM is written after verification: 64 bytes, 2 ms. An uncounted boot never ran the image."""

    async def story(car: Any) -> None:
        await car.put_image(car.image())
        await car.good("31010202")
        await car.good("31010203")
        car.node.cut("test")
        before = len(car.world.recorder.executions)
        car.node.power_on()
        await car.world.clock.sleep_ns(after_us * NS_PER_US)
        car.node.cut("test")
        ran = len(car.world.recorder.executions) - before
        counted = car.memory.nvm.record.trial_boots
        assert counted in (0, 1)
        assert ran <= counted
        for _ in range(3 - counted):
            await car.awake()
            assert await car.version() == "2.0.0"
            car.node.cut("test")
        await car.awake()
        assert await car.version() == "1.0.0", "given up after three boots, counted or not"

    drive(story, GATEWAY)


@pytest.mark.parametrize("after_us", [*range(19_500, 26_000, 250)])
def test_cut_at_any_instant_of_the_boot_that_gives_a_crashing_image_up_ends_in_the_same_place(
    drive: Any, after_us: int
) -> None:
    async def story(car: Any) -> None:
        await car.put_image(bad_image(car, Behaviour.CRASH, 30))
        await car.good("31010202")
        await car.good("31010203")
        await car.good("1101")
        while car.memory.crashes.in_row[1] < 2:
            await car.wait_ms(1)
        while not any(run.end_cause == "crash" for run in car.world.recorder.executions[3:]):
            await car.wait_ms(1)
        await car.world.clock.sleep_ns(after_us * NS_PER_US)
        car.node.cut("test")
        await car.awake()
        await car.wait_ms(1_000)
        assert await car.version() == "1.0.0"
        assert car.memory.nvm.record.trial_bank is None
        assert car.memory.nvm.record.release_floor == 1

    drive(story, GATEWAY)
