"""UDS server rules (ISO 14229-1, -2), each named by service and condition."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from bench.wire import seed_key

NS_PER_MS = 1_000_000
SEED_REFUSED = "7F 27 37"


def check_default(drive: Any, exchanges: list[tuple[str, str | None]], personality: str = "body_controller") -> None:
    """Ask in the application, one after the other."""

    async def story(car: Any) -> None:
        for request, expected in exchanges:
            assert await car.hex(request, 300) == expected, request

    drive(story, personality)


def check_programming(drive: Any, exchanges: list[tuple[str, str | None]], *, unlock: bool = True) -> None:
    """Ask in the bootloader's programming session."""

    async def story(car: Any) -> None:
        await car.good("1002")
        if unlock:
            await car.unlock()
        for request, expected in exchanges:
            assert await car.hex(request, 2_000) == expected, request

    drive(story, installed=False)


# Order of refusals ----------------------------------------------------------------------------------


def test_unknown_service_is_refused_with_nrc_11(drive: Any) -> None:
    check_default(
        drive,
        [
            ("2F D0 01 00", "7F 2F 11"),
            ("87 01 01", "7F 87 11"),
            ("50", "7F 50 11"),
            ("00", "7F 00 11"),
            ("7F 10 78", "7F 7F 11"),
        ],
    )


def test_service_of_another_session_is_refused_with_nrc_7f_before_its_length(drive: Any) -> None:
    check_default(drive, [("28", "7F 28 7F"), ("27 01", "7F 27 7F"), ("34", "7F 34 7F"), ("31 01 02 04", "7F 31 7F")])


def test_too_short_request_is_refused_with_nrc_13_before_its_sub_function(drive: Any) -> None:
    check_default(drive, [("10", "7F 10 13"), ("22 F1", "7F 22 13"), ("3E", "7F 3E 13"), ("14 FF FF", "7F 14 13")])


def test_unknown_sub_function_is_refused_with_nrc_12_before_the_exact_length(drive: Any) -> None:
    check_default(drive, [("10 7E 00", "7F 10 12"), ("11 04", "7F 11 12"), ("3E 01 00", "7F 3E 12")])


def test_sub_function_of_another_session_is_refused_with_nrc_7e(drive: Any) -> None:
    check_default(drive, [("10 02", "7F 10 7E"), ("10 02 00", "7F 10 7E")])


def test_too_long_request_is_refused_with_nrc_13_after_its_sub_function(drive: Any) -> None:
    check_default(drive, [("10 01 00", "7F 10 13"), ("3E 00 00", "7F 3E 13"), ("22 F1 90 F1", "7F 22 13")])


def test_locked_0x34_is_refused_with_nrc_33_before_its_length(drive: Any) -> None:
    check_programming(drive, [("34", "7F 34 33"), ("34 00 44 00 00 00 00 00 00 10 00", "7F 34 33")], unlock=False)


def test_0x31_checks_routine_then_security_then_sub_function_then_length(drive: Any) -> None:
    check_programming(drive, [("31 01 12 34", "7F 31 31"), ("31 02 FF 00", "7F 31 33")], unlock=False)
    check_programming(drive, [("31 02 FF 00", "7F 31 12"), ("31 01 FF 00", "7F 31 13"), ("31 07 FF 00", "7F 31 12")])
    check_programming(drive, [("31 07 12 34", "7F 31 31")])
    check_programming(drive, [("31 01 02 02 00", "7F 31 13"), ("31 01 FF 00 44 00 00 00", "7F 31 13")])


# Sessions -------------------------------------------------------------------------------------------


def test_0x10_answers_p2_in_ms_and_p2_star_in_10_ms(drive: Any) -> None:
    check_default(drive, [("10 03", "50 03 00 32 01 F4"), ("22 F1 86", "62 F1 86 03"), ("10 01", "50 01 00 32 01 F4")])


