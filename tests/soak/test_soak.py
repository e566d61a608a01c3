"""The soak in small, and proof that its judge sees what it is there to see."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from bench.core.clock import NS_PER_MS
from tests.soak.acts import run_case, soak_story
from tests.soak.lab import Heard, Lab, kinds, personality_names, run_lab
from tests.soak.rules import Request, Timing, judge
from tests.soak.soak import run_chunk, table
from tests.soak.story import Broken, Soak

TIMING = Timing(50, 5_000, 5_000)
NAMES = personality_names()


def test_every_personality_is_an_ecu_of_some_vehicle_file_with_a_recipe() -> None:
    assert sorted(kinds()) == NAMES, "name a new personality in a file of fixtures/vehicles, with its recipe"


@pytest.mark.parametrize("name", NAMES)
def test_ecu_answers_a_thousand_requests_as_the_standard_allows(name: str) -> None:
    result = run_chunk(name, seed=7, first=0, count=10)
    assert result.failures == ()
    assert result.tally.requests >= 1_000
    assert "NRC 0x7F" in table({name: (result.tally, 0)})


@pytest.mark.parametrize("name", NAMES[:1])
def test_case_is_the_same_for_the_same_seed_and_number(name: str) -> None:
    traces: list[list[str]] = [[], [], []]
    for trace, number in zip(traces, (3, 3, 4), strict=True):
        run_case(name, 1, number, trace.append)
    assert traces[0] == traces[1] != traces[2]


# Single rules ---------------------------------------------------------------------------------------


def found(request: str, *answers: str, functional: bool = False, after_ms: float = 1) -> str:
    """Judge answers that begin one after another, `after_ms` apart."""
    heard = [Heard(int(n * after_ms * NS_PER_MS), bytes.fromhex(each)) for n, each in enumerate(answers, 1)]
    return "; ".join(judge(Request(bytes.fromhex(request), functional, 0), heard, TIMING))


@pytest.mark.parametrize(
    ("request_", "answers"),
    [
        ("22F186", ["62F18601"]), ("1003", ["5003003201F4"]), ("3E80", []), ("3E00", ["7E00"]), ("BA", ["7FBA11"]),
        ("31010202", ["7F3178", "7F3178", "7101020200"]), ("3680AA", ["7680"]), ("3101FF00", ["7F3113"]),
        ("1183", []), ("22F1", ["7F2213"]), ("3400440000000000000100", ["74200FFF"]), ("1983", ["7F1912"]),
    ],
)  # fmt: skip
def test_right_answers_pass(request_: str, answers: list[str]) -> None:
    assert found(request_, *answers) == ""


@pytest.mark.parametrize(
    ("request_", "answers", "told"),
    [
        ("22F186", [], "no answer"),
        ("22F186", ["7F2278"], "no final answer"),
        ("22F186", ["62F18601", "62F18601"], "2 final answers"),
        ("22F186", ["62F18601", "7F2278"], "0x78 after the final answer"),
        ("22F186", ["62F19001"], "does not repeat"),
        ("22F186", ["7F2E31"], "another service"),
        ("22F186", ["7F2235"], "none of service"),
        ("22F186", ["7F22FF"], "reserved"),
        ("22F186", ["7F2231FF"], "4 bytes"),
        ("22F18600", ["62F18601"], "a request of 4 bytes"),
        ("1083", ["5003003201F4"], "suppressed"),
        ("1003", ["5002003201F4"], "does not repeat"),
        ("1003", ["5003"], "does not repeat"),
        ("3601AA", ["7602"], "does not repeat"),
        ("37", ["7F3712"], "none of service"),
        ("BA", ["FA"], "does not have"),
        ("BA", ["7FBA22"], "none of service"),
    ],
)
def test_wrong_answers_are_told(request_: str, answers: list[str], told: str) -> None:
    assert told in found(request_, *answers)


def test_functional_request_may_find_silence_and_is_never_told_what_is_unknown() -> None:
    assert found("BA", functional=True) == ""
    assert "functional" in found("BA", "7FBA11", functional=True)
    assert "functional" in found("22FFFF", "7F2231", functional=True)
    assert found("22FFFF", "7F2278", "7F2231", functional=True) == ""


def test_answer_after_p2_and_after_p2_star_is_late() -> None:
    assert "50 ms are allowed" in found("22F186", "62F18601", after_ms=54)
    assert found("22F186", "62F18601", after_ms=52) == ""
    assert "5000 ms are allowed" in found("22F186", "7F2278", "62F18601", after_ms=5_004)


# A whole story with an ECU that does something wrong ------------------------------------------------


def spoilt(spoil: Callable[[Lab, bytes], list[bytes]], number: int, name: str = "body_controller") -> None:
    """Run a case in which `spoil` changes what the ECU says, or does something to it meanwhile."""

    async def story(lab: Lab) -> None:
        genuine = lab.tester.on_message

        def on_message(payload: bytes) -> None:
            for each in spoil(lab, payload):
                genuine(each)

        lab.tester.on_message = on_message  # type: ignore[method-assign]
        await soak_story(Soak(lab, random.Random(number), lambda line: None), 200)

    run_lab(name, story)


def _refusal(pdu: bytes) -> bool:
    return len(pdu) == 3 and pdu[0] == 0x7F and pdu[2] != 0x78


def _writes_though_it_refused(lab: Lab, pdu: bytes) -> list[bytes]:
    if _refusal(pdu):
        record = lab.memory.nvm.record
        lab.memory.nvm.preload(replace(record, release_floor=record.release_floor + 1))
    return [pdu]


def _forgets_flash_though_it_refused(lab: Lab, pdu: bytes) -> list[bytes]:
    if _refusal(pdu):
        lab.memory.flash.flip_bit("image:A", 5, 1)
    return [pdu]


def _restarts_by_itself(lab: Lab, pdu: bytes) -> list[bytes]:
    if pdu[0] == 0x62 and lab.world.clock.now_ns() > 5_000 * NS_PER_MS:
        lab.node.reset()
    return [pdu]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda lab, pdu: [pdu], None),
        (lambda lab, pdu: [] if _refusal(pdu) and pdu[2] == 0x31 else [pdu], "no answer"),
        (lambda lab, pdu: [pdu, pdu] if _refusal(pdu) else [pdu], "2 final answers"),
        (lambda lab, pdu: [pdu[:2] + b"\x10"] if _refusal(pdu) else [pdu], "NRC 0x10"),
        (lambda lab, pdu: [pdu[:-1] + b"\x01"] if pdu[:3] == b"\x62\xf1\x86" else [pdu], "session is 1"),
        (lambda lab, pdu: [b"\x7f\x22\x11"] if pdu[:4] == b"\x62\xf1\x86\x03" else [pdu], "service was"),
        (lambda lab, pdu: [b"\x71\x01\xff\x00\x00"] if pdu == b"\x7f\x31\x33" else [pdu], "though security is locked"),
        (_writes_though_it_refused, "nvm changed"),
        (_forgets_flash_though_it_refused, "flash changed"),
        (_restarts_by_itself, "without a reason"),
    ],
)
def test_ecu_that_breaks_a_rule_is_caught(spoil: Callable[[Lab, bytes], list[bytes]], told: str | None) -> None:
    if told is None:
        spoilt(spoil, 0)
        return
    with pytest.raises(Broken, match=told):
        _spoilt_often(spoil)


def _spoilt_often(spoil: Callable[[Lab, bytes], list[bytes]]) -> None:
    for number in range(20):
        spoilt(spoil, number)
