"""Fault confinement (ISO 11898-1): error counters, error-passive, bus-off."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.wire.can_errors import (
    ControllerState,
    FaultConfinement,
    error_frame_bits,
    unacknowledged_attempts,
    unacknowledged_bits,
)

EVENTS = ("transmit_failed", "not_acknowledged", "receive_failed", "primary", "transmitted", "received")


def after(*events: str) -> FaultConfinement:
    confined = FaultConfinement()
    for event in events:
        if event == "primary":
            confined.receive_failed(primary=True)
        elif event == "receive_failed":
            confined.receive_failed(primary=False)
        else:
            getattr(confined, event)()
    return confined


def test_transmit_error_counts_8_and_good_frame_takes_1_off() -> None:
    assert after("transmit_failed", "transmit_failed", "transmitted").tec == 15


def test_receive_error_counts_1_and_8_more_for_whoever_saw_it_first() -> None:
    assert after("receive_failed").rec == 1
    assert after("primary").rec == 9


def test_controller_is_error_passive_from_128_of_either_counter() -> None:
    assert after(*["transmit_failed"] * 15).state is ControllerState.ERROR_ACTIVE
    assert after(*["transmit_failed"] * 16).state is ControllerState.ERROR_PASSIVE
    assert after(*["receive_failed"] * 127).state is ControllerState.ERROR_ACTIVE
    assert after(*["receive_failed"] * 128).state is ControllerState.ERROR_PASSIVE


def test_controller_is_bus_off_from_tec_256() -> None:
    assert after(*["transmit_failed"] * 31).state is ControllerState.ERROR_PASSIVE
    assert after(*["transmit_failed"] * 32).state is ControllerState.BUS_OFF


def test_missing_acknowledgement_counts_up_to_error_passive_and_never_to_bus_off() -> None:
    confined = after(*["not_acknowledged"] * 1000)
    assert (confined.tec, confined.state) == (128, ControllerState.ERROR_PASSIVE)


def test_good_frame_brings_a_passive_receiver_back_to_error_active() -> None:
    confined = after(*["receive_failed"] * 200, "received")
    assert (confined.rec, confined.state) == (127, ControllerState.ERROR_ACTIVE)


@given(st.lists(st.sampled_from(EVENTS), max_size=300))
def test_counters_never_leave_their_range_and_state_follows_them(events: list[str]) -> None:
    confined = after(*events)
    assert confined.tec >= 0
    assert 0 <= confined.rec <= 255
    passive = confined.tec > 127 or confined.rec > 127
    wanted = ControllerState.ERROR_PASSIVE if passive else ControllerState.ERROR_ACTIVE
    assert confined.state is (ControllerState.BUS_OFF if confined.tec > 255 else wanted)
    assert confined.clean is (confined.tec == confined.rec == 0)


def test_error_frame_has_two_flags_where_bits_are_stuffed_and_one_behind_the_crc() -> None:
    assert error_frame_bits(20, 111) == 6 + 6 + 8 + 3
    assert error_frame_bits(111 - 5, 111) == 6 + 8 + 3


def test_unacknowledged_attempt_has_an_error_flag_in_place_of_the_end_of_frame() -> None:
    acknowledged_tail = 1 + 7 + 3
    assert unacknowledged_bits(passive=False) == 6 + 8 + 3 - acknowledged_tail
    assert unacknowledged_bits(passive=True) == unacknowledged_bits(passive=False) + 8


@given(st.integers(1, 10_000_000), st.integers(100, 500), st.integers(0, 16))
def test_lone_attempts_are_those_counted_one_by_one(waited_ns: int, active_ns: int, failed: int) -> None:
    confined = after(*["transmit_failed"] * failed)
    passive_ns, taken_ns, attempts, tec = active_ns + 16, 0, 0, confined.tec
    while taken_ns < waited_ns:
        taken_ns += active_ns if tec < 128 else passive_ns
        tec, attempts = tec + 8, attempts + 1
    assert unacknowledged_attempts(waited_ns, active_ns, passive_ns, confined) == (attempts, taken_ns)


@pytest.mark.parametrize("events", [EVENTS, EVENTS * 20])
def test_recovery_from_bus_off_begins_with_clean_counters(events: tuple[str, ...]) -> None:
    confined = after(*events)
    confined.recovered()
    assert confined.clean
    assert confined.state is ControllerState.ERROR_ACTIVE
