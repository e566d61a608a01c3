"""SecurityAccess (0x27): levels as data, by service and condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Drive = Callable[..., Any]


async def wrong_keys(car: Any, count: int, level: int = 0x11) -> list[str]:
    """Send wrong keys; the refusals."""
    answers = []
    for _ in range(count):
        seed = await car.good(bytes((0x27, level)))
        answers.append(await car.ask(bytes((0x27, level + 1)) + bytes(len(seed) - 2)))
    return [answer.hex() for answer in answers]


def test_0x27_level_of_the_application_opens_what_the_application_guards(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        assert await car.hex("2E 02 01 02") == "7F 2E 33"
        await car.unlock_application()
        assert await car.hex("27 11") == "67 11" + " 00" * 8
        assert await car.hex("2E 02 01 02") == "6E 02 01"

    drive(story)


def test_0x27_programming_level_is_not_in_the_applications_sessions(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("27 11") == "7F 27 7F"
        await car.good("1003")
        assert await car.hex("27 01") == "7F 27 7E"
        assert await car.hex("27 02") == "7F 27 7E"
        assert await car.hex("27 13") == "7F 27 12"
        assert await car.hex("27") == "7F 27 13"

    drive(story)


def test_0x27_application_level_is_unknown_to_the_bootloader(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1002")
        assert await car.hex("27 11") == "7F 27 12"

    drive(story, installed=False)


def test_0x27_refuses_in_the_order_length_sequence_key(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        assert await car.hex("27 12 00") == "7F 27 13"
        assert await car.hex("27 12" + " 00" * 8) == "7F 27 24"
        assert await car.hex("27 11 00") == "7F 27 13"
        await car.good("2711")
        assert await car.hex("27 12 00") == "7F 27 13"
        assert await car.hex("27 12" + " 00" * 8) == "7F 27 35"
        assert await car.hex("27 12" + " 00" * 8) == "7F 27 24"

    drive(story)


def test_0x27_levels_count_their_attempts_apart_and_both_survive_power_cuts(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        assert await wrong_keys(car, 4) == ["7f2735"] * 4
        await car.good("1002")
        await car.wait_ms(100)
        assert await wrong_keys(car, 2, level=0x01) == ["7f2735"] * 2
        car.node.cut("test")
        await car.awake()
        assert car.memory.nvm.record.security_attempts == 2
        assert car.memory.settings.value.application_attempts == 4
        await car.good("1003")
        assert await wrong_keys(car, 1) == ["7f2736"]
        assert await car.hex("27 11") == "7F 27 37"
        car.node.cut("test")
        await car.awake()
        await car.good("1003")
        assert await car.hex("27 11") == "7F 27 37"
        await car.good("1002")
        await car.wait_ms(100)
        await car.unlock()

    drive(story)


def test_0x27_right_key_forgets_the_attempts(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        await wrong_keys(car, 3)
        await car.unlock_application()
        assert car.memory.settings.value.application_attempts == 0

    drive(story)


def test_0x27_key_of_a_seed_of_the_session_before_is_refused_with_nrc_24(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        await car.good("2711")
        await car.good("1003")
        assert await car.hex("27 12" + " 00" * 8) == "7F 27 24"

    drive(story)


@pytest.mark.parametrize("static", [False, True])
def test_0x27_seed_is_static_until_its_key_where_the_personality_says_so(
    drive: Drive, changed_ecus: Any, static: bool
) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        first = await car.good("2711")
        assert (await car.good("2711") == first) is static
        await wrong_keys(car, 1)
        assert (await car.good("2711") == first) is static
        await car.unlock_application()
        await car.good("1003")
        assert await car.good("2711") != first

    drive(story, root=changed_ecus("level = 0x11 ", f"static_seed = {str(static).lower()}\nlevel = 0x11 "))


def test_0x27_delay_runs_after_every_start_where_the_personality_says_so(drive: Drive, changed_ecus: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        assert await car.hex("27 11") == "7F 27 37"
        for _ in range(3):
            await car.wait_ms(3_300)
            await car.good("3E00")
        await car.good("2711")

    drive(story, root=changed_ecus("level = 0x11 ", "delay_at_power_on = true\nlevel = 0x11 "))


def test_even_level_is_refused_when_the_file_is_read(changed_ecus: Any, drive: Drive) -> None:
    async def story(car: Any) -> None:
        raise AssertionError("not reached")

    with pytest.raises(Exception, match="odd"):
        drive(story, root=changed_ecus("level = 0x11 ", "level = 0x12 "))
