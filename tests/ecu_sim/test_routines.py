"""RoutineControl (0x31): start, stop, results and the order of refusals, by service and condition."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Drive = Callable[..., Any]


async def expect(car: Any, *exchanges: tuple[str, str | None]) -> None:
    """Ask one after the other and insist on the answers."""
    for request, expected in exchanges:
        assert await car.hex(request, 5_000) == expected, request


def test_0x31_refuses_in_the_order_minimum_routine_security_sub_function_length_sequence(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1002")
        await expect(
            car, ("31", "7F 31 13"), ("31 07 FF", "7F 31 13"), ("31 07 12 34", "7F 31 31"), ("31 07 FF 00", "7F 31 33"),
            ("31 03 FF 00 00", "7F 31 33"),
        )  # fmt: skip
        await car.unlock()
        await expect(
            car, ("31 07 FF 00", "7F 31 12"), ("31 00 FF 00", "7F 31 12"), ("31 02 FF 00", "7F 31 12"),
            ("31 03 FF 00 00", "7F 31 13"), ("31 03 FF 00", "7F 31 24"), ("31 01 FF 00", "7F 31 13"),
        )  # fmt: skip

    drive(story, installed=False)


def test_0x31_results_are_those_of_the_last_start_in_this_life(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await expect(
            car, ("31 03 02 02", "7F 31 24"), ("31 01 02 02", "71 01 02 02 05"), ("31 03 02 02", "71 03 02 02 05"),
            ("31 03 FF 01", "7F 31 24"), ("31 01 FF 01", "71 01 FF 01 01"), ("31 03 FF 01", "71 03 FF 01 01"),
        )  # fmt: skip
        car.node.cut("test")
        await car.awake()
        await car.programming()
        await expect(car, ("31 03 02 02", "7F 31 24"))

    drive(story, installed=False)


def test_0x31_refused_start_leaves_no_results(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await expect(car, ("31 01 FF 00 44 FF 00 00 00 00 00 10 00", "7F 31 31"), ("31 03 FF 00", "7F 31 24"))

    drive(story, installed=False)


def test_0x31_routine_in_the_background_runs_is_asked_and_ends(drive: Drive, changed_ecus: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        await expect(
            car, ("31 03 02 0A", "7F 31 24"), ("31 02 02 0A", "7F 31 24"), ("31 01 02 0A 00", "7F 31 13"),
            ("31 01 02 0A", "71 01 02 0A 01"), ("31 03 02 0A", "71 03 02 0A 01"), ("31 01 02 0A", "7F 31 22"),
        )  # fmt: skip
        await car.wait_ms(100)
        await expect(car, ("31 03 02 0A", "71 03 02 0A 00 00"), ("31 02 02 0A", "7F 31 24"))

    drive(story, root=changed_ecus("verify_bytes_per_ms = 4096", "verify_bytes_per_ms = 100"))


def test_0x31_self_test_finds_a_bit_that_flipped(drive: Drive) -> None:
    async def story(car: Any) -> None:
        car.vehicle.flip_bit("ecu", "A", 100, 3)
        await car.good("1003")
        await car.good("3101020A")
        await car.wait_ms(100)
        await expect(car, ("31 03 02 0A", "71 03 02 0A 00 04"))

    drive(story)


def test_0x31_stop_ends_a_running_routine_and_a_session_change_does_too(drive: Drive, changed_ecus: Any) -> None:
    async def story(car: Any) -> None:
        await car.wait_ms(3_000)  # it verifies slowly at its boot too
        await car.good("1003")
        await expect(
            car, ("31 01 02 0A", "71 01 02 0A 01"), ("31 02 02 0A", "71 02 02 0A 02"), ("31 02 02 0A", "7F 31 24"),
            ("31 03 02 0A", "71 03 02 0A 02"), ("31 01 02 0A", "71 01 02 0A 01"), ("10 03", "50 03 00 32 01 F4"),
            ("31 03 02 0A", "71 03 02 0A 02"),
        )  # fmt: skip
        await car.wait_ms(3_000)
        await car.good("3E00")
        await expect(car, ("31 03 02 0A", "71 03 02 0A 02"), ("31 01 02 0A", "71 01 02 0A 01"))
        await car.wait_ms(2_500)
        await expect(car, ("31 03 02 0A", "71 03 02 0A 00 00"))

    drive(story, root=changed_ecus("verify_bytes_per_ms = 4096", "verify_bytes_per_ms = 2"))


def test_0x31_ids_of_the_maker_come_from_the_personality(drive: Drive, changed_ecus: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await expect(car, ("31 01 02 02", "7F 31 31"), ("31 01 AB 01", "71 01 AB 01 05"))

    old = "[diagnostics.application_security]"
    drive(story, installed=False, root=changed_ecus(old, f"[diagnostics.routines]\ncheck_memory = 0xAB01\n\n{old}"))


def test_0x31_suppressed_start_is_silent_and_its_refusal_is_not(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        await expect(car, ("31 81 02 04", None), ("31 81 02 99", "7F 31 31"), ("31 87 02 04", "7F 31 12"))

    drive(story)
