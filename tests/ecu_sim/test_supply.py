"""The supply of an ECU: brown-out with hysteresis, capacitor, undervoltage DTC, refusal of programming."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bench.config import data_root
from bench.core.clock import NS_PER_MS
from bench.core.errors import InputError
from bench.core.waveform import NOMINAL_MV, Waveform
from bench.description.supply import load_profile
from ecu_sim.memory.dtcs import Dtc, DtcMemory, Status
from ecu_sim.memory.flash import EccError
from ecu_sim.personality.personality import load_personality

PROFILES = sorted((data_root() / "supply").glob("*.toml"))


def waveform(*points: tuple[float, int]) -> Waveform:
    """Points in (ms, mV); the voltage at rest goes before and after."""
    return Waveform(tuple((round(ms * NS_PER_MS), mv) for ms, mv in points))


def power(car: Any) -> list[tuple[float, bool, str]]:
    """What happened to the ECU's power: ms, on, cause."""
    return [(p.t_ns / NS_PER_MS, p.on, p.cause) for p in car.world.recorder.power if p.part == "ecu"]


def supplied(car: Any, *points: tuple[float, int], name: str = "test") -> None:
    car.vehicle.apply_supply("ecu", waveform(*points), name)


async def undervoltage(car: Any) -> Status | None:
    """The status byte of the undervoltage DTC in NVM."""
    stored = DtcMemory(car.node.incarnation, car.memory.dtc_block).stored
    return next((dtc.status for dtc in stored if dtc.code == Dtc.UNDERVOLTAGE), None)


def test_brown_out_resets_below_one_level_and_boots_from_a_higher_one_on(drive: Any) -> None:
    async def story(car: Any) -> None:
        begin_ms = car.world.clock.now_ns() / NS_PER_MS
        supplied(car, (0, 13_500), (100, 3_500), (200, 5_500), (300, 5_500), (300, 13_500), name="dent")
        await car.wait_ms(290)
        assert car.node.powered is False, "5.5 V is above the reset level and below the level to boot"
        await car.wait_ms(200)
        (_, _, _), (off_ms, _, off), (on_ms, _, on) = power(car)
        assert off_ms - begin_ms == pytest.approx(85, abs=0.001)
        assert (off, on) == ("brown-out in dent", "voltage is back")
        assert on_ms - begin_ms == 300
        assert await car.version() == "1.0.0"

    drive(story)


def test_voltage_just_above_the_reset_level_resets_nothing(drive: Any) -> None:
    async def story(car: Any) -> None:
        supplied(car, (0, 13_500), (10, 5_000), (50, 5_000), (60, 13_500))
        await car.wait_ms(100)
        assert [on for _, on, _ in power(car)] == [True]

    drive(story)


@pytest.fixture
def held(changed_ecus: Any) -> Path:
    """ECUs with a capacitor of 8 ms."""
    root: Path = changed_ecus("[boot]", "[supply]\nhold_ms = 8\n\n[boot]")
    return root


@pytest.mark.parametrize(("away_ms", "dies"), [(7, False), (9, True)])
def test_interruption_is_noticed_once_the_capacitor_is_empty(drive: Any, held: Path, away_ms: int, dies: bool) -> None:
    async def story(car: Any) -> None:
        begin_ms = car.world.clock.now_ns() / NS_PER_MS
        supplied(car, (0, 13_500), (1, 13_500), (1, 0), (1 + away_ms, 0), (1 + away_ms, 13_500))
        await car.wait_ms(100)
        assert [round(ms - begin_ms) for ms, _, _ in power(car)[1:]] == ([9, 1 + away_ms] if dies else [])
        assert await car.version() == "1.0.0"

    drive(story, root=held)


def test_capacitor_bridges_each_of_two_dips_by_itself(drive: Any, held: Path) -> None:
    async def story(car: Any) -> None:
        dips = [(at + after, mv) for at in (1, 8.1) for after, mv in ((0, 13_500), (0, 4_999), (7, 4_999), (7, 13_500))]
        supplied(car, *dips)
        await car.wait_ms(100)
        assert [on for _, on, _ in power(car)] == [True]

    drive(story, root=held)


@pytest.mark.parametrize(("away_ms", "dies"), [(7, False), (9, True)])
def test_cut_line_is_noticed_once_the_capacitor_is_empty(drive: Any, held: Path, away_ms: int, dies: bool) -> None:
    async def story(car: Any) -> None:
        begin_ms = car.world.clock.now_ns() / NS_PER_MS
        car.vehicle.cut_power("ecu", "pulled")
        await car.wait_ms(away_ms)
        car.vehicle.restore_power("ecu", "plugged")
        expected = [(8.0, False, "pulled"), (9.0, True, "plugged")] if dies else []
        assert [(ms - begin_ms, on, cause) for ms, on, cause in power(car)[1:]] == expected

    drive(story, root=held)


