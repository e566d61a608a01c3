"""DTCs over an update: those of the car stay, those of the update go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.flasher.fake_ecu import Act, Answer, FakeEcu

if TYPE_CHECKING:
    from tests.flasher.conftest import Bench

LOST_PARTNER, NOT_PROGRAMMED, UNDERVOLTAGE = 0xC10087, 0x060251, 0xF00316
STORED, NEVER_FAILED = 0x2C, 0x50


def notes(dtc: int) -> Act:
    """Store a DTC on the way to an answer, as an ECU does that misses somebody or is erased."""

    def act(ecu: FakeEcu, request: bytes) -> list[Answer]:
        ecu.dtcs[dtc] = STORED
        return [Answer(1, ecu.obey(request))]

    return act


def cleared(bench: Bench) -> list[str]:
    """Return the groups of every 0x14."""
    return [request[1:].hex() for request in bench.ecu.received if request[0] == 0x14]


def test_dtc_that_was_there_before_the_job_is_there_after_it_and_the_jobs_own_is_not(bench: Bench) -> None:
    bench.ecu.dtcs = {LOST_PARTNER: STORED}
    bench.ecu.on("31", notes(NOT_PROGRAMMED))
    report = bench.flash()
    assert bench.ecu.dtcs == {LOST_PARTNER: STORED}
    assert cleared(bench) == ["060251"]
    assert [event.name for event in report.events].count("dtc_kept") == 1
    bench.assert_runs("1.1.0")


def test_ecu_that_had_no_dtc_is_cleared_of_all_groups_at_once(bench: Bench) -> None:
    bench.ecu.dtcs = {UNDERVOLTAGE: NEVER_FAILED}
    bench.ecu.on("31", notes(NOT_PROGRAMMED))
    bench.flash()
    assert (bench.ecu.dtcs, cleared(bench)) == ({}, ["ffffff"])


@pytest.mark.parametrize("answer", [b"\x7f\x19\x11", b"\x7f\x19\x33", b"\x59\x02\x7f\x01", b""])
def test_nothing_is_cleared_of_an_ecu_that_did_not_tell_what_it_had(bench: Bench, answer: bytes) -> None:
    bench.ecu.dtcs = {LOST_PARTNER: STORED}
    bench.ecu.on("1902", lambda _ecu, _request: [Answer(1, answer)] if answer else [], times=1_000)
    report = bench.flash()
    assert (bench.ecu.dtcs, cleared(bench)) == ({LOST_PARTNER: STORED}, [])
    assert [event.name for event in report.events].count("dtcs_kept") == 1
    bench.assert_runs("1.1.0")


def test_dtcs_are_read_before_the_first_try_and_not_before_the_second(bench: Bench) -> None:
    """Else what the first try brought about would be taken for the car's."""
    bench.ecu.dtcs = {LOST_PARTNER: STORED}
    bench.ecu.on("31", notes(NOT_PROGRAMMED))
    bench.ecu.on("3101ff00", lambda _ecu, request: [Answer(1, b"\x7f\x31\x22")], skip=1)
    bench.ecu.on("34", bench.acts.cut(2_000, done=False))
    report = bench.flash()
    assert report.counts["job_retry"] >= 1
    assert bench.ecu.dtcs == {LOST_PARTNER: STORED}


def test_first_request_to_the_ecu_but_reading_comes_after_its_dtcs_were_read(bench: Bench) -> None:
    bench.flash()
    services = [request[0] for request in bench.ecu.received]
    assert set(services[: services.index(0x19)]) == {0x22}
    assert bench.ecu.functional
