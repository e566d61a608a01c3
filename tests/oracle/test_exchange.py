"""A request and its answer (ISO 14229-1): what a positive answer repeats, and what the judge reads of both."""

from __future__ import annotations

import pytest

from bench.oracle.decode_isotp import Message
from bench.oracle.exchange import Exchange, answers, range_bytes


def message(text: str, *, complete: bool = True, t_ns: int = 0) -> Message:
    return Message(t_ns, t_ns + 5, "agent", bytes.fromhex(text), complete)


def exchange(request: str, answer: str | None = None) -> Exchange:
    return Exchange("body", "can0", message(request), None if answer is None else message(answer, t_ns=10))


ECHOES = [
    ("1003AABB", "5003003201F4", 1),
    ("1101AABB", "5101", 1),
    ("1902FFAA", "5902FF", 1),
    ("22F189F190", "62F189312E30", 2),
    ("2701AABB", "670111223344", 1),
    ("280301AA", "6803", 1),
    ("2908AABB", "690800", 1),
    ("2EF19001", "6EF190", 2),
    ("3101FF0000", "7101FF0000", 3),
    ("340044000000000100", "74200FFF", 0),
    ("3500440000000001", "75200FFF", 0),
    ("360102", "7601", 1),
    ("37AABB", "77", 0),
    ("3801000461626364", "7801", 1),
    ("3E00AABB", "7E00", 1),
    ("8502AABB", "C502", 1),
]
"""Requests, their positive answers, and how many bytes behind the service are repeated."""


@pytest.mark.parametrize(("request_", "answer", "repeated"), ECHOES)
def test_a_positive_answer_repeats_what_its_service_asks_for(request_: str, answer: str, repeated: int) -> None:
    right = bytes.fromhex(answer)
    assert answers(message(request_), right)
    for place in range(len(right)):
        wrong = bytearray(right)
        wrong[place] ^= 0x01
        assert answers(message(request_), bytes(wrong)) is (place > repeated), place
    if repeated:
        assert not answers(message(request_), right[:repeated])


@pytest.mark.parametrize("service", [0x10, 0x11, 0x19, 0x27, 0x28, 0x29, 0x31, 0x3E, 0x85])
def test_an_answer_leaves_out_the_bit_that_would_suppress_it(service: int) -> None:
    rest = b"\xff\x00"
    asked = Message(0, 5, "agent", bytes((service, 0x81)) + rest)
    assert answers(asked, bytes((service + 0x40, 0x01)) + rest)
    assert not answers(asked, bytes((service + 0x40, 0x81)) + rest)


@pytest.mark.parametrize("service", [0x22, 0x2E, 0x36, 0x38])
def test_what_is_no_sub_function_is_repeated_with_all_its_bits(service: int) -> None:
    asked = Message(0, 5, "agent", bytes((service, 0x81, 0x90)))
    assert answers(asked, bytes((service + 0x40, 0x81, 0x90)))
    assert not answers(asked, bytes((service + 0x40, 0x01, 0x90)))


@pytest.mark.parametrize(
    ("written", "echo_bytes"),
    [("3D" + "11" + "80" + "01" + "AA", 3), ("3D" + "24" + "00008000" + "0001" + "AA", 7), ("3D" + "00" + "AA", 1)],
)
def test_written_memory_is_repeated_with_format_address_and_size(written: str, echo_bytes: int) -> None:
    asked = bytes.fromhex(written)
    assert range_bytes(asked) == echo_bytes
    assert answers(message(written), b"\x7d" + asked[1 : 1 + echo_bytes])
    assert not answers(message(written), b"\x7d" + asked[1:echo_bytes])
    assert not answers(message(written), b"\x7d" + asked[1:echo_bytes] + bytes((asked[echo_bytes] ^ 1,)))


def test_a_write_without_a_format_has_no_range() -> None:
    assert range_bytes(b"\x3d") == 0
    assert range_bytes(b"\x3d\x23") == 1 + 2 + 3
    assert range_bytes(b"\x3d\xf1") == 1 + 15 + 1
    assert range_bytes(b"\x3d\x1f") == 1 + 1 + 15


@pytest.mark.parametrize(
    ("answer", "fits"),
    [("7F1022", True), ("7F1078", False), ("7F1122", False), ("7F10", False), ("7F102200", False), ("7F1077", True)],
)
def test_a_negative_answer_names_the_service_and_0x78_is_not_final(answer: str, fits: bool) -> None:
    assert answers(message("1003"), bytes.fromhex(answer)) is fits


def test_a_request_that_broke_off_has_no_answer() -> None:
    assert not answers(message("1003", complete=False), bytes.fromhex("5003"))


def test_what_an_exchange_says() -> None:
    asked = exchange("2783AA")
    assert (asked.service, asked.sub_function, asked.positive, asked.negative) == (0x27, 0x03, False, False)
    assert asked.answered_t_ns is None
    assert exchange("27").sub_function is None
    assert exchange("277F").sub_function == 0x7F
    yes, no = exchange("1003", "5003"), exchange("1003", "7F1022")
    assert (yes.positive, yes.negative, no.positive, no.negative) == (True, False, False, True)
    assert yes.answered_t_ns == 15


@pytest.mark.parametrize(
    ("request_", "is_it"),
    [
        ("3101FF00", True), ("3101FF0044", True), ("3102FF00", False), ("3101FF01", False), ("31010000", False),
        ("3101FF", False), ("2101FF00", False),
    ],
)  # fmt: skip
def test_a_routine_is_started_by_sub_function_1_and_its_identifier(request_: str, is_it: bool) -> None:
    assert exchange(request_).is_routine(0xFF00) is is_it


@pytest.mark.parametrize(
    ("request_", "is_it"),
    [("3E80", True), ("3E00", False), ("3E", False), ("3E81", False), ("3E8000", True), ("1080", False)],
)
def test_tester_present_keeps_the_session_when_it_wants_no_answer(request_: str, is_it: bool) -> None:
    assert exchange(request_).is_tester_present() is is_it
