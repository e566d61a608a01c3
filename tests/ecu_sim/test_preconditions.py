"""Preconditions (routine 0x0207) and the check of one logical block (0x0206)."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

import pytest

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
