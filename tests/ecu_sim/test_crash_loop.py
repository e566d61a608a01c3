"""Crash loops: one bank waits in its bootloader, A/B goes back to the other bank where the floor allows it."""

from __future__ import annotations

from typing import Any

import pytest

from bench.wire.image_behaviour import Behaviour
from ecu_sim.memory.dtcs import Dtc, DtcMemory, Status
from tests.ecu_sim.bad_images import bad_image, starts

BODY, GATEWAY = "body_controller", "gateway"
BAD = [(Behaviour.CRASH, 0), (Behaviour.CRASH, 200), (Behaviour.HANG, 0), (Behaviour.HANG, 200)]


def crash_loop_dtc(car: Any) -> Status | None:
    stored = DtcMemory(car.node.incarnation, car.memory.dtc_block).stored
    return next((dtc.status for dtc in stored if dtc.code == Dtc.CRASH_LOOP), None)


async def flash_bad(car: Any, kind: Behaviour, after_ms: int, **more: Any) -> None:
    """Flash a signed but bad image, and wait until it has crashed often enough."""
    await car.put_image(bad_image(car, kind, after_ms, **more))
    assert await car.good("31010202") == bytes.fromhex("7101020200")
    if car.personality == GATEWAY:
        await car.good("31010203")
    await car.good("1101")
    await car.wait_ms(2_000)


@pytest.mark.parametrize(("kind", "after_ms"), BAD)
def test_single_bank_waits_in_its_bootloader_with_a_dtc_and_can_be_flashed(
    drive: Any, kind: Behaviour, after_ms: int
) -> None:
    async def story(car: Any) -> None:
        await flash_bad(car, kind, after_ms)
        assert starts(car).count("crash" if kind is Behaviour.CRASH else "watchdog") == 3
        assert car.stages()[-1] == ("bootloader", None)
        assert await car.version() is None
        assert crash_loop_dtc(car) is not None
        await car.flash(car.image("3.0.0", 3))
        assert await car.version() == "3.0.0"
        assert Status.TEST_FAILED not in (crash_loop_dtc(car) or Status.TEST_FAILED)

    drive(story, BODY)


def test_crash_loop_outlives_a_power_cut(drive: Any) -> None:
    async def story(car: Any) -> None:
        await flash_bad(car, Behaviour.CRASH, 0)
        car.node.cut("test")
        await car.awake()
        assert car.stages()[-1] == ("bootloader", None)
        assert "crashed too often" in car.world.recorder.boots[-1].reason

    drive(story, BODY)


@pytest.mark.parametrize(("kind", "after_ms"), BAD)
def test_trial_that_crashes_is_given_up_for_the_other_bank(drive: Any, kind: Behaviour, after_ms: int) -> None:
    async def story(car: Any) -> None:
        await flash_bad(car, kind, after_ms)
        assert [bank for stage, bank in car.stages() if stage == "application"] == ["A", "B", "B", "B", "A"]
        assert await car.version() == "1.0.0"
        assert car.memory.nvm.record.trial_bank is None
        assert car.memory.nvm.record.release_floor == 1
        assert crash_loop_dtc(car) is not None

    drive(story, GATEWAY)


def test_confirmed_image_that_begins_to_crash_goes_back_to_a_bank_that_the_floor_allows(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image("1.1.0", 1))
        await car.confirm()
        for _ in range(3):
            car.vehicle.crash("ecu")
            await car.wait_ms(100)
        assert await car.version() == "1.0.0"
        assert car.memory.nvm.record.active_bank == "A"

    drive(story, GATEWAY)


def test_confirmed_image_that_begins_to_crash_never_goes_below_the_floor(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image("2.0.0", 2))
        await car.confirm()
        for _ in range(3):
            car.vehicle.crash("ecu")
            await car.wait_ms(100)
        assert car.stages()[-1] == ("bootloader", None)
        assert crash_loop_dtc(car) is not None
        await car.flash(car.image("3.0.0", 3))
        assert await car.version() == "3.0.0"

    drive(story, GATEWAY)


def test_two_banks_that_crash_end_in_the_bootloader(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.flash(car.image("1.1.0", 1))
        await car.confirm()
        for _ in range(6):
            car.vehicle.crash("ecu")
            await car.wait_ms(100)
        assert car.stages()[-1] == ("bootloader", None)
        assert car.memory.crashes.in_row == (3, 3)

    drive(story, GATEWAY)


def test_power_cuts_between_crashes_do_not_hide_the_loop(drive: Any) -> None:
    async def story(car: Any) -> None:
        for _ in range(3):
            car.vehicle.crash("ecu")
            await car.wait_ms(100)
            car.node.cut("test")
            await car.awake()
        assert car.stages()[-1] == ("bootloader", None)

    drive(story, BODY)


def test_release_floor_does_not_rise_while_a_trial_crashes_or_runs_but_when_it_is_confirmed(drive: Any) -> None:
    async def story(car: Any) -> None:
        await flash_bad(car, Behaviour.CRASH, 100)
        assert car.memory.nvm.record.release_floor == 1
        await car.flash(car.image("3.0.0", 3))
        assert (await car.version(), car.memory.nvm.record.release_floor) == ("3.0.0", 1)
        await car.confirm()
        assert car.memory.nvm.record.release_floor == 3

    drive(story, GATEWAY)
