"""Preconditions (routine 0x0207) and the check of one logical block (0x0206)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import fields
from typing import Any

import pytest

from bench.core.car import CAR_KEYS, CarState, CarValue, checked
from bench.wire.preconditions import CONDITIONS, Preconditions, met
from tests.ecu_sim.network_world import NetCar, ecu
from tests.ecu_sim.network_world import drive as drive_car

Drive = Callable[..., Any]


def test_application_names_what_is_not_met_and_refuses_programming(drive: Drive) -> None:
    async def story(car: Any) -> None:
        car.vehicle.set_condition("ecu", 3, met=False)
        car.vehicle.set_condition("ecu", 1, met=False)
        await car.good("1003")
        assert await car.hex("31010207") == "71 01 02 07 00 01 03"
        assert await car.hex("1002") == "7F 10 22"
        car.vehicle.set_condition("ecu", 1, met=True)
        car.vehicle.set_condition("ecu", 3, met=True)
        assert await car.hex("31010207") == "71 01 02 07 00"
        await car.good("1002")

    drive(story)


def test_preconditions_want_the_extended_session_and_no_option(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("31010207") == "7F 31 7F"
        await car.good("1003")
        assert await car.hex("3101020700") == "7F 31 13"
        assert await car.hex("31020207") == "7F 31 12"

    drive(story)


@pytest.mark.parametrize("condition", [0, 256, -1])
def test_condition_is_a_byte(drive: Drive, condition: int) -> None:
    async def story(car: Any) -> None:
        with pytest.raises(ValueError, match="is no byte"):
            car.vehicle.set_condition("ecu", condition, met=False)

    drive(story)


def test_block_check_compares_flash_with_the_testers_crc(drive: Drive) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=9_000)
        await car.put_image(image)
        for start, length in ((0, 4_096), (4_096, 4_904)):
            option = b"\x44" + start.to_bytes(4, "big") + length.to_bytes(4, "big")
            crc = zlib.crc32(image.data[start : start + length])
            assert await car.good(b"\x31\x01\x02\x06" + option + crc.to_bytes(4, "big")) == b"\x71\x01\x02\x06\x00"
            wrong = (crc ^ 1).to_bytes(4, "big")
            assert await car.good(b"\x31\x01\x02\x06" + option + wrong) == b"\x71\x01\x02\x06\x04"
        assert await car.hex("31010206") == "7F 31 13"
        assert await car.hex("31010206 44 00040000 00000001 00000000") == "7F 31 31"

    drive(story)


# The car's state as data ----------------------------------------------------------------------------

UNMET: dict[str, tuple[CarValue, CarValue, int]] = {
    "engine": (True, False, 0x01),
    "speed_km_h": (0.5, 0, 0x02),
    "ignition": (False, True, 0x04),
    "gear": ("N", "P", 0x05),
    "parking_brake": (False, True, 0x06),
    "soc_percent": (29.9, 30, 0x07),
    "high_voltage": (True, False, 0x08),
}
"""Key of the car: a value that the EV battery controller does not accept, one that it does, the condition's byte."""


@pytest.mark.parametrize("key", UNMET)
def test_ev_battery_controller_refuses_programming_for_each_of_its_conditions(key: str) -> None:
    bad, good, byte = UNMET[key]

    async def story(car: NetCar) -> None:
        car.set(key, bad)
        await car.can0.ask("1003")
        assert await car.can0.ask("31010207") == f"71 01 02 07 00 {byte:02X}"
        assert await car.can0.ask("1002") == "7F 10 22"
        car.set(key, good)
        assert await car.can0.ask("31010207") == "71 01 02 07 00"
        assert (await car.can0.ask("1002") or "").startswith("50 02")

    drive_car(story, [ecu(personality="ev_battery", hardware_id="EVB-HW-01")])


def test_bootloader_knows_nothing_of_the_car() -> None:
    async def story(car: NetCar) -> None:
        await car.can0.ask("1003")
        await car.can0.ask("1002")
        await car.wait_ms(100)
        car.set("speed_km_h", 50)
        assert (await car.can0.ask("1002") or "").startswith("50 02")

    drive_car(story, [ecu(personality="ev_battery", hardware_id="EVB-HW-01")])


def test_ecu_without_preconditions_lets_itself_be_programmed_in_any_car() -> None:
    async def story(car: NetCar) -> None:
        for key, (bad, _, _) in UNMET.items():
            car.set(key, bad)
        await car.can0.ask("1003")
        assert (await car.can0.ask("1002") or "").startswith("50 02")

    drive_car(story, [ecu()])


def test_every_precondition_has_a_byte_of_its_own_and_a_key_of_the_car() -> None:
    assert set(CONDITIONS) == set(Preconditions.model_fields)
    assert len({byte for byte, _, _ in CONDITIONS.values()}) == len(CONDITIONS)
    assert {key for _, key, _ in CONDITIONS.values()} <= set(CAR_KEYS)
    assert tuple(CAR_KEYS) == tuple(field.name for field in fields(CarState))


@pytest.mark.parametrize(("volts", "fits"), [(11.9, False), (12.0, True), (14.4, True)])
def test_limit_itself_is_met(volts: float, fits: bool) -> None:
    (demand,) = Preconditions(battery_min_v=12.0).demands()
    assert met(demand, CarState(battery_v=volts)) is fits


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [("colour", "red", "speed_km_h"), ("gear", "X", "P, R, N, D"), ("engine", 1, "true, false"),
     ("speed_km_h", True, "from 0 to 400"), ("soc_percent", 101, "from 0 to 100"), ("speed_km_h", "fast", "number")],
)  # fmt: skip
def test_car_refuses_what_it_does_not_have(key: str, value: CarValue, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        checked(key, value)


def test_changes_of_the_car_are_recorded_with_their_cause() -> None:
    async def story(car: NetCar) -> None:
        first = car.world.recorder.conditions
        assert [(c.key, c.value) for c in first] == list(CarState().items())
        car.set("speed_km_h", 30)
        last = car.world.recorder.conditions[-1]
        assert (last.key, last.value, last.accepted, last.cause) == ("speed_km_h", 30.0, True, "test")
        assert [e.payload for e in car.entries("car", "condition")] == ["speed_km_h 30.0 test"]

    drive_car(story, [ecu()])
