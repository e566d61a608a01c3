"""Sessions (0x10), resets (0x11), S3, communication (0x28) and the setting of DTCs (0x85), by service and condition."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Drive = Callable[..., Any]
P2 = "00 32 01 F4"


async def expect(car: Any, *exchanges: tuple[str, str | None]) -> None:
    """Ask one after the other and insist on the answers."""
    for request, expected in exchanges:
        assert await car.hex(request, 300) == expected, request


def ecu_of(car: Any) -> Any:
    """Return the simulated ECU, to look at its session state."""
    return car.vehicle._ecus["ecu"]


# Transitions ----------------------------------------------------------------------------------------


def test_0x10_safety_session_is_entered_from_extended_only_else_nrc_7e(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await expect(
            car, ("10 04", "7F 10 7E"), ("10 03", f"50 03 {P2}"), ("10 04", f"50 04 {P2}"), ("22 F1 86", "62 F1 86 04"),
            ("10 04", f"50 04 {P2}"), ("10 02", "7F 10 7E"), ("10 01", f"50 01 {P2}"), ("10 04", "7F 10 7E"),
        )  # fmt: skip

    drive(story)


def test_0x10_safety_session_is_unknown_to_the_bootloader_and_where_the_personality_lacks_it(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await expect(car, ("10 03", f"50 03 {P2}"), ("10 04", "7F 10 12"))

    drive(story, installed=False)
    drive(story, "gateway")


def test_safety_session_ends_with_s3_and_has_no_routines(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        await car.good("1004")
        assert await car.hex("31 01 02 04") == "7F 31 7F"
        await car.wait_ms(5_100)
        assert await car.hex("22 F1 86") == "62 F1 86 01"

    drive(story)


def test_every_session_change_locks_security(drive: Drive) -> None:
    async def story(car: Any) -> None:
        for request in ("1003", "1001"):
            await car.unlock_application()
            await car.good("2E020101")
            await car.good(request)
            await car.good("1003")
            assert await car.hex("2E 02 01 02") == "7F 2E 33"

    drive(story)


# Programming, answered before or after the reset ----------------------------------------------------


@pytest.fixture
def after_reset(changed_ecus: Callable[[str, str], Path]) -> Path:
    """Personalities whose bootloader gives the final answer to 10 02."""
    return changed_ecus("[diagnostics]\n", '[diagnostics]\nprogramming_answer = "after_reset"\n')


@pytest.mark.parametrize("suppress", [False, True])
def test_0x10_programming_after_reset_is_answered_0x78_by_the_application_and_finally_by_the_bootloader(
    drive: Drive, after_reset: Path, suppress: bool
) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        assert await car.ask(b"\x10\x82" if suppress else b"\x10\x02") == bytes.fromhex("5002003201F4")
        (waited_ns,) = car.tester.pending
        final_ns = car.tester.answers[-1][0]
        assert 30_000_000 < final_ns - waited_ns < 5_000_000_000
        assert car.stages()[-1] == ("bootloader", None)
        await car.unlock()

    drive(story, "body_controller", root=after_reset)


def test_0x10_programming_after_reset_is_answered_to_a_functional_request_too(drive: Drive, after_reset: Path) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        answers = await car.tester.tell_all(b"\x10\x02", 200)
        assert answers == [bytes.fromhex("7F1078"), bytes.fromhex("5002003201F4")]

    drive(story, root=after_reset)


def test_0x10_programming_after_reset_is_never_answered_when_the_power_goes_in_between(
    drive: Drive, after_reset: Path
) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        car.tester.answers.clear()
        car.tester.put(b"\x10\x02")
        await car.wait_ms(20)
        car.node.cut("test")
        await car.awake()
        assert [answer for _, answer in car.tester.answers] == [bytes.fromhex("7F1078")]
        assert await car.version() == "1.0.0"

    drive(story, root=after_reset)


# S3 -------------------------------------------------------------------------------------------------


def test_s3_expiry_locks_security_aborts_the_transfer_and_restores_0x28_and_0x85(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.unlock_application()
        await expect(car, ("28 03 03", "68 03"), ("85 02", "C5 02"))
        state = ecu_of(car).state
        assert (state.communication_type, state.network_management_type) == (3, 3)
        assert not state.sends_normal
        assert not state.sends_network_management
        await car.wait_ms(5_100)
        assert (state.communication_type, state.network_management_type) == (0, 0)
        assert state.sends_normal
        await expect(car, ("22 F1 86", "62 F1 86 01"), ("10 03", f"50 03 {P2}"), ("2E 02 01 02", "7F 2E 33"))

    drive(story)


def test_s3_expiry_in_the_bootloader_aborts_the_transfer(drive: Drive) -> None:
    async def story(car: Any) -> None:
        image = car.image()
        await car.programming()
        await car.erase(image)
        await car.good(bytes.fromhex("3400440000000000001000"))
        await car.wait_ms(5_100)
        await expect(car, ("22 F1 86", "62 F1 86 01"), ("10 02", f"50 02 {P2}"), ("36 01 00", "7F 36 24"))

    drive(story, installed=False)


@pytest.mark.parametrize("request_", ["3E80", "22F186", "10", "99", "2F", "3E"])
def test_s3_is_restarted_at_the_end_of_every_request_refused_or_not(drive: Drive, request_: str) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        for _ in range(4):
            await car.wait_ms(4_000)
            await car.ask(bytes.fromhex(request_), 300)
        assert await car.hex("22 F1 86") == "62 F1 86 03"
        await car.wait_ms(5_100)
        assert await car.hex("22 F1 86") == "62 F1 86 01"

    drive(story)


# 0x11 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reset_type", ["04", "05", "00", "7F"])
def test_0x11_rapid_power_shutdown_and_unknown_types_are_refused_with_nrc_12(drive: Drive, reset_type: str) -> None:
    async def story(car: Any) -> None:
        await expect(car, (f"11 {reset_type}", "7F 11 12"))

    drive(story)


@pytest.mark.parametrize(("reset_type", "begins"), [("01", True), ("02", True), ("03", False)])
def test_0x11_hard_and_key_off_on_begin_an_operation_cycle_and_soft_does_not(
    drive: Drive, reset_type: str, begins: bool
) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("19 02 01") == "59 02 7F 06 02 51 2F"
        await car.good(f"11{reset_type}")
        await car.wait_ms(300)
        assert ecu_of(car).dtcs.begun_cycle is begins

    drive(story, installed=False)


# 0x28 -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("control", [0, 1, 2, 3])
@pytest.mark.parametrize(("messages", "normal", "management"), [(1, True, False), (2, False, True), (3, True, True)])
def test_0x28_control_type_counts_for_the_messages_that_were_named(
    drive: Drive, control: int, messages: int, normal: bool, management: bool
) -> None:
    async def story(car: Any) -> None:
        await expect(car, ("10 03", f"50 03 {P2}"), (f"28 0{control} 0{messages}", f"68 0{control}"))
        state = ecu_of(car).state
        assert state.communication_type == (control if normal else 0)
        assert state.network_management_type == (control if management else 0)
        assert state.sends_normal is (not normal or control in (0, 2))
        assert state.hears_normal is (not normal or control in (0, 1))

    drive(story)


def test_0x28_with_a_node_silences_it_and_lets_it_speak_again(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await expect(car, ("28 04 01 00 21", "7F 28 7F"), ("10 03", f"50 03 {P2}"), ("28 04 01 00 21", "68 04"))
        state = ecu_of(car).state
        assert state.silent_nodes == {0x21}
        assert state.sends_normal
        await expect(car, ("28 05 01 00 22", "68 05"), ("28 04 01 00 23", "7F 28 31"), ("28 04 01 00", "7F 28 13"))
        assert state.silent_nodes == {0x21}
        await expect(car, ("28 05 01 00 21", "68 05"))
        assert state.silent_nodes == set()
        await car.good("2804010021")
        await car.good("1001")
        assert state.silent_nodes == set()

    drive(story, "gateway")


def test_0x28_with_a_node_is_unknown_where_no_node_is_behind_the_ecu(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await expect(car, ("10 03", f"50 03 {P2}"), ("28 04 01 00 21", "7F 28 12"), ("28 05 01 00 21", "7F 28 12"))

    drive(story)


# 0x85 -----------------------------------------------------------------------------------------------


def test_0x85_off_keeps_dtcs_from_being_set_until_on_or_the_default_session(drive: Drive) -> None:
    async def story(car: Any) -> None:
        dtcs = ecu_of(car).dtcs
        for restore in ("8581", "1081"):
            await car.good("1003")
            await car.good("8502")
            dtcs.report(0xF00316, failed=True)
            assert await car.hex("19 02 01") == "59 02 7F"
            assert await car.ask(bytes.fromhex(restore), 100) is None
            assert dtcs.setting_on
        dtcs.report(0xF00316, failed=True)
        assert await car.hex("19 02 01") == "59 02 7F F0 03 16 2F"

    drive(story)


@pytest.mark.parametrize("breaks_off", [False, True])
def test_s3_stands_still_while_a_request_is_coming_even_if_another_one_is_served_meanwhile(
    drive: Drive, breaks_off: bool
) -> None:
    """ISO 14229-2: S3 is stopped from the first frame of a request on. Here a tester present comes in between."""
    request = b"\x22" + b"\xf1\x86" * 23
    frames = [b"\x10" + bytes((len(request),)) + request[:6]]
    frames += [bytes((0x21 + n,)) + request[6 + 7 * n : 13 + 7 * n] for n in range(6)]

    async def story(car: Any) -> None:
        await car.good("1003")
        car.tester.answers.clear()
        car.tester.put_frame(0x7A0, frames[0])
        await car.wait_ms(20)
        assert await car.tester.tell_all(b"\x3e\x80", 10) == []
        for each in frames[1:-1] if breaks_off else frames[1:]:
            await car.wait_ms(900)
            car.tester.put_frame(0x7A0, each.ljust(8, b"\x00"))
        if breaks_off:
            await car.wait_ms(1_100 + 4_500)
            assert await car.hex("22 F1 86") == "62 F1 86 03", "anew from the end of the reception on"
            await car.wait_ms(5_100)
            assert await car.hex("22 F1 86") == "62 F1 86 01"
        else:
            assert await car.tester.final() == b"\x62" + b"\xf1\x86\x03" * 23

    drive(story)


# Out of the bootloader ------------------------------------------------------------------------------


@pytest.mark.parametrize("leave", ["1001", None], ids=["10 01", "S3"])
def test_bootloader_led_to_the_extended_session_restarts_a_valid_application_all_the_same(
    drive: Drive, leave: str | None
) -> None:
    """As a functional 10 03 for others does to it; else it would stay in the bootloader until somebody resets it."""

    async def story(car: Any) -> None:
        await car.programming()
        await car.good("1003")
        if leave is None:
            await car.wait_ms(5_100)
        else:
            await car.good(leave)
        await car.wait_ms(300)
        assert await car.version() == "1.0.0"

    drive(story)


@pytest.mark.parametrize("request_", ["31 01 FF 00 44 00 00 00 00 00 00 10 00", "22 F1 86"])
def test_s3_expiry_in_the_bootloader_ends_the_session_before_the_reset_comes(drive: Drive, request_: str) -> None:
    """The 5 ms until the reset belong to the default session: nothing is erased in them."""

    async def story(car: Any) -> None:
        await car.programming()
        erases = car.memory.flash.erases
        await car.wait_ms(5_001)
        assert await car.hex(request_, 100) in ("62 F1 86 01", "7F 31 7F")
        await car.wait_ms(300)
        assert await car.version() == "1.0.0"
        assert car.memory.flash.erases == erases

    drive(story)
