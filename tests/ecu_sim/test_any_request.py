"""Any bytes at any service in any state: an answer the standard allows, or silence, never a crash."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bench.wire.uds import WITH_SUB_FUNCTION, Nrc, Sid
from bench.wire.uds_services import ALL_DECODERS

GENERAL = {Nrc.SERVICE_NOT_SUPPORTED, Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION, Nrc.INCORRECT_LENGTH_OR_FORMAT}
SUB_FUNCTION = {Nrc.SUB_FUNCTION_NOT_SUPPORTED, Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION}
SPECIFIC: dict[int, set[Nrc]] = {
    Sid.DIAGNOSTIC_SESSION_CONTROL: {Nrc.CONDITIONS_NOT_CORRECT},
    Sid.ECU_RESET: {Nrc.CONDITIONS_NOT_CORRECT, Nrc.SECURITY_ACCESS_DENIED},
    Sid.CLEAR_DIAGNOSTIC_INFORMATION: {Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE},
    Sid.READ_DTC_INFORMATION: {Nrc.REQUEST_OUT_OF_RANGE},
    Sid.READ_MEMORY_BY_ADDRESS: {
        Nrc.RESPONSE_TOO_LONG, Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
    },
    Sid.READ_DATA_BY_IDENTIFIER: {Nrc.RESPONSE_TOO_LONG, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED},
    Sid.SECURITY_ACCESS: {
        Nrc.REQUEST_SEQUENCE_ERROR, Nrc.INVALID_KEY, Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS,
        Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED,
    },
    Sid.COMMUNICATION_CONTROL: {Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE},
    Sid.WRITE_DATA_BY_IDENTIFIER: {
        Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
    },
    Sid.ROUTINE_CONTROL: {
        Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_SEQUENCE_ERROR, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
        Nrc.GENERAL_PROGRAMMING_FAILURE,
    },
    Sid.REQUEST_DOWNLOAD: {
        Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
        Nrc.UPLOAD_DOWNLOAD_NOT_ACCEPTED,
    },
    Sid.REQUEST_UPLOAD: {
        Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
    },
    Sid.REQUEST_FILE_TRANSFER: {
        Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
        Nrc.UPLOAD_DOWNLOAD_NOT_ACCEPTED,
    },
    Sid.WRITE_MEMORY_BY_ADDRESS: {
        Nrc.CONDITIONS_NOT_CORRECT, Nrc.REQUEST_OUT_OF_RANGE, Nrc.SECURITY_ACCESS_DENIED,
        Nrc.GENERAL_PROGRAMMING_FAILURE,
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
    assert sid in ALL_DECODERS
    assert answer[0] == sid + 0x40
    assert not suppressed
    if sid in WITH_SUB_FUNCTION:
        assert answer[1] == request[1] & 0x7F
    if sid == Sid.TRANSFER_DATA:
        assert answer[1] == request[1]


known_beginnings = st.sampled_from(
    [
        bytes((sid, *rest))
        for sid in sorted(ALL_DECODERS)
        for rest in ((), (0x01,), (0x81,), (0x02,), (0x03,), (0x00,), (0x04,), (0x11,))
    ]
    + [bytes.fromhex(text) for text in (
        "3101FF0044", "3101FF004400000000", "31010202", "3101FF01", "31010203", "31010204", "340044", "34004400000000",
        "22F190", "2EF15A", "2E0200", "2EF190", "3601", "3602", "2702", "2712", "2344", "350044", "3D44", "1904F00316",
        "1906", "2804", "3103020A", "3102020A", "380100016100", "38040001", "380200016101", "3805",
    )]
)  # fmt: skip
whole_requests = st.sampled_from([bytes.fromhex(text) for text in (
    "1002", "1003", "1004", "1101", "1103", "14FFFFFF", "14060251", "1902FF", "190A", "1903", "1904060251FF",
    "1906060251FF", "2711", "2701", "280303", "280001", "2804010021", "8502", "8501", "3101020A", "3102020A",
    "3103020A", "3101FF00440000000000001000", "3400440000000000000010", "34004400F0000000000100", "2E02000102",
    "23440000000000000010", "3500440000000000000010", "3601", "3602", "3601AABB", "37", "38010001610001" + "0202",
    "3805000001", "380500012F", "380400016100", "3802000161",
)])  # fmt: skip
requests = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.builds(lambda head, tail: head + tail, known_beginnings, st.binary(max_size=12)),
    whole_requests,
)
conversations = st.lists(st.tuples(requests, st.booleans()), min_size=1, max_size=12)


def ecu_of(car: Any) -> Any:
    """Return the simulated ECU."""
    return car.vehicle._ecus["ecu"]


def what_a_refusal_leaves(car: Any) -> tuple[object, ...]:
    """Return everything that a refused request must not change; failed attempts count, so they are left out."""
    state, memory = ecu_of(car).state, car.memory
    record = memory.nvm.record
    return (
        state.session, state.security_open, state.authenticated, state.communication_type,
        state.network_management_type, frozenset(state.silent_nodes), frozenset(state.unmanaged_nodes),
        ecu_of(car).dtcs.setting_on, tuple(dtc.code for dtc in ecu_of(car).dtcs.stored),
        memory.flash.programs, memory.flash.erases, record.active_bank, record.trial_bank, record.release_floor,
        record.fingerprint, memory.settings.value.configuration,
        None if memory.files is None else tuple(memory.files.files.items()),
    )  # fmt: skip


async def led_to(car: Any, state: str) -> None:
    """Lead a fresh ECU to a state."""
    if state in ("extended", "safety"):
        await car.good("1003")
    if state == "safety" and car.rules.diagnostics.safety_session:
        await car.good("1004")
    if state == "unlocked application":
        await car.unlock_application()
    if state == "programming":
        await car.good("1002")
    if state == "unlocked":
        await car.programming()


NEARLY_RIGHT = (
    "2E020001", "2E0200010203", "2EF15A00", "2EF1905A5A5A3030544142454E43483030303032", "2802", "280304", "2804010099",
    "8503", "850200", "3D4400000000000001000000", "3101FF00440000000000", "3101FF0044F000000000001000",
    "340044F0000000",
    "27120000000000000000", "27020000000000000000", "140000", "14123456", "3801000161", "3802000162", "1105", "100200",
)  # fmt: skip
"""Requests that are refused wherever they are asked, after most of them would have been taken."""
STATES = {
    "application": True, "extended": True, "safety": True, "unlocked application": True,
    "bootloader": False, "programming": False, "unlocked": False,
}  # fmt: skip
"""State, and whether an image is installed."""


@pytest.mark.parametrize(
    "personality", ["adas", "body_controller", "door_module", "ev_battery", "gateway", "head_unit"]
)
@pytest.mark.parametrize("state", STATES)
@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(conversation=conversations)
@example(conversation=[(bytes.fromhex(text), False) for text in NEARLY_RIGHT])
def test_any_conversation_gets_allowed_answers_and_the_ecu_stays_alive(
    drive: Any, personality: str, state: str, conversation: list[tuple[bytes, bool]]
) -> None:
    async def story(car: Any) -> None:
        await led_to(car, state)
        for request, functional in conversation:
            functional = functional and len(request) <= 7
            before = what_a_refusal_leaves(car)
            if functional:
                answers = await car.tester.tell_all(request, 1_000)
            else:
                await car.ask(request, 1_000)
                answers = [answer for _, answer in car.tester.answers]
            check(request, answers, functional=functional)
            await car.wait_ms(200)  # it may have reset
            if answers and answers[-1][0] == 0x7F and answers[-1][2] != Nrc.RESPONSE_PENDING:
                assert what_a_refusal_leaves(car) == before, request.hex(" ")
            assert await car.ask(bytes.fromhex("22F186")) is not None
        assert car.memory.flash.driver_faults == []

    drive(story, personality, installed=STATES[state])
