"""The UDS client and answers that are none: unasked, doubled, late, foreign."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.flasher.errors import NegativeResponse, ProtocolViolation, TransportError
from bench.flasher.services import (
    read_did,
    request_seed,
    session_control,
    start_routine,
    transfer_data,
)

if TYPE_CHECKING:
    from bench.flasher.client import UdsClient
    from tests.flasher.conftest import Bench

HARDWARE_ID, VERSION = read_did(0xF191), read_did(0xF189)
P2_LIMIT_NS = 100 * NS_PER_MS
CHECK = start_routine(0x0202)


# Answers that hold only once -----------------------------------------------------------------------


def asked_again(bench: Bench, client: UdsClient) -> bytes:
    """Ask for a seed that is given up, then again for the newest one."""
    with pytest.raises(TransportError):
        bench.run(client.call_newest(request_seed(1)))
    return bench.run(client.call_newest(request_seed(1)))


@pytest.mark.parametrize("second", ["6701bbbb", "7f2778"], ids=["at once", "after 0x78"])
def test_late_seed_is_not_taken_for_that_of_the_repeated_request(bench: Bench, second: str) -> None:
    bench.ecu.on("2701", lambda ecu, _: [ecu.answer(101, bytes.fromhex("6701aaaa"))])
    bench.ecu.on(
        "2701",
        lambda ecu, _: [ecu.answer(20, bytes.fromhex(second)), ecu.answer(90, bytes.fromhex("6701bbbb"))],
    )
    assert asked_again(bench, bench.client()) == b"\xbb\xbb"
    assert bench.tally.counts.late_answer == 1


def test_late_seed_counts_where_the_ecu_was_too_busy_for_the_repeated_request(bench: Bench) -> None:
    bench.ecu.on("2701", lambda ecu, _: [ecu.answer(101, bytes.fromhex("6701aaaa"))])
    bench.ecu.on("2701", bench.acts.lose_request())
    assert asked_again(bench, bench.client()) == b"\xaa\xaa"


def test_seed_after_a_lost_one_is_taken_once_p2_brought_no_other(bench: Bench) -> None:
    bench.ecu.on("2701", bench.acts.lose_answer())
    bench.ecu.on("2701", lambda ecu, _: [ecu.answer(1, bytes.fromhex("6701bbbb"))])
    assert asked_again(bench, bench.client()) == b"\xbb\xbb"
    assert 2 * P2_LIMIT_NS < bench.loop.now_ns() < 2 * P2_LIMIT_NS + 3 * NS_PER_MS
    assert bench.tally.counts.late_answer == 0


def test_refusal_behind_a_late_seed_is_the_answer_to_the_repeated_request(bench: Bench) -> None:
    bench.ecu.on("2701", lambda ecu, _: [ecu.answer(101, bytes.fromhex("6701aaaa"))])
    bench.ecu.on("2701", lambda ecu, _: [ecu.answer(20, bytes.fromhex("7f2737"))])
    with pytest.raises(NegativeResponse) as refused:
        asked_again(bench, bench.client())
    assert refused.value.nrc == 0x37


def test_newest_answer_of_a_request_that_is_owed_nothing_waits_for_nothing(bench: Bench) -> None:
    bench.ecu.on("2701", lambda ecu, _: [ecu.answer(1, bytes.fromhex("6701aaaa"))])
    assert bench.run(bench.client().call_newest(request_seed(1))) == b"\xaa\xaa"
    assert bench.loop.now_ns() < 2 * NS_PER_MS


# Answers told apart ---------------------------------------------------------------------------------


def test_answer_given_twice_counts_as_unexpected_at_the_next_request(bench: Bench) -> None:
    client = bench.client()
    bench.ecu.on("22f191", lambda ecu, request: [ecu.answer(1, ecu.obey(request)), ecu.answer(1.9, ecu.obey(request))])
    bench.call(HARDWARE_ID, client)
    assert bench.call(VERSION, client) == b"1.0.0"
    assert (bench.tally.counts.unexpected_answer, bench.tally.counts.late_answer) == (1, 0)


def test_block_answered_twice_does_not_break_the_next_block(bench: Bench) -> None:
    bench.ecu.on("3601", lambda ecu, request: [ecu.answer(1, ecu.obey(request)), ecu.answer(125, b"\x76\x01")])
    report = bench.flash()
    assert (report.downloads, report.counts["unexpected_answer"], report.counts["block_repeat"]) == (1, 1, 0)
    bench.assert_runs("1.1.0")


@pytest.mark.parametrize("late", ["7f2231", "62f19131"], ids=["refusal", "value"])
def test_late_answer_of_another_service_is_told_from_a_foreign_one(bench: Bench, late: str) -> None:
    client = bench.client()
    bench.ecu.on("22f191", lambda ecu, _: [ecu.answer(101, bytes.fromhex(late))])
    with pytest.raises(TransportError):
        bench.call(HARDWARE_ID, client)
    assert bench.call(session_control(3), client)
    assert (bench.tally.counts.late_answer, bench.tally.counts.foreign_answer) == (1, 0)


def test_0x78_of_a_request_that_was_given_up_leaves_its_final_answer_owed(bench: Bench) -> None:
    client = bench.client()
    bench.ecu.on("22f191", lambda ecu, _: [ecu.answer(100.5, b"\x7f\x22\x78"), ecu.answer(101, b"\x62\xf1\x91\x31")])
    with pytest.raises(TransportError):
        bench.call(HARDWARE_ID, client)
    bench.ecu.on("1003", bench.acts.late(20))
    assert bench.call(session_control(3), client)
    assert (bench.tally.counts.late_answer, bench.tally.counts.pending) == (2, 0)


def test_answer_later_than_p2_star_is_owed_no_longer_and_a_wrong_echo_again(bench: Bench) -> None:
    client = bench.client()
    bench.ecu.on("22f191", bench.acts.lose_answer())
    with pytest.raises(TransportError):
        bench.call(HARDWARE_ID, client)
    bench.run(bench.loop.sleep_ns(6 * NS_PER_S))
    bench.ecu.on("22f189", bench.acts.instead("62f19131"))
    with pytest.raises(ProtocolViolation, match="must begin with 62 f1 89"):
        bench.call(VERSION, client)


def test_0x78_for_another_service_gives_no_patience(bench: Bench) -> None:
    bench.ecu.on("22f191", lambda ecu, _: [ecu.answer(1, b"\x7f\x36\x78"), ecu.answer(3_000, b"\x62\xf1\x91\x31")])
    with pytest.raises(TransportError) as late:
        bench.call(HARDWARE_ID)
    assert late.value.name == "P2"
    assert (bench.tally.counts.pending, bench.tally.counts.foreign_answer) == (0, 1)


def test_positive_answer_of_another_service_after_0x78_is_foreign_and_waited_past(bench: Bench) -> None:
    bench.ecu.on(
        "22f191",
        lambda ecu, request: [
            ecu.answer(1, b"\x7f\x22\x78"),
            ecu.answer(1_000, b"\x71\x01\xff\x00\x00"),
            ecu.answer(4_900, ecu.obey(request)),
        ],
    )
    assert bench.call(HARDWARE_ID).startswith(b"BCM-HW-03")
    assert (bench.tally.counts.pending, bench.tally.counts.foreign_answer) == (1, 1)


def test_foreign_answer_after_0x78_does_not_lengthen_p2_star(bench: Bench) -> None:
    bench.ecu.on("22f191", lambda ecu, _: [ecu.answer(1, b"\x7f\x22\x78"), ecu.answer(5_000, b"\x7e\x00")])
    with pytest.raises(TransportError) as late:
        bench.call(HARDWARE_ID)
    assert late.value.name == "P2*"
    assert bench.loop.now_ns() < 5_100 * NS_PER_MS


def test_0x3e_answers_between_0x78_and_the_final_answer_of_0x34_are_foreign(bench: Bench) -> None:
    bench.ecu.on(
        "34",
        lambda ecu, request: [
            ecu.answer(1, b"\x7f\x34\x78"),
            *(ecu.answer(2_000 * n, b"\x7e\x00") for n in range(1, 3)),
            ecu.answer(4_500, ecu.obey(request)),
        ],
    )
    report = bench.flash()
    assert report.counts["foreign_answer"] == 2
    assert report.downloads == 1
    bench.assert_runs("1.1.0")


def test_wrong_echo_that_nobody_is_owed_is_a_protocol_violation_naming_both(bench: Bench) -> None:
    bench.ecu.on("36", bench.acts.instead("7609"))
    with pytest.raises(ProtocolViolation, match="must begin with 76 05, it is 76 09"):
        bench.call(transfer_data(5, b"x"))


def test_pending_limit_counts_from_the_end_of_the_request_and_is_one_for_all_0x78(bench: Bench) -> None:
    bench.limits(timing={"pending_limit_s": 8})
    bench.ecu.on("22f191", lambda ecu, _: [ecu.answer(1, b"\x7f\x22\x78"), ecu.answer(4_000, b"\x7f\x22\x78")])
    with pytest.raises(TransportError) as late:
        bench.call(HARDWARE_ID)
    assert late.value.name == "PENDING_LIMIT"
    assert bench.loop.now_ns() == 3 * 32_000 + 8 * NS_PER_S


def test_p2_of_65_seconds_that_the_ecu_told_is_named_p2_when_it_runs_out(bench: Bench) -> None:
    client = bench.client()
    bench.ecu.on("1003", bench.acts.instead("5003ffffffff"))
    client.adopt(bench.call(session_control(3), client))
    bench.ecu.on("22f191", bench.acts.lose_request())
    with pytest.raises(TransportError) as late:
        bench.call(HARDWARE_ID, client)
    assert late.value.name == "P2"
