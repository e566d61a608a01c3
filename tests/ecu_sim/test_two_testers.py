"""Several testers at once: a second connection, functional requests beside physical ones, 0x21 and 0x78."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Drive = Callable[..., Any]
ERASE = bytes.fromhex("3101FF00440000000000001000")


def heard(tester: Any) -> list[str]:
    """Return everything that a tester was answered."""
    return [answer.hex().upper() for _, answer in tester.answers]


def test_second_tester_is_answered_on_its_own_identifier(drive: Drive) -> None:
    async def story(car: Any) -> None:
        car.tester.answers.clear()
        assert await car.second.ask(bytes.fromhex("22F186")) == bytes.fromhex("62F18601")
        assert car.tester.answers == []
        long = await car.second.ask(bytes.fromhex("22F190F187F18A"))
        assert long is not None
        assert len(long) > 40

    drive(story)


def test_testers_share_one_session_and_its_security(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.unlock_application()
        assert await car.second.ask(bytes.fromhex("2E020102")) == bytes.fromhex("6E0201")
        assert await car.second.ask(bytes.fromhex("1001")) == bytes.fromhex("5001003201F4")
        assert await car.hex("22 F1 86") == "62 F1 86 01"

    drive(story)


@pytest.mark.parametrize(("second_tester", "answer"), [("busy", ["7F2221"]), ("ignored", [])])
def test_request_of_the_second_tester_while_one_is_served_gets_nrc_21_or_nothing(
    drive: Drive, changed_ecus: Any, second_tester: str, answer: list[str]
) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        car.tester.answers.clear()
        car.tester.put(ERASE)
        await car.wait_ms(100)
        car.second.put(bytes.fromhex("22F190"))
        await car.wait_ms(20)
        assert heard(car.second) == answer
        assert heard(car.tester) == ["7F3178"]
        assert await car.tester.final() == bytes.fromhex("7101FF0000")
        assert heard(car.second) == answer
        assert (await car.second.ask(bytes.fromhex("22F186"))) == bytes.fromhex("62F18602")

    root = changed_ecus("[diagnostics]\n", f'[diagnostics]\nsecond_tester = "{second_tester}"\n')
    drive(story, installed=False, root=root)


def test_ignored_second_tester_does_not_change_that_the_first_ones_own_request_gets_nrc_21(
    drive: Drive, changed_ecus: Any
) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        car.tester.answers.clear()
        car.tester.put(ERASE)
        await car.wait_ms(100)
        car.tester.put(bytes.fromhex("22F190"))
        await car.wait_ms(20)
        assert heard(car.tester) == ["7F3178", "7F2221"]

    root = changed_ecus("[diagnostics]\n", '[diagnostics]\nsecond_tester = "ignored"\n')
    drive(story, installed=False, root=root)


def test_0x78_goes_to_the_tester_that_asked(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        car.tester.answers.clear()
        assert await car.second.ask(ERASE) == bytes.fromhex("7101FF0000")
        assert len(car.second.pending) == 1
        assert car.tester.answers == []

    drive(story, installed=False)


def test_answer_after_the_reset_goes_to_the_tester_that_asked(drive: Drive, changed_ecus: Any) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        car.tester.answers.clear()
        assert await car.second.ask(bytes.fromhex("1002")) == bytes.fromhex("5002003201F4")
        assert car.tester.answers == []

    drive(story, root=changed_ecus("[diagnostics]\n", '[diagnostics]\nprogramming_answer = "after_reset"\n'))


def test_second_tester_keeps_the_session_alive_too(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        for _ in range(3):
            await car.wait_ms(4_000)
            assert await car.second.ask(bytes.fromhex("3E00")) == bytes.fromhex("7E00")
        assert await car.hex("22 F1 86") == "62 F1 86 03"

    drive(story)


def test_functional_request_beside_a_long_physical_answer_is_served_after_it(drive: Drive) -> None:
    async def story(car: Any) -> None:
        car.tester.answers.clear()
        car.tester.put(b"\x22" + b"\xf1\x90" * 20)
        await car.wait_ms(6)
        car.tester.put_frame(0x7DF, bytes.fromhex("023E80"))
        await car.wait_ms(300)
        (answer,) = heard(car.tester)
        assert answer.startswith("62F190")

    drive(story)


def test_functional_request_while_busy_is_refused_with_nrc_21_and_a_silent_tester_present_is_not(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.programming()
        car.tester.answers.clear()
        car.tester.put(ERASE)
        await car.wait_ms(100)
        car.tester.put_frame(0x7DF, bytes.fromhex("023E80"))
        car.tester.put_frame(0x7DF, bytes.fromhex("0322F186"))
        await car.wait_ms(20)
        assert heard(car.tester) == ["7F3178", "7F2221"]

    drive(story, installed=False)


@pytest.mark.parametrize(
    ("request_", "physical", "functional"),
    [
        ("2F00", "7F2F11", []), ("1107", "7F1112", []), ("220000", "7F2231", []), ("1004", "7F107E", []),
        ("2701", "7F277F", []), ("22", "7F2213", ["7F2213"]), ("1081", None, []), ("1087", "7F1012", []),
        ("3E80", None, []), ("3E00", "7E00", ["7E00"]), ("3E8000", "7F3E13", ["7F3E13"]),
    ],
)  # fmt: skip
def test_functional_silence_is_for_nrc_11_12_31_7e_7f_and_suppression_for_positive_answers_only(
    drive: Drive, request_: str, physical: str | None, functional: list[str]
) -> None:
    async def story(car: Any) -> None:
        answer = await car.ask(bytes.fromhex(request_), 100)
        assert (None if answer is None else answer.hex().upper()) == physical
        assert [a.hex().upper() for a in await car.tester.tell_all(bytes.fromhex(request_))] == functional

    drive(story)