def test_cut_line_without_capacitor_takes_the_power_at_that_very_instant(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.vehicle.cut_power("ecu", "pulled")
        assert car.node.powered is False
        car.vehicle.restore_power("ecu", "plugged")
        assert [(on, cause) for _, on, cause in power(car)[1:]] == [(False, "pulled"), (True, "plugged")]

    drive(story)


def test_cut_line_stays_dark_while_the_profile_upon_it_recovers(drive: Any) -> None:
    async def story(car: Any) -> None:
        supplied(car, (0, 13_500), (0, 0), (50, 0), (50, 13_500))
        car.vehicle.cut_power("ecu", "pulled")
        await car.wait_ms(100)
        assert car.node.powered is False
        car.vehicle.restore_power("ecu", "plugged")
        assert car.node.powered is True

    drive(story)


def test_line_closed_at_too_low_a_voltage_boots_only_once_it_rose(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.vehicle.cut_power("ecu", "pulled")
        supplied(car, (0, 5_500), (50, 5_500), (50, 13_500))
        car.vehicle.restore_power("ecu", "plugged")
        await car.wait_ms(49)
        assert car.node.powered is False
        await car.wait_ms(1)
        assert car.node.powered is True

    drive(story)


def test_undervoltage_sets_its_dtc_after_the_debounce_and_passes_when_it_is_over(drive: Any) -> None:
    async def story(car: Any) -> None:
        supplied(car, (0, 8_000), (600, 8_000), (600, 13_500))
        await car.wait_ms(499)
        assert await undervoltage(car) is None
        await car.wait_ms(50)
        status = await undervoltage(car)
        assert status is not None
        assert Status.TEST_FAILED | Status.CONFIRMED in status
        await car.wait_ms(1000)
        status = await undervoltage(car)
        assert status is not None
        assert Status.TEST_FAILED not in status
        assert Status.CONFIRMED in status

    drive(story)


def test_undervoltage_sets_its_dtc_in_the_bootloader_too(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        supplied(car, (0, 8_000))
        await car.wait_ms(600)
        assert await undervoltage(car) is not None

    drive(story)


def test_later_profile_takes_the_place_of_an_earlier_one(drive: Any) -> None:
    async def story(car: Any) -> None:
        supplied(car, (0, 13_500), (50, 13_500), (50, 0), (80, 0), (80, 13_500))
        await car.wait_ms(40)
        supplied(car, (0, 13_500), (50, 12_000))
        await car.wait_ms(100)
        assert [on for _, on, _ in power(car)] == [True]

    drive(story)


def test_undervoltage_shorter_than_the_debounce_sets_no_dtc(drive: Any) -> None:
    async def story(car: Any) -> None:
        supplied(car, (0, 8_000), (400, 8_000), (400, 13_500), (500, 13_500), (500, 8_000), (900, 8_000), (900, 13_500))
        await car.wait_ms(1500)
        assert await undervoltage(car) is None

    drive(story)


def test_undervoltage_dtc_set_before_a_power_cut_passes_after_the_next_boot(drive: Any) -> None:
    async def story(car: Any) -> None:
        supplied(car, (0, 8_000), (600, 8_000), (600, 0), (700, 0), (700, 13_500))
        await car.wait_ms(800)
        status = await undervoltage(car)
        assert status is not None
        assert Status.TEST_FAILED in status
        await car.wait_ms(800)
        status = await undervoltage(car)
        assert status is not None
        assert Status.TEST_FAILED not in status

    drive(story)


@pytest.mark.parametrize(("millivolts", "nrc"), [(9_499, "93"), (16_001, "92"), (9_500, None), (16_000, None)])
def test_0x10_programming_is_refused_with_nrc_93_or_92_by_voltage(drive: Any, millivolts: int, nrc: str | None) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        supplied(car, (0, millivolts))
        answer = await car.hex("1002")
        assert answer == f"7F 10 {nrc}" if nrc else answer.startswith("50 02")

    drive(story)


@pytest.mark.parametrize(("millivolts", "nrc"), [(9_000, "93"), (17_000, "92")])
def test_0x31_erase_is_refused_by_voltage_and_erases_nothing(drive: Any, millivolts: int, nrc: str) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        supplied(car, (0, millivolts))
        assert await car.hex("3101FF00440000000000001000") == f"7F 31 {nrc}"
        assert car.memory.flash.erases == 0
        supplied(car, (0, NOMINAL_MV))
        await car.good("3101FF00440000000000001000")

    drive(story)


def test_0x34_and_0x36_are_refused_by_voltage_and_go_on_when_it_is_back(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.good("3101FF00440000000000001000")
        supplied(car, (0, 9_000))
        assert await car.hex("34004400000000" + "00000200") == "7F 34 93"
        supplied(car, (0, NOMINAL_MV))
        await car.good("34004400000000" + "00000200")
        await car.good("3601" + "11" * 256)
        await car.wait_ms(50)
        supplied(car, (0, 9_000))
        programs = car.memory.flash.programs
        assert await car.hex("3602" + "22" * 256) == "7F 36 93"
        assert car.memory.flash.programs == programs
        supplied(car, (0, NOMINAL_MV))
        await car.good("3602" + "22" * 256)
        await car.good("37")

    drive(story)


def test_each_brown_out_of_a_profile_tears_as_it_says_and_a_reset_between_them_does_not(drive: Any) -> None:
    async def story(car: Any) -> None:
        dips = [(at + after, mv) for at in (50, 300) for after, mv in ((0, 13_500), (0, 0), (10, 0), (10, 13_500))]
        begin_ns = car.world.clock.now_ns()
        car.vehicle.apply_supply("ecu", waveform(*dips), "two dips", "ecc_error")
        flash, begins = car.memory.flash, car.memory.flash.region("image:A").begins
        unreadable = []
        for sector, from_ms, until_ms in ((1, 20, 55), (2, 150, 200), (3, 280, 305)):
            await car.world.clock.sleep_ns(begin_ns + from_ms * NS_PER_MS - car.world.clock.now_ns())
            life = car.node.incarnation
            life.spawn(flash.erase(life, "image:A", sector, 1), "erase")
            await car.wait_ms(until_ms - from_ms)
            car.node.reset()
            assert any(at + length == begins[sector + 1] for at, length in flash.torn("image:A"))
            try:
                flash.read("image:A", begins[sector], 1)
            except EccError:
                unreadable.append(sector)
        assert unreadable == [1, 3]

    drive(story)


def test_line_that_is_cut_during_a_profile_tears_as_the_cut_says(drive: Any, held: Path) -> None:
    async def story(car: Any) -> None:
        supplied(car, (0, 13_500), (500, 13_500))
        life = car.node.incarnation
        life.spawn(car.memory.flash.erase(life, "image:A", 1, 1), "erase")
        await car.wait_ms(10)
        car.vehicle.tear_as("ecu", "ecc_error")
        car.vehicle.cut_power("ecu", "pulled")
        await car.wait_ms(20)
        assert not car.node.powered
        with pytest.raises(EccError):
            car.memory.flash.read("image:A", car.memory.flash.region("image:A").begins[1], 1)

    drive(story, root=held)


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_every_profile_leaves_an_ecu_that_answers(drive: Any, path: Path) -> None:
    profile = load_profile(path)
    assert profile.name == path.stem
    shape = profile.waveform()

    async def story(car: Any) -> None:
        car.vehicle.apply_supply("ecu", shape, profile.name)
        await car.wait_ms(shape.end_ns // NS_PER_MS + 500)
        assert await car.version() == "1.0.0"
        states = [on for _, on, _ in power(car)]
        assert all(before != after for before, after in pairwise(states))
        lowest = min(mv for _, mv in shape.points)
        assert (states.count(False) > 0) == (lowest < 5_000)

    drive(story)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("points = [{ t_ms = 0, mv = 13500 }, { t_ms = 5, mv = 1 }]", "begins and ends"),
        ("points = [{ t_ms = 0, mv = 13500 }, { t_ms = 5, mv = 1 }, { t_ms = 4, mv = 13500 }]", "in order"),
        ("points = [{ t_ms = 0, mv = 13500 }, { t_ms = 5, mv = -1 }]", "mv"),
    ],
)
def test_wrong_profile_file_is_refused_by_name(tmp_path: Path, text: str, named: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f'name = "odd"\ntitle = "Odd"\n{text}\n')
    with pytest.raises(InputError) as caught:
        load_profile(path)
    assert str(path) in str(caught.value)
    assert named in str(caught.value)


def test_thresholds_out_of_order_are_refused_by_name(changed_ecus: Any) -> None:
    root = changed_ecus("[boot]", "[supply]\nbrown_out_mv = 7000\n\n[boot]")
    with pytest.raises(InputError, match="brown_out_mv < power_on_mv"):
        load_personality(root / "ecus" / "gateway.toml")


def test_overlapping_cuts_of_the_line_give_power_back_when_the_last_one_ends(drive: Any) -> None:
    async def story(car: Any) -> None:
        car.vehicle.cut_power("ecu", "a fault")
        car.vehicle.cut_power("ecu", "a power cycle of the tester")
        car.vehicle.restore_power("ecu", "the fault is over")
        assert car.node.powered is False
        car.vehicle.restore_power("ecu", "the power cycle ends")
        assert [(on, cause) for _, on, cause in power(car)[1:]] == [(False, "a fault"), (True, "the power cycle ends")]

    drive(story)
