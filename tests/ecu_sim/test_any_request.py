"""Any bytes at any service in any state: an answer the standard allows, or silence, never a crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.wire.uds import DECODERS, WITH_SUB_FUNCTION, Nrc, Sid

GENERAL = {Nrc.SERVICE_NOT_SUPPORTED, Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION, Nrc.INCORRECT_LENGTH_OR_FORMAT}
SUB_FUNCTION = {Nrc.SUB_FUNCTION_NOT_SUPPORTED, Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION}
SPECIFIC: dict[int, set[Nrc]] = {
    Sid.DIAGNOSTIC_SESSION_CONTROL: {Nrc.CONDITIONS_NOT_CORRECT},
    Sid.ECU_RESET: {Nrc.CONDITIONS_NOT_CORRECT, Nrc.SECURITY_ACCESS_DENIED},
    Sid.CLEAR_DIAGNOSTIC_INFORMATION: {Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE},
    Sid.READ_DATA_BY_IDENTIFIER: {Nrc.RESPONSE_TOO_LONG, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED},
    Sid.SECURITY_ACCESS: {
        Nrc.REQUEST_SEQUENCE_ERROR, Nrc.INVALID_KEY, Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS,
        Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED,
    },
    Sid.COMMUNICATION_CONTROL: {Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE},
    Sid.WRITE_DATA_BY_IDENTIFIER: {Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED},
    Sid.ROUTINE_CONTROL: {
        Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_SEQUENCE_ERROR, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
        Nrc.GENERAL_PROGRAMMING_FAILURE,
    },
    Sid.REQUEST_DOWNLOAD: {
        Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
        Nrc.UPLOAD_DOWNLOAD_NOT_ACCEPTED,
    },
    Sid.TRANSFER_DATA: {
        Nrc.REQUEST_SEQUENCE_ERROR, Nrc.REQUEST_OUT_OF_RANGE, Nrc.TRANSFER_DATA_SUSPENDED,
        Nrc.GENERAL_PROGRAMMING_FAILURE, Nrc.WRONG_BLOCK_SEQUENCE_COUNTER,
    },
    Sid.REQUEST_TRANSFER_EXIT: {Nrc.REQUEST_SEQUENCE_ERROR, Nrc.GENERAL_PROGRAMMING_FAILURE},
}  # fmt: skip
FUNCTIONALLY_SILENT = {0x11, 0x12, 0x31, 0x7E, 0x7F}


def allowed_nrcs(sid: int) -> set[Nrc]:
    return GENERAL | (SUB_FUNCTION if sid in WITH_SUB_FUNCTION else set()) | SPECIFIC.get(sid, set())


def check(request: bytes, answers: list[bytes], *, functional: bool) -> None:
    """Hold the answers to what ISO 14229-1 allows."""
    waits = [a for a in answers if a[0] == 0x7F and a[2] == Nrc.RESPONSE_PENDING]
    finals = [a for a in answers if a not in waits]
    assert len(finals) <= 1
    sid = request[0]
    suppressed = sid in WITH_SUB_FUNCTION and len(request) > 1 and request[1] & 0x80 and not waits
    if not finals:
        assert functional or suppressed
        return
    (answer,) = finals
    if answer[0] == 0x7F:
        assert len(answer) == 3
        assert answer[1] == sid
        assert answer[2] in allowed_nrcs(sid)
        assert not (functional and answer[2] in FUNCTIONALLY_SILENT and not waits)
        return
    assert sid in DECODERS
    assert answer[0] == sid + 0x40
    assert not suppressed
    if sid in WITH_SUB_FUNCTION:
        assert answer[1] == request[1] & 0x7F
    if sid == Sid.TRANSFER_DATA:
        assert answer[1] == request[1]


known_beginnings = st.sampled_from(
    [bytes((sid, *rest)) for sid in sorted(DECODERS) for rest in ((), (0x01,), (0x81,), (0x02,), (0x03,), (0x00,))]
    + [bytes.fromhex(text) for text in (
        "3101FF0044", "3101FF004400000000", "31010202", "3101FF01", "31010203", "31010204", "340044", "34004400000000",
        "22F190", "2EF15A", "3601", "3602", "2702",
    )]
)  # fmt: skip
requests = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.builds(lambda head, tail: head + tail, known_beginnings, st.binary(max_size=12)),
    st.just(bytes.fromhex("1002")), st.just(bytes.fromhex("1003")),
    st.just(bytes.fromhex("3101FF00440000000000001000")), st.just(bytes.fromhex("3400440000000000000010")),
)  # fmt: skip
conversations = st.lists(st.tuples(requests, st.booleans()), min_size=1, max_size=12)


@pytest.mark.parametrize("personality", ["body_controller", "gateway"])
@pytest.mark.parametrize("state", ["application", "bootloader", "unlocked"])
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(conversation=conversations)
def test_any_conversation_gets_allowed_answers_and_the_ecu_stays_alive(
    drive: Any, personality: str, state: str, conversation: list[tuple[bytes, bool]]
) -> None:
    async def story(car: Any) -> None:
        if state == "unlocked":
            await car.programming()
        for request, functional in conversation:
            functional = functional and len(request) <= 7
            if functional:
                answers = await car.tester.tell_all(request, 1_000)
            else:
                await car.ask(request, 1_000)
                answers = [answer for _, answer in car.tester.answers]
            check(request, answers, functional=functional)
            await car.wait_ms(200)  # it may have reset
            assert await car.ask(bytes.fromhex("22F186")) is not None
        assert car.vehicle.dump("ecu").driver_faults == ()

    drive(story, personality, installed=state == "application")
