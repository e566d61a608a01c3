"""Lock, unlock, wipe and factory reset of the head unit: what a tester sees, and what power cuts leave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bench.core.clock import NS_PER_MS
from bench.core.points import FaultPoint
from ecu_sim.memory.user_area import UserArea
from ecu_sim.personality.user_data import USER_REGION
from tests.ecu_sim.conftest import Car

Drive = Callable[..., Any]
LOCK, UNLOCK, WIPE, FACTORY_RESET = "31 01 02 10", "31 01 02 11", "31 01 02 12", "31 01 02 13"
WIPE_RESULTS = "31 03 02 12"
SECTORS, SECTOR_MS = 16, 150
WHOLE_MS = SECTORS * SECTOR_MS + 100


def head_unit(drive: Drive, story: Any, **options: Any) -> Any:
    return drive(story, "head_unit", **options)


def area(car: Car) -> UserArea:
    found = car.memory.user_area
    assert found is not None
    return found


async def state(car: Car) -> tuple[int, int, int, int]:
    """Return locked, job, held, percent."""
    answer = await car.good("22 D1 00")
    locked, job, held, percent = answer[3:7]
    return locked, job, held, percent


async def counts(car: Car) -> tuple[int, int]:
    """Return wipes and factory resets."""
    answer = await car.good("22 D1 00")
    return int.from_bytes(answer[7:9], "big"), int.from_bytes(answer[9:11], "big")


def blank(car: Car) -> bool:
    return not any(car.memory.flash.cells(USER_REGION, 0, 0x10_0000))


def test_new_head_unit_holds_data_and_is_neither_locked_nor_at_work(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        return await state(car), blank(car), car.memory.flash.read(USER_REGION, 0, 16).hex()

    first, second = head_unit(drive, story), head_unit(drive, story, seed=2)
    assert first[:2] == ((0, 0, 0, 100), False)
    assert first == second


def test_wipe_runs_in_the_background_tells_its_progress_and_leaves_nothing(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        started = await car.hex(WIPE)
        await car.wait_ms(800)
        under_way = await car.hex(WIPE_RESULTS), await state(car), await car.hex("3E 00")
        await car.wait_ms(WHOLE_MS)
        await car.unlock_application()
        return started, under_way, await car.hex(WIPE_RESULTS), await state(car), await counts(car), blank(car)

    started, under_way, done, after, counted, is_blank = head_unit(drive, story)
    assert started == "71 01 02 12 01 00"
    assert under_way == ("71 03 02 12 01 1F", (0, 1, 1, 31), "7E 00")
    assert (done, after, counted, is_blank) == ("71 03 02 12 00 64", (0, 0, 2, 100), (1, 0), True)


def test_results_of_what_never_ran_are_a_sequence_error_and_stop_is_unknown(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        return [await car.hex(pdu) for pdu in (WIPE_RESULTS, "31 03 02 13", "31 02 02 12", "31 03 02 10", f"{WIPE} 00")]

    assert head_unit(drive, story) == ["7F 31 24", "7F 31 24", "7F 31 12", "7F 31 24", "7F 31 13"]


def test_while_a_job_runs_no_other_begins_and_the_unit_refuses_to_be_programmed(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        await car.good(WIPE)
        told = [await car.hex(pdu) for pdu in (WIPE, FACTORY_RESET, LOCK, "10 02", "31 01 02 07")]
        await car.wait_ms(WHOLE_MS)
        await car.unlock_application()
        return told, await car.hex("31 01 02 07"), await car.hex("10 02")

    told, conditions, programming = head_unit(drive, story)
    assert told == ["7F 31 22", "7F 31 22", "7F 31 22", "7F 10 22", "71 01 02 07 00 31"]
    assert conditions == "71 01 02 07 00"
    assert (programming or "")[:5] == "50 02"


def test_locked_unit_refuses_all_but_unlock_wipe_sessions_and_reading_until_it_is_unlocked(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        assert await car.hex(LOCK) == "71 01 02 10 00"
        car.node.cut("test")
        car.node.power_on()
        await car.wait_ms(600)
        await car.unlock_application()
        asked = ("10 02", "28 00 01", "85 02", "14 FF FF FF", "31 01 02 04", FACTORY_RESET, LOCK)
        refused = [await car.hex(pdu) for pdu in asked]
        held = await state(car), await car.hex("3E 00"), (await car.good("22 F1 90"))[:1]
        unlocked = await car.hex(UNLOCK), await car.hex("28 00 01"), await car.hex("10 02")
        return refused, held, unlocked

    refused, held, unlocked = head_unit(drive, story)
    assert [each[-2:] for each in refused] == ["22"] * len(refused)
    assert [each[:2] for each in refused] == ["7F"] * len(refused)
    assert held == ((1, 0, 0, 100), "7E 00", b"\x62")
    assert unlocked[:2] == ("71 01 02 11 00", "68 00")
    assert unlocked[2][:5] == "50 02"


def test_locked_unit_can_be_wiped_and_stays_locked(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        await car.good(LOCK)
        await car.good(WIPE)
        await car.wait_ms(WHOLE_MS)
        return await state(car), blank(car)

    assert head_unit(drive, story) == ((1, 0, 2, 100), True)


def test_factory_reset_empties_the_partition_and_leaves_the_software_as_it_is(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        started = await car.hex(FACTORY_RESET)
        await car.wait_ms(WHOLE_MS)
        await car.unlock_application()
        done = await car.hex("31 03 02 13"), await car.hex(WIPE_RESULTS)
        return started, done, await state(car), await counts(car), await car.version(), blank(car)

    started, done, after, counted, version, is_blank = head_unit(drive, story)
    assert started == "71 01 02 13 01 00"
    assert done == ("71 03 02 13 00 64", "7F 31 24")
    assert (after, counted, version, is_blank) == ((0, 0, 2, 100), (1, 1), "1.0.0", True)


@pytest.mark.parametrize("routine", [WIPE, FACTORY_RESET])
@pytest.mark.parametrize("where", [":before", ":torn=0", ":after"])
@pytest.mark.parametrize("n", range(1, SECTORS + 1))
def test_power_cut_at_every_erase_leaves_a_job_that_the_next_boot_finishes(
    drive: Drive, routine: str, where: str, n: int
) -> None:
    async def story(car: Car) -> Any:
        car.world.points.arm(FaultPoint.parse(f"power.ecu:ecu:erase:{n}{where}"), lambda: car.node.cut("test"))
        await car.unlock_application()
        await car.ask(bytes.fromhex(routine))
        await car.wait_ms(WHOLE_MS)
        assert not car.node.powered
        torn = car.memory.flash.torn(USER_REGION)
        pending = area(car).record
        car.node.power_on()
        await car.wait_ms(100)
        resumed = await state(car)
        await car.wait_ms(WHOLE_MS)
        return pending.job, torn, resumed, await state(car), await counts(car), blank(car), await car.version()

    pending, torn, resumed, after, counted, is_blank, version = head_unit(drive, story)
    job = 1 if routine == WIPE else 2
    assert pending == job
    assert bool(torn) == (where == ":torn=0")
    assert resumed[1] == job
    assert (after, is_blank, version) == ((0, 0, 2, 100), True, "1.0.0")
    assert counted == (1, job - 1)


@pytest.mark.parametrize("after_us", range(0, 4_000, 250))
def test_power_cut_while_the_job_is_written_down_or_crossed_out_leaves_all_or_nothing_to_do(
    drive: Drive, after_us: int
) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        begin_ns = car.world.clock.now_ns()
        car.tester.put(bytes.fromhex(WIPE))
        await car.world.clock.sleep_ns(after_us * 1_000 + NS_PER_MS // 10)
        car.node.cut("test")
        untouched = car.memory.flash.erases == 0
        job = area(car).record.job
        car.node.power_on()
        await car.wait_ms(300 + WHOLE_MS)
        assert car.world.clock.now_ns() > begin_ns
        return job, untouched, await state(car), await counts(car)

    job, untouched, after, counted = head_unit(drive, story)
    if job:
        assert (after, counted) == ((0, 0, 2, 100), (1, 0))
    else:
        assert (untouched, after, counted) == (True, (0, 0, 0, 100), (0, 0))


def test_power_cut_in_every_boot_of_a_resumed_wipe_ends_in_a_blank_partition_all_the_same(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        await car.good(WIPE)
        cuts = 0
        while area(car).record.job and cuts < 100:
            car.node.cut("test")
            car.node.power_on()
            await car.wait_ms(400)
            cuts += 1
        return cuts, await state(car), await counts(car), blank(car)

    cuts, after, counted, is_blank = head_unit(drive, story)
    assert 5 < cuts < 100
    assert (after, counted, is_blank) == ((0, 0, 2, 100), (1, 0), True)


def test_sector_that_cannot_be_erased_is_told_as_failed_and_sets_a_dtc(drive: Drive, changed_ecus: Any) -> None:
    root = changed_ecus("erase_ms = 150\n", "erase_ms = 150\nendurance_cycles = 1\n")

    async def story(car: Car) -> Any:
        await car.unlock_application()
        await car.good(WIPE)
        await car.wait_ms(WHOLE_MS)
        await car.unlock_application()
        await car.good(WIPE)
        await car.wait_ms(WHOLE_MS)
        await car.unlock_application()
        return await car.hex(WIPE_RESULTS), await state(car)

    results, after = head_unit(drive, story, root=root)
    assert results == "71 03 02 12 02 00"
    assert after[1] == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("size_bytes = 0x100000", "size_bytes = 0x100100", "multiple of flash.sector_bytes"),
        ("content_bytes = 0x30000", "content_bytes = 0x200000", "content_bytes must be at most"),
        ("lock_routine = 0x0210", "lock_routine = 0x0211", "must differ"),
        ("base_address = 0x20000000", "base_address = 0x13FF0000", "overlaps"),
    ],
)
def test_wrong_user_data_section_is_refused_by_name(
    drive: Drive, changed_ecus: Any, old: str, new: str, words: str
) -> None:
    async def story(_car: Car) -> None:
        raise AssertionError("the personality was taken")

    with pytest.raises(Exception, match=words):
        head_unit(drive, story, root=changed_ecus(old, new))


def test_kind_of_ecu_without_user_data_has_none_of_the_routines(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        return [await car.hex(pdu) for pdu in (LOCK, UNLOCK, WIPE, FACTORY_RESET, "22 D1 00")]

    assert drive(story, "gateway") == ["7F 31 31"] * 4 + ["7F 22 31"]


def test_snapshot_of_the_memory_holds_lock_job_and_data(drive: Drive) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        await car.good(LOCK)
        kept = car.memory.snapshot()
        await car.good(WIPE)
        await car.wait_ms(WHOLE_MS)
        wiped = await state(car)
        car.node.cut("test")
        car.memory.restore(kept)
        car.node.power_on()
        await car.wait_ms(300)
        return wiped, await state(car), await counts(car), blank(car)

    wiped, restored, counted, is_blank = head_unit(drive, story)
    assert wiped == (1, 0, 2, 100)
    assert (restored, counted, is_blank) == ((1, 0, 0, 100), (0, 0), False)


CONFIGURED, WRITE_IT, FACTORY_VALUE = "22 04 00", "2E 04 00 55 53 65 6E", "62 04 00 45 55 65 6E"


async def configured(car: Car) -> str | None:
    return await car.hex(CONFIGURED)


@pytest.mark.parametrize(("routine", "kept"), [(WIPE, True), (FACTORY_RESET, False)])
def test_factory_reset_alone_restores_the_configuration(drive: Drive, routine: str, kept: bool) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        await car.good(WRITE_IT)
        written = await configured(car)
        await car.good(routine)
        await car.wait_ms(WHOLE_MS)
        return written, await configured(car)

    written, after = head_unit(drive, story)
    assert written == "62 04 00 55 53 65 6E"
    assert after == (written if kept else FACTORY_VALUE)


@pytest.mark.parametrize("late_us", range(0, 6_000, 500))
def test_power_cut_while_the_configuration_is_restored_is_finished_by_the_next_boot(drive: Drive, late_us: int) -> None:
    async def story(car: Car) -> Any:
        await car.unlock_application()
        await car.good(WRITE_IT)
        clock = car.world.clock

        def erased() -> None:
            clock.call_at_ns(clock.now_ns() + late_us * 1_000, car.node.cut, "test")

        car.world.points.arm(FaultPoint.parse(f"power.ecu:ecu:erase:{SECTORS}:after"), erased)
        await car.good(FACTORY_RESET)
        await car.wait_ms(WHOLE_MS)
        assert not car.node.powered
        car.node.power_on()
        await car.wait_ms(300 + WHOLE_MS)
        return await state(car), await counts(car), await configured(car), blank(car)

    assert head_unit(drive, story) == ((0, 0, 2, 100), (1, 1), FACTORY_VALUE, True)