def test_0x10_programming_answers_first_then_resets_into_the_bootloader(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        assert await car.hex("10 02") == "50 02 00 32 01 F4"
        boots = len(car.world.recorder.boots)
        assert car.stages()[-1] == ("application", "A")
        await car.wait_ms(60)
        assert car.stages()[-1] == ("bootloader", None)
        assert len(car.world.recorder.boots) == boots + 2
        assert await car.hex("22 F1 86") == "62 F1 86 02"
        assert await car.hex("22 F1 88") == "7F 22 31"

    drive(story)


def test_request_for_the_bootloader_survives_a_reset_but_not_a_power_cut(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        await car.good("1002")
        await car.wait_ms(2)
        car.node.cut("test")
        await car.awake()
        assert await car.version() == "1.0.0"

    drive(story)


def test_bootloader_without_image_starts_in_the_default_session_and_knows_all_three(drive: Any) -> None:
    async def story(car: Any) -> None:
        for session in ("01", "03", "02", "03", "02", "01"):
            assert await car.hex(f"10 {session}") == f"50 {session} 00 32 01 F4"
            assert await car.hex("22 F1 86") == f"62 F1 86 {session}"

    drive(story, installed=False)


def test_0x10_default_in_the_programming_session_restarts_a_valid_application(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.good("1001")
        await car.wait_ms(300)
        assert await car.version() == "1.0.0"

    drive(story)


def test_s3_runs_out_into_the_default_session_and_every_request_restarts_it(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        for _ in range(3):
            await car.wait_ms(4_900)
            assert await car.hex("22 F1 86") == "62 F1 86 03"
        await car.wait_ms(4_900)
        await car.tester.tell_all(bytes.fromhex("3E80"))
        await car.wait_ms(4_850)
        assert await car.hex("22 F1 86") == "62 F1 86 03"
        await car.wait_ms(5_050)
        assert await car.hex("22 F1 86") == "62 F1 86 01"

    drive(story)


def test_s3_runs_out_in_the_bootloader_without_image_and_locks_security(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.wait_ms(5_100)
        assert await car.hex("22 F1 86") == "62 F1 86 01"
        await car.good("1002")
        assert await car.hex("31 01 02 02") == "7F 31 33"

    drive(story, installed=False)


def test_s3_runs_out_in_the_bootloader_and_restarts_a_valid_application(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.wait_ms(5_400)
        assert await car.version() == "1.0.0"

    drive(story)


def test_session_control_locks_security_and_aborts_the_transfer(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        await car.erase(car.image())
        await car.good("34004400000000 00001000")
        await car.good("1002")
        assert await car.hex("36 01 AA") == "7F 36 24"
        assert await car.hex("31 01 02 02") == "7F 31 33"

    drive(story, installed=False)


# Suppress bit and functional addressing -------------------------------------------------------------


def test_suppress_bit_silences_positive_answers_only(drive: Any) -> None:
    check_default(drive, [("10 83", None), ("22 F1 86", "62 F1 86 03"), ("3E 80", None), ("3E 81", "7F 3E 12")])


def test_functional_requests_work_and_unsupported_ones_are_silent(drive: Any) -> None:
    async def story(car: Any) -> None:
        tell = car.tester.tell_all
        assert await tell(bytes.fromhex("1083")) == []
        for known in ("8582", "288301", "288001", "8581", "3E80"):
            assert await tell(bytes.fromhex(known)) == [], known
        for unsupported in ("2FD00100", "1104", "220102", "2701", "3101", "31010299"):
            expected = [bytes.fromhex("7F3113")] if unsupported == "3101" else []
            assert await tell(bytes.fromhex(unsupported)) == expected, unsupported
        assert await tell(bytes.fromhex("22F186")) == [bytes.fromhex("62F18603")]
        assert await tell(bytes.fromhex("1081")) == []
        assert await tell(bytes.fromhex("1002")) == []
        assert await car.hex("22 F1 86") == "62 F1 86 01"

    drive(story)


def test_functional_segmented_request_is_ignored(drive: Any) -> None:
    async def story(car: Any) -> None:
        assert await car.tester.tell_all(b"\x22\xf1\x86\xf1\x90\xf1\x91") != []
        car.tester.answers.clear()
        car.tester.put_frame(0x7DF, bytes.fromhex("100922F186F190F1"))
        await car.wait_ms(100)
        assert car.tester.answers == []

    drive(story)


# 0x28, 0x85, 0x14, 0x22, 0x2E, 0x11 -----------------------------------------------------------------


def test_0x28_unknown_communication_type_is_refused_with_nrc_31(drive: Any) -> None:
    check_default(drive, [("10 03", "50 03 00 32 01 F4"), ("28 03 01", "68 03"), ("28 00 00", "7F 28 31")])
    check_default(drive, [("10 03", "50 03 00 32 01 F4"), ("28 04 01 00 01", "7F 28 12"), ("28 03", "7F 28 13")])


def test_0x85_turns_dtc_setting_off_and_on(drive: Any) -> None:
    check_default(
        drive, [("85 02", "7F 85 7F"), ("10 03", "50 03 00 32 01 F4"), ("85 02", "C5 02"), ("85 01", "C5 01")]
    )


def test_0x14_clears_all_groups_only(drive: Any) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("19 01 01") == "59 01 7F 01 00 01"
        assert await car.hex("14 12 34 56") == "7F 14 31"
        assert await car.hex("14 FF FF FF") == "54"
        assert await car.hex("19 01 01") == "59 01 7F 01 00 00"

    drive(story, installed=False)


def test_0x22_answers_every_known_identifier_of_several(drive: Any) -> None:
    async def story(car: Any) -> None:
        answer = await car.good("22F1901234F186F18CF191F180F188F189F15A")
        assert answer.startswith(b"\x62\xf1\x90ZZZ00TABENCH00001\xf1\x86\x01\xf1\x8cSN")
        assert answer.endswith(b"\xf1\x88APP\xf1\x891.0.0\xf1\x5a" + bytes(10))
        assert await car.hex("22 12 34") == "7F 22 31"

    drive(story)


def test_0x22_with_an_answer_over_4095_bytes_is_refused_with_nrc_14(drive: Any) -> None:
    async def story(car: Any) -> None:
        assert await car.ask(b"\x22" + b"\xf1\x90" * 300) == bytes.fromhex("7F2214")

    drive(story)


def test_0x2e_writes_the_fingerprint_with_security_only(drive: Any) -> None:
    good = "2E F1 5A 30 01 01 54 45 53 54 45 52 31"
    check_programming(drive, [(good, "7F 2E 33"), ("2E F1 90 00", "7F 2E 31")], unlock=False)
    check_programming(
        drive,
        [
            (good + " 00", "7F 2E 13"),
            ("2E F1 5A 3A 01 01 54 45 53 54 45 52 31", "7F 2E 31"),
            (good, "6E F1 5A"),
            ("22 F1 5A", "62 F1 5A 30 01 01 54 45 53 54 45 52 31"),
        ],
    )


@pytest.mark.parametrize("reset_type", ["01", "02", "03"])
def test_0x11_answers_then_resets(drive: Any, reset_type: str) -> None:
    async def story(car: Any) -> None:
        assert await car.hex(f"11 {reset_type}") == f"51 {reset_type}"
        assert await car.hex("3E 00", 30) is None
        await car.wait_ms(100)
        assert [stage for stage, _ in car.stages()] == ["application", "application"]
        assert await car.hex("3E 00") == "7E 00"

    drive(story)


# 0x27 -----------------------------------------------------------------------------------------------


def test_0x27_key_without_seed_is_refused_with_nrc_24(drive: Any) -> None:
    check_programming(drive, [("27 02 00 00 00 00 00 00 00 00", "7F 27 24")], unlock=False)


def test_0x27_seed_is_zero_once_open_and_new_each_time_before(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1002")
        assert await car.good("2701") != await car.good("2701")
        await car.unlock()
        assert await car.good("2701") == b"\x67\x01" + bytes(8)

    drive(story, installed=False)


def test_0x27_wrong_key_of_right_length_is_refused_with_nrc_35_and_needs_a_new_seed(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1002")
        seed = (await car.good("2701"))[2:]
        key = seed_key.compute("hmac_sha256", "body_controller", seed)
        assert await car.ask(b"\x27\x02" + key[:-1]) == bytes.fromhex("7F2713")
        assert await car.ask(b"\x27\x02" + bytes((key[0] ^ 1,)) + key[1:]) == bytes.fromhex("7F2735")
        assert await car.ask(b"\x27\x02" + key) == bytes.fromhex("7F2724")
        await car.unlock()
        assert car.memory.nvm.record.security_attempts == 0

    drive(story, installed=False)


async def wrong_keys(car: Any, count: int) -> list[str | None]:
    """Send wrong keys; the answers."""
    answers = []
    for _ in range(count):
        await car.good("2701")
        answers.append(await car.hex("27 02" + " 00" * 8))
    return answers


def test_0x27_third_wrong_key_is_refused_with_nrc_36_and_seeds_with_nrc_37_for_ten_seconds(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1002")
        assert await wrong_keys(car, 3) == ["7F 27 35", "7F 27 35", "7F 27 36"]
        assert await car.hex("27 01") == SEED_REFUSED
        for _ in range(3):
            await car.wait_ms(3_200)
            assert await car.hex("27 01") == SEED_REFUSED
        await car.wait_ms(1_000)
        assert await wrong_keys(car, 1) == ["7F 27 36"]
        await car.wait_ms(4_000)
        await car.good("3E00")
        await car.wait_ms(4_000)
        await car.good("3E00")
        await car.wait_ms(2_100)
        await car.unlock()

    drive(story, installed=False)


def test_0x27_attempts_survive_a_power_cut_and_the_delay_begins_anew(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1002")
        await wrong_keys(car, 2)
        car.node.cut("test")
        await car.awake()
        await car.good("1002")
        assert await wrong_keys(car, 1) == ["7F 27 36"]
        await car.wait_ms(9_000)
        car.node.cut("test")
        await car.awake()
        await car.good("1002")
        await car.wait_ms(2_000)
        assert await car.hex("27 01") == SEED_REFUSED

    drive(story, installed=False)


# Response pending, busy -----------------------------------------------------------------------------


def test_0x31_erase_answers_0x78_before_p2_and_then_finally(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        sent_ns = car.world.clock.now_ns()
        await car.erase(car.image())
        (pending_ns,) = car.tester.pending
        assert pending_ns - sent_ns < 50 * NS_PER_MS
        assert car.world.clock.now_ns() - sent_ns > 300 * NS_PER_MS

    drive(story, installed=False)


def test_long_routine_repeats_0x78_before_each_p2_star(drive: Any, changed_ecus: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        sent_ns = car.world.clock.now_ns()
        await car.erase(car.image())
        times = [sent_ns, *car.tester.pending, car.world.clock.now_ns()]
        gaps_ms = [(later - earlier) // NS_PER_MS for earlier, later in pairwise(times)]
        assert len(gaps_ms) == 5
        assert gaps_ms[0] < 50
        assert all(4_900 < gap_ms < 5_000 for gap_ms in gaps_ms[1:4])

    drive(story, installed=False, root=changed_ecus("erase_ms = 100", "erase_ms = 6000"))


def test_suppressed_routine_that_took_long_is_answered_after_all(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        assert await car.hex("31 81 FF 00 44 00 00 00 00 00 00 10 00", 2_000) == "71 01 FF 00 00"
        assert len(car.tester.pending) == 1

    drive(story, installed=False)


def test_request_while_busy_is_refused_with_nrc_21_but_silent_tester_present_is_taken(drive: Any) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        car.tester.answers.clear()
        car.tester.put(bytes.fromhex("3101FF0044") + bytes(4) + bytes.fromhex("00001000"))
        await car.wait_ms(100)
        assert await car.tester.tell_all(bytes.fromhex("3E80"), 50) == []
        car.tester.put(bytes.fromhex("22F190"))
        await car.wait_ms(10)
        assert [a for _, a in car.tester.answers] == [bytes.fromhex("7F2221")]
        car.tester.answers.clear()
        assert await car.tester.final() == bytes.fromhex("7101FF0000")

    drive(story, installed=False)


def test_every_request_is_a_fault_point_and_a_cut_before_it_has_no_effect(drive: Any) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("3E 00") == "7E 00"
        car.arm_cut("power.ecu:ecu:request:2")
        assert await car.hex("11 01") is None
        assert not car.node.powered
        assert [stage for stage, _ in car.stages()] == ["application"]

    drive(story)
