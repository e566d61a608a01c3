from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.flasher.errors import NegativeResponse, ProtocolViolation, TransportError, UdsError
from bench.flasher.services import (
    Call,
    erase_option,
    read_did,
    request_download,
    request_seed,
    send_key,
    session_control,
    start_routine,
    transfer_data,
    transfer_exit,
    write_did,
)

if TYPE_CHECKING:
    from tests.flasher.conftest import Bench, Benches

HARDWARE_ID = read_did(0xF191)
P2_LIMIT_NS = 100 * NS_PER_MS


def failure(bench: Bench, call: Call[object]) -> UdsError:
    with pytest.raises(UdsError) as caught:
        bench.call(call)
    return caught.value


@pytest.mark.parametrize(
    ("call", "payload"),
    [
        (session_control(2), "1002"),
        (request_seed(1), "2701"),
        (send_key(1, b"\x01\x02"), "27020102"),
        (HARDWARE_ID, "22f191"),
        (write_did(0xF15A, b"\x30\x01\x01OTABNCH"), "2ef15a3001014f5441424e4348"),
        (start_routine(0xFF00, erase_option(0x8000, 0x1234)), "3101ff00440000800000001234"),
        (request_download(0x00F0_0000, 256), "34004400f0000000000100"),
        (transfer_data(0xFF, b"abc"), "36ff616263"),
        (transfer_exit(), "37"),
    ],
)
def test_request_has_the_bytes_of_the_standard(call: Call[object], payload: str) -> None:
    assert call.payload.hex() == payload


def test_answer_that_begins_within_p2_is_taken_however_long_it_is(bench: Bench) -> None:
    bench.ecu.hardware_id = "H" * 4000  # 128 ms on the wire, longer than P2
    bench.ecu.on("22f191", bench.acts.late(99))
    assert len(bench.call(HARDWARE_ID)) == 4000


def test_p2_counts_from_the_end_of_a_long_request(bench: Bench) -> None:
    bench.ecu.start_life(programming=True)
    bench.ecu.on("36", bench.acts.late(90))
    assert isinstance(failure(bench, transfer_data(1, bytes(4000))), NegativeResponse)  # 128 ms to send, answered


def test_answer_that_begins_after_p2_is_a_transport_error(bench: Bench) -> None:
    bench.ecu.on("22f191", bench.acts.late(101))
    error = failure(bench, HARDWARE_ID)
    assert isinstance(error, TransportError)
    assert error.name == "P2"
    assert bench.loop.now_ns() == 3 * 32_000 + P2_LIMIT_NS


def test_0x78_restarts_p2_star_each_time(bench: Bench) -> None:
    bench.ecu.on("22f191", bench.acts.pending(3, every_ms=5000))
    assert bench.call(HARDWARE_ID).startswith(b"BCM-HW-03")
    assert bench.tally.counts.pending == 3
    assert bench.loop.now_ns() > 15 * NS_PER_S


def test_silence_after_0x78_is_over_after_p2_star(bench: Bench) -> None:
    bench.ecu.on("22f191", bench.acts.instead("7f2278"))
    error = failure(bench, HARDWARE_ID)
    assert isinstance(error, TransportError)
    assert error.name == "P2*"
    assert 5 * NS_PER_S < bench.loop.now_ns() < 6 * NS_PER_S


def test_0x78_for_ever_ends_at_the_total_limit_of_one_request(bench: Bench) -> None:
    bench.ecu.on("22f191", bench.acts.pending(10_000, every_ms=40))
    error = failure(bench, HARDWARE_ID)
    assert isinstance(error, TransportError)
    assert error.name == "PENDING_LIMIT"
    assert not error.worth_repeating
    assert 60 * NS_PER_S <= bench.loop.now_ns() < 61 * NS_PER_S


def test_0x21_is_repeated_after_a_pause(bench: Bench) -> None:
    bench.ecu.on("22f191", bench.acts.refuse(0x21), times=3)
    assert bench.call(HARDWARE_ID).startswith(b"BCM-HW-03")
    assert bench.tally.counts.busy_repeat == 3
    assert bench.loop.now_ns() > 150 * NS_PER_MS


def test_0x21_for_ever_ends_after_the_recipes_repeats(bench: Bench) -> None:
    bench.ecu.on("22f191", bench.acts.refuse(0x21), times=1000)
    error = failure(bench, HARDWARE_ID)
    assert isinstance(error, NegativeResponse)
    assert (error.sid, error.nrc) == (0x22, 0x21)
    assert len(bench.ecu.received) == 1 + bench.recipe.retries.busy


def test_negative_answer_names_service_code_and_request(bench: Bench) -> None:
    error = failure(bench, read_did(0xABCD))
    assert isinstance(error, NegativeResponse)
    assert "0x22 refused with NRC 0x31 RequestOutOfRange (request 22 ab cd: dataIdentifier 0xABCD)" in str(error)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (session_control(2), "diagnosticSessionType 0x02"),
        (request_seed(1), "securityAccessType 0x01"),
        (start_routine(0xFF00, erase_option(0, 16)), "routineControlType 0x01, routineIdentifier 0xFF00"),
        (request_download(0, 16), "dataFormatIdentifier 0x00, addressAndLengthFormatIdentifier 0x44"),
        (transfer_data(0xFE, b"abc"), "blockSequenceCounter 0xFE"),
        (transfer_exit(), "(request 37)"),
    ],
)
def test_negative_answer_names_the_bytes_that_were_refused(bench: Bench, call: Call[object], named: str) -> None:
    bench.ecu.on(call.payload.hex()[:2], bench.acts.refuse(0x31))
    assert named in str(failure(bench, call))


