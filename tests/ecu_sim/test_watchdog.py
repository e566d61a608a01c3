"""The watchdog: what stands still is reset after its window, what crashes at once; both are counted in NVM."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.clock import NS_PER_MS
from bench.wire.image_behaviour import Behaviour
from tests.ecu_sim.bad_images import bad_image, starts

BODY, GATEWAY = "body_controller", "gateway"


async def run_bad(car: Any, kind: Behaviour, after_ms: int) -> None:
    """Put a bad image in place as the factory would, and power up."""
    image = bad_image(car, kind, after_ms)
    car.vehicle.install("ecu", image.header.encode(), image.data)
    car.node.power_on()


def test_hanging_application_is_silent_until_the_watchdog_bites(drive: Any) -> None:
    async def story(car: Any) -> None:
        await run_bad(car, Behaviour.HANG, 150)
        await car.wait_ms(120)
        assert await car.version() == "2.0.0"
        (first,) = car.world.recorder.executions
        await car.wait_ms(100)
        assert await car.ask(bytes.fromhex("3E00"), 40) is None
        assert car.node.hangs
        await car.wait_ms(130)
        (ended, *_) = car.world.recorder.executions
        assert (ended.end_cause, ended.ended_t_ns - first.t_ns) == ("hangs", 150 * NS_PER_MS)
        boots = [b for b in car.world.recorder.boots if b.stage == "boot_manager"]
        assert boots[1].t_ns - ended.ended_t_ns == 100 * NS_PER_MS
        assert starts(car)[:2] == ["start", "watchdog"]

    drive(story, installed=False, cold=True)


def test_crashing_application_is_reset_at_that_instant(drive: Any) -> None:
    async def story(car: Any) -> None:
        await run_bad(car, Behaviour.CRASH, 50)
        await car.wait_ms(95)
        (first, *_) = car.world.recorder.executions
        assert (first.end_cause, first.ended_t_ns - first.t_ns) == ("crash", 50 * NS_PER_MS)
        assert starts(car) == ["start", "crash"]
        assert car.memory.crashes.in_row == (1, 0)

    drive(story, installed=False, cold=True)


def test_power_cut_of_a_hanging_ecu_is_no_bite(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.vehicle.hang("ecu")
        await car.wait_ms(50)
        car.node.cut("test")
        car.node.power_on()
        await car.wait_ms(200)
        assert starts(car) == ["start", "start"]
        assert car.memory.crashes.total == 0
        assert [p.on for p in car.world.recorder.power if p.part == "ecu"] == [True, False, True]

    drive(story)


def test_bite_that_was_due_before_a_power_cut_does_not_reset_the_next_hang_early(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.vehicle.hang("ecu")
        await car.wait_ms(50)
        car.node.cut("test")
        car.node.power_on()
        await car.wait_ms(40)
        begin_ns = car.world.clock.now_ns()
        car.vehicle.hang("ecu")
        await car.wait_ms(150)
        bitten = [b.t_ns for b in car.world.recorder.boots if b.reason == "watchdog"]
        assert bitten == [begin_ns + 100 * NS_PER_MS]

    drive(story)


def test_hanging_bootloader_is_reset_and_counts_against_no_image(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        car.vehicle.hang("ecu")
        await car.wait_ms(200)
        assert starts(car)[-1] == "watchdog"
        assert (car.memory.crashes.in_row, car.memory.crashes.total) == ((0, 0), 1)
        assert await car.version() == "1.0.0"

    drive(story)


def test_hang_in_the_middle_of_an_erase_tears_the_sector_and_the_next_flash_succeeds(drive: Any) -> None:
    async def story(car: Any) -> None:
        image = car.image()
        await car.programming()
        car.tester.put(bytes.fromhex("3101FF00440000000000001000"))
        await car.wait_ms(250)
        car.vehicle.hang("ecu")
        await car.wait_ms(300)
        assert any(car.memory.flash.torn(f"{kind}:A") for kind in ("mark", "header", "image"))
        assert car.stages()[-1] == ("bootloader", None)
        await car.flash(image)
        assert await car.version() == "2.0.0"

    drive(story)


def test_count_survives_power_loss_and_is_forgiven_once_the_image_is_stable(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.vehicle.crash("ecu")
        await car.wait_ms(100)
        car.node.cut("test")
        await car.awake()
        assert car.memory.crashes.in_row == (1, 0)
        await car.wait_ms(60_000)
        assert (car.memory.crashes.in_row, car.memory.crashes.total) == ((0, 0), 1)

    drive(story)


@pytest.mark.parametrize("after_us", [0, 1, 100, 250, 499, 501, 600, 1000, 1500])
def test_power_cut_while_the_count_is_written_leaves_the_old_or_the_new_count(drive: Any, after_us: int) -> None:
    async def story(car: Any) -> None:
        car.vehicle.crash("ecu")
        await car.wait_ms(20)
        await car.world.clock.sleep_ns(after_us * 1000)
        car.node.cut("test")
        assert car.memory.crashes.in_row[0] == (1 if after_us > 500 else 0)
        await car.awake()
        assert await car.version() == "1.0.0"

    drive(story)


def test_healthy_boot_writes_no_counter(drive: Any) -> None:
    async def story(car: Any) -> None:
        before = len(car.world.recorder.boots)
        await car.good("1101")
        await car.wait_ms(70_000)
        assert len(car.world.recorder.boots) > before
        assert b"nvm.write" not in b"".join(car.world.journal.lines())

    drive(story)
