"""An ECU that lies at every request: wrong, missing, doubled, late, endless answers; every NRC; resets in the middle.

Whatever it does, the job ends in bounded virtual time, either with the image in the ECU's flash, or with a named
error that says what the ECU is believed to be; and what was switched off is on again.

Of the NRCs `make test` takes each that flasher or recipe treats in a way of its own, and of those that are refusals
like any other some of each range (`USUAL_NRCS`); `make nightly` takes all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.core.clock import NS_PER_S
from bench.flasher.errors import (
    FlasherError,
    FlashFailed,
    ImageMismatch,
    NegativeResponse,
    ProtocolViolation,
    TransportError,
)
from tests.effort import NIGHTLY

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.flasher.values import FlashReport
    from tests.flasher.conftest import Bench, Benches
    from tests.flasher.fake_ecu import Act, Answer, FakeEcu

SINGLE = [
    "22f191", "22f188", "22f189", "1902", "1002", "22f186", "2701", "2702", "2ef15a", "3101ff00", "34", "3601", "3602",
    "3603", "37", "34", "3601", "37", "31010202", "3101ff01", "1101", "22f191", "22f188", "22f189", "14ffffff",
]  # fmt: skip
DUAL = [*SINGLE[:20], "31010203", *SINGLE[20:]]
BEST_EFFORT = ("1902", "14ffffff")
"""DTCs: a job does not fail for them (`test_dtcs.py`)."""
REQUESTS = [(False, n) for n, prefix in enumerate(SINGLE) if prefix not in BEST_EFFORT] + [(True, 20)]
"""Every physical request of the healthy job of one bank that it needs; of two banks the one that is there alone."""
IDS = [f"{n:02}-0x{(DUAL if dual else SINGLE)[n]}" for dual, n in REQUESTS]
ALL_NRCS = (
    *range(0x10, 0x15), 0x21, 0x22, 0x24, 0x25, 0x26, 0x31, *range(0x33, 0x38), 0x3A, 0x50, 0x5D, *range(0x70, 0x74),
    0x78, 0x7E, 0x7F, *range(0x81, 0x94), 0x00, 0x7D, 0xF0, 0xFF,
)  # fmt: skip
"""The codes of ISO 14229-1 annex A that an ECU has use for, and some that mean nothing."""
USUAL_NRCS = (
    *range(0x10, 0x14), 0x21, 0x22, 0x24, 0x31, 0x33, *range(0x35, 0x38), 0x50, *range(0x70, 0x74), 0x78, 0x7E, 0x7F,
    0x93, 0x00, 0xFF,
)  # fmt: skip
NRCS = ALL_NRCS if NIGHTLY else USUAL_NRCS
PATIENCE_NS = 2 * 3_600 * NS_PER_S

every_request = pytest.mark.parametrize(("dual", "at"), REQUESTS, ids=IDS)


def outcome(bench: Bench, *, honest: bool = True) -> FlashReport | FlasherError:
    """Flash and hold the end to the rules; `honest`: what the ECU says of itself is true."""
    end: FlashReport | FlasherError
    try:
        end = bench.flash()
    except FlasherError as failure:
        bench.assert_no_orphans()
        end = failure
        assert said_what_it_believes(failure)  # noqa: PT017
        if honest and bench.ecu.up:
            assert_believed(bench, str(failure))
    else:
        bench.assert_runs("1.1.0")
        bank = bench.ecu.banks[bench.ecu.active]
        assert bank.image() == bench.new.data
        assert bank.header == bench.new.header.encode()
        assert end.version == "1.1.0"
    assert (bench.ecu.communication, bench.ecu.dtc_setting) == (True, True)
    assert bench.loop.now_ns() < PATIENCE_NS
    return end


def said_what_it_believes(failure: FlasherError) -> bool:
    if isinstance(failure, ImageMismatch):
        return "the ECU was not touched" in str(failure)
    return isinstance(failure, FlashFailed) and bool(failure.believed)


def assert_believed(bench: Bench, believed: str) -> None:
    """What the flasher says of the ECU is so, unless it says that it does not know."""
    if bench.ecu.in_application:
        assert "running its bootloader" not in believed
    else:
        assert "running BCM-APP" not in believed


def few_tries(bench: Bench) -> Bench:
    """Have few jobs tried, and a restart that never comes asked for four times a second, not fifty times."""
    bench.limits(retries={"job": 3}, timing={"reboot_poll_ms": 250})
    return bench


def test_list_of_requests_is_what_the_healthy_job_sends(benches: Benches) -> None:
    for dual, names in ((False, SINGLE), (True, DUAL)):
        bench = benches(dual=dual)
        bench.flash()
        assert len(bench.ecu.received) == len(names)
        for request, name in zip(bench.ecu.received, names, strict=True):
            assert request.hex().startswith(name)


# Refusals and silence -------------------------------------------------------------------------------


def for_ever(prefix: str) -> str:
    """Return what must be refused for ever so that the job cannot end well: a refused 11 01 has other means."""
    return "11" if prefix == "1101" else prefix


@pytest.mark.effort
@every_request
def test_every_nrc_once_ends_in_the_image_or_a_named_error(benches: Benches, dual: bool, at: int) -> None:
    for nrc in NRCS:
        bench = few_tries(benches(dual=dual))
        bench.ecu.on("", bench.acts.refuse(nrc), skip=at)
        outcome(bench)


@pytest.mark.effort
@every_request
def test_every_nrc_for_ever_ends_in_bounded_tries(benches: Benches, dual: bool, at: int) -> None:
    for nrc in NRCS:
        bench = few_tries(benches(dual=dual))
        prefix = for_ever((DUAL if dual else SINGLE)[at])
        bench.ecu.on(prefix, bench.acts.refuse(nrc), times=10**9)
        plays_bootloader = nrc == 0x31 and prefix in ("22f188", "22f189")
        assert isinstance(outcome(bench, honest=not plays_bootloader), FlasherError), f"NRC 0x{nrc:02X}"


@every_request
@pytest.mark.parametrize("kind", ["lose_request", "lose_answer"])
def test_silence_at_a_request_is_recovered_from(benches: Benches, dual: bool, at: int, kind: str) -> None:
    bench = benches(dual=dual)
    bench.ecu.on("", getattr(bench.acts, kind)(), skip=at)
    assert not isinstance(outcome(bench), FlasherError)


@every_request
def test_silence_from_a_request_on_ends_in_a_transport_error_that_says_silent(
    benches: Benches, dual: bool, at: int
) -> None:
    bench = few_tries(benches(dual=dual))
    bench.ecu.on("", bench.acts.lose_request(), skip=at, times=10**9)
    end = outcome(bench)
    assert isinstance(end, FlashFailed)
    assert isinstance(end.cause, TransportError)
    assert "silent" in end.believed


# Lies -----------------------------------------------------------------------------------------------


def changed(change: Callable[[bytes], bytes], *, obey: bool = True) -> Act:
    """Answer with what `change` makes of the proper answer, having done it or not."""

    def act(ecu: FakeEcu, request: bytes) -> list[Answer]:
        proper = ecu.obey(request) if obey else bytes((request[0] + 0x40,)) + request[1:4]
        return [ecu.answer(1, change(proper))]

    return act


def doubled(ecu: FakeEcu, request: bytes) -> list[Answer]:
    proper = ecu.obey(request)
    return [ecu.answer(1, proper), ecu.answer(1.5, proper)]


def late(ecu: FakeEcu, request: bytes) -> list[Answer]:
    return [ecu.answer(101, ecu.obey(request))]


def reset_instead(ecu: FakeEcu, _request: bytes) -> list[Answer]:
    ecu.reset(after_ms=0)
    return []


def reset_after(ecu: FakeEcu, request: bytes) -> list[Answer]:
    proper = ecu.obey(request)
    ecu.reset(after_ms=0.5)
    return [ecu.answer(0.2, proper)]


LIES: dict[str, Act] = {
    "without_its_last_byte": changed(lambda proper: proper[:-1]),
    "cut_to_the_service_id": changed(lambda proper: proper[:1]),
    "empty": changed(lambda _: b""),
    "a_byte_too_long": changed(lambda proper: proper + b"\x00"),
    "4095_bytes_too_long": changed(lambda proper: proper + bytes(4095 - len(proper))),
    "wrong_service_id": changed(lambda proper: bytes((proper[0] ^ 0x01,)) + proper[1:]),
    "request_id_instead_of_response_id": changed(lambda proper: bytes((proper[0] & ~0x40,)) + proper[1:]),
    "wrong_echo": changed(lambda proper: proper[:1] + bytes((proper[1] ^ 0x11,) if proper[1:] else ()) + proper[2:]),
    "wrong_last_byte": changed(lambda proper: proper[:-1] + bytes((proper[-1] ^ 0x01,))),
    "negative_of_another_service": changed(lambda proper: bytes((0x7F, proper[0] ^ 0x41, 0x31))),
    "negative_without_a_code": changed(lambda proper: bytes((0x7F, proper[0] & ~0x40))),
    "answer_to_somebody_elses_request": changed(lambda _: b"\x6f\xd0\x01\x03"),
    "doubled": doubled,
    "late": late,
    "pending_for_another_service": changed(lambda proper: bytes((0x7F, proper[0] ^ 0x41, 0x78))),
    "reset_instead": reset_instead,
    "reset_after": reset_after,
}
NEVER_DONE: dict[str, Act] = {
    "yes_without_doing_it": changed(lambda proper: proper, obey=False),
}


@every_request
def test_every_lie_once_ends_in_the_image_or_a_named_error(benches: Benches, dual: bool, at: int) -> None:
    for name, act in (LIES | NEVER_DONE).items():
        bench = few_tries(benches(dual=dual))
        bench.ecu.on("", act, skip=at)
        try:
            outcome(bench, honest=False)
        except AssertionError as wrong:
            raise AssertionError(f"answer {name}") from wrong


@every_request
def test_every_lie_for_ever_ends_in_bounded_tries_never_in_a_false_success(
    benches: Benches, dual: bool, at: int
) -> None:
    for name, act in (LIES | NEVER_DONE).items():
        bench = few_tries(benches(dual=dual))
        bench.ecu.on((DUAL if dual else SINGLE)[at], act, times=10**9)
        try:
            outcome(bench, honest=False)
        except AssertionError as wrong:
            raise AssertionError(f"answer {name}") from wrong


# Patience -------------------------------------------------------------------------------------------


@every_request
def test_0x78_for_ever_ends_at_the_pending_limit(benches: Benches, dual: bool, at: int) -> None:
    bench = few_tries(benches(dual=dual))
    prefix = (DUAL if dual else SINGLE)[at]
    bench.ecu.on(prefix, lambda ecu, request: endless(ecu, request[0]), times=10**9)
    end = outcome(bench, honest=False)
    assert isinstance(end, FlashFailed)
    if prefix != "1101":  # without an answer the reset is believed when it is seen to have happened
        assert isinstance(end.cause, TransportError)
        assert end.cause.name == "PENDING_LIMIT"


def endless(ecu: FakeEcu, sid: int) -> list[Answer]:
    return [ecu.answer(1 + 4_000 * n, bytes((0x7F, sid, 0x78))) for n in range(100)]


@every_request
def test_0x21_for_ever_ends_in_nrc_21_after_the_recipes_repeats(benches: Benches, dual: bool, at: int) -> None:
    bench = few_tries(benches(dual=dual))
    bench.ecu.on(for_ever((DUAL if dual else SINGLE)[at]), bench.acts.refuse(0x21), times=10**9)
    end = outcome(bench)
    assert isinstance(end, FlashFailed)
    assert isinstance(end.cause, NegativeResponse)
    assert end.cause.nrc == 0x21


# maxNumberOfBlockLength -----------------------------------------------------------------------------


@pytest.mark.parametrize("told", ["742000 00", "74100 1", "7420 0002", "74", "7400", "74f0", "7440 000000"])
def test_0x74_without_room_for_data_or_malformed_is_no_success(bench: Bench, told: str) -> None:
    few_tries(bench).ecu.on("34", bench.acts.instead(told.replace(" ", "")), times=10**9)
    end = outcome(bench)
    assert isinstance(end, FlashFailed)
    assert end.step == "download_image"


@pytest.mark.parametrize("told", ["7420ffff", "7440ffffffff", "7480ffffffffffffffff", "7430001000"])
def test_0x74_with_a_huge_block_length_is_bounded_by_the_recipe(bench: Bench, told: str) -> None:
    bench.ecu.max_block = 4095
    bench.ecu.on("34", bench.acts.instead(told), times=2)
    assert not isinstance(outcome(bench), FlasherError)
    assert max(map(len, bench.ecu.received)) <= bench.recipe.memory.block_limit_bytes


def test_0x74_with_room_for_one_byte_is_obeyed(benches: Benches) -> None:
    bench = benches(max_block=3)
    bench.new = bench.image("1.1.0", length=700)
    assert not isinstance(outcome(bench), FlasherError)
    assert len([request for request in bench.ecu.received if request[0] == 0x36]) == 700 + 256


# Identity -------------------------------------------------------------------------------------------


def test_hardware_id_that_changes_once_the_ecu_was_touched_is_a_lie_and_tried_again(bench: Bench) -> None:
    bench.ecu.on("2701", bench.acts.lose_request(), times=2)
    bench.ecu.on("22f191", changed(lambda proper: proper[:-1] + b"X"), skip=1)
    end = outcome(bench)
    assert not isinstance(end, FlasherError)
    assert any("hardware id 'BCM-HW-03" in event.detail for event in end.events if event.name == "job_retry")


def test_hardware_id_that_stays_another_one_after_the_ecu_was_touched_ends_in_a_protocol_violation(
    bench: Bench,
) -> None:
    few_tries(bench).ecu.on("2701", bench.acts.lose_request(), times=2)
    bench.ecu.on("22f191", changed(lambda proper: proper[:-1] + b"X"), skip=1, times=10**9)
    end = outcome(bench, honest=False)
    assert isinstance(end, FlashFailed)
    assert isinstance(end.cause, ProtocolViolation)
    assert "not touched" not in str(end)