def test_late_answer_of_a_timed_out_request_is_told_from_a_wrong_one_and_discarded(bench: Bench) -> None:
    client = bench.client()
    bench.ecu.on("22f191", bench.acts.late(100.5))
    with pytest.raises(TransportError):
        bench.call(HARDWARE_ID, client)
    assert bench.call(read_did(0xF189), client) == b"1.0.0"  # the late 62 F1 91 comes first
    assert bench.tally.counts.late_answer == 1
    assert bench.tally.events[-1].detail == "answer=62 f1 91 42 43 4d 2d 48 ..."


def test_answers_that_arrived_before_a_request_are_discarded_and_counted(bench: Bench) -> None:
    client = bench.client()
    bench.ecu.on("22f191", bench.acts.late(101))
    with pytest.raises(TransportError):
        bench.call(HARDWARE_ID, client)
    bench.run(bench.loop.sleep_ns(NS_PER_S))
    assert bench.call(HARDWARE_ID, client).startswith(b"BCM-HW-03")
    assert bench.tally.counts.late_answer == 1


@pytest.mark.parametrize("foreign", ["7e00", "5003003201f4", "7f3e12", "99", "00", "7f", "6ef15a"])
def test_answer_of_another_service_is_discarded_counted_and_logged(bench: Bench, foreign: str) -> None:
    bench.ecu.on("22f191", bench.acts.instead(foreign, then_proper_after_ms=20))
    assert bench.call(HARDWARE_ID).startswith(b"BCM-HW-03")
    assert bench.tally.counts.foreign_answer == 1
    assert bench.tally.events[0].name == "foreign_answer"


def test_foreign_answers_do_not_lengthen_p2(bench: Bench) -> None:
    bench.ecu.on("22f191", bench.acts.instead("7e00", then_proper_after_ms=150))
    error = failure(bench, HARDWARE_ID)
    assert isinstance(error, TransportError)
    assert error.name == "P2"


@pytest.mark.parametrize(
    ("call", "answer", "told"),
    [
        (HARDWARE_ID, "62f19031", "must begin with 62 f1 91"),
        (HARDWARE_ID, "62", "must begin with 62 f1 91"),
        (HARDWARE_ID, "7f22", "negative answer of 2 bytes"),
        (HARDWARE_ID, "7f223100", "negative answer of 4 bytes"),
        (session_control(3), "5003", "malformed answer 50 03"),
        (session_control(3), "5002003201f4", "must begin with 50 03"),
        (start_routine(0x0202), "71010203", "must begin with 71 01 02 02"),
        (request_seed(1), "6701", "malformed answer 67 01"),
        (request_download(0, 16), "74", "malformed answer 74"),
        (request_download(0, 16), "7420ff", "malformed answer 74 20 ff"),
        (transfer_data(5, b"x"), "7606", "must begin with 76 05"),
    ],
)
def test_answer_that_lies_is_a_protocol_violation(bench: Bench, call: Call[object], answer: str, told: str) -> None:
    bench.ecu.on(call.payload.hex()[:2], bench.acts.instead(answer))
    error = failure(bench, call)
    assert isinstance(error, ProtocolViolation)
    assert told in str(error)


def test_answer_that_breaks_off_is_a_transport_error_with_the_transports_name(bench: Bench) -> None:
    bench.ecu.hardware_id = "H" * 4000
    bench.loop.call_at_ns(50 * NS_PER_MS, bench.ecu.cut, 10)
    error = failure(bench, HARDWARE_ID)
    assert isinstance(error, TransportError)
    assert error.name == "N_TIMEOUT_Cr"


def test_second_request_while_one_is_outstanding_is_refused(bench: Bench) -> None:
    client = bench.client()

    async def two() -> None:
        first = bench.loop.create_task(client.call(HARDWARE_ID))
        await bench.loop.sleep_ns(0)
        with pytest.raises(RuntimeError, match="one outstanding request"):
            await client.call(HARDWARE_ID)
        assert (await first).startswith(b"BCM-HW-03")

    bench.run(two())


def test_longer_p2_told_by_the_ecu_is_honoured(bench: Bench) -> None:
    client = bench.client()
    bench.ecu.on("1003", bench.acts.instead("500300c801f4"))  # P2 200 ms
    client.adopt(bench.call(session_control(3), client))
    bench.ecu.on("22f191", bench.acts.late(240))
    assert bench.call(HARDWARE_ID, client).startswith(b"BCM-HW-03")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(answers=st.lists(st.tuples(st.integers(0, 200), st.binary(max_size=6)), max_size=6))
def test_any_answers_at_any_time_end_in_the_value_or_a_named_error(
    benches: Benches, answers: list[tuple[int, bytes]]
) -> None:
    bench = benches()
    bench.ecu.on("22f191", lambda _ecu, _request: [bench.ecu.answer(ms, payload) for ms, payload in answers])
    try:
        value = bench.call(HARDWARE_ID)
    except UdsError:
        value = None
    assert value is None or any(payload == b"\x62\xf1\x91" + value for _, payload in answers)
    assert bench.loop.now_ns() < 61 * NS_PER_S
