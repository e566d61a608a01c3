"""What the flasher tries again, and what it does not; lost power at every request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.core.clock import NS_PER_S
from bench.flasher.belief import EcuState
from bench.flasher.errors import CheckFailed, FlashFailed, NegativeResponse, VersionMismatch

if TYPE_CHECKING:
    from bench.flasher.values import FlashReport
    from tests.flasher.conftest import Bench, Benches


def retried(report: FlashReport) -> dict[str, int]:
    return {name: count for name, count in report.counts.items() if count}


# One block ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lost", ["lose_answer", "lose_request"])
def test_0x36_without_an_answer_is_repeated_with_the_same_counter_and_written_once(bench: Bench, lost: str) -> None:
    bench.ecu.on("3602", getattr(bench.acts, lost)())
    report = bench.flash()
    assert retried(report) == {"block_repeat": 1}
    assert report.downloads == 1
    assert [request[1] for request in bench.ecu.received if request[0] == 0x36] == [1, 2, 2, 3, 1]
    assert bench.ecu.writes == 4
    bench.assert_runs("1.1.0")


def test_0x36_answered_late_is_taken_at_the_repetition_and_its_double_is_discarded(bench: Bench) -> None:
    bench.ecu.on("3601", bench.acts.late(150))
    report = bench.flash()
    assert retried(report) == {"block_repeat": 1, "late_answer": 1}
    assert bench.ecu.writes == 4
    bench.assert_runs("1.1.0")


def test_0x36_never_answered_is_repeated_as_often_as_the_recipe_allows_then_the_job_starts_anew(bench: Bench) -> None:
    bench.ecu.on("3601", bench.acts.lose_request(), times=4)
    report = bench.flash()
    assert retried(report) == {"block_repeat": 3, "job_retry": 1}
    assert report.downloads == 2
    bench.assert_runs("1.1.0")


def test_0x36_with_0x78_and_0x21_is_waited_out(bench: Bench) -> None:
    bench.ecu.on("3601", bench.acts.pending(2, every_ms=3_000))
    bench.ecu.on("3602", bench.acts.refuse(0x21), times=2)
    report = bench.flash()
    assert retried(report) == {"pending": 2, "busy_repeat": 2}
    bench.assert_runs("1.1.0")


@pytest.mark.parametrize("nrc", [0x71, 0x72, 0x73, 0x92])
def test_0x36_refused_restarts_the_download_from_the_erase(bench: Bench, nrc: int) -> None:
    bench.ecu.on("3602", bench.acts.refuse(nrc))
    report = bench.flash()
    assert retried(report) == {"download_restart": 1}
    assert (report.downloads, bench.ecu.erases) == (2, 2)
    bench.assert_runs("1.1.0")


def test_0x36_refused_with_a_code_that_the_recipe_repeats_sends_the_block_again(bench: Bench) -> None:
    bench.limits(retries={"resend_block": [0x72], "restart_download": [0x73]})
    bench.ecu.on("3602", bench.acts.refuse(0x72), times=2)
    report = bench.flash()
    assert retried(report) == {"block_resend": 2}
    assert report.downloads == 1
    bench.assert_runs("1.1.0")


def test_repeated_block_that_the_ecu_answers_with_0x73_restarts_the_download(bench: Bench) -> None:
    bench.ecu.on("3602", bench.acts.lose_answer())
    bench.ecu.on("3602", bench.acts.refuse(0x73))
    report = bench.flash()
    assert retried(report) == {"block_repeat": 1, "download_restart": 1}
    bench.assert_runs("1.1.0")


def test_wrong_counter_echo_restarts_the_download(bench: Bench) -> None:
    bench.ecu.on("3602", bench.acts.instead("7607"))
    report = bench.flash()
    assert retried(report) == {"download_restart": 1}
    bench.assert_runs("1.1.0")


def test_answer_of_a_wrong_service_is_discarded_and_the_block_repeated(bench: Bench) -> None:
    bench.ecu.on("3602", bench.acts.instead("77"))
    report = bench.flash()
    assert retried(report) == {"foreign_answer": 1, "block_repeat": 1}
    bench.assert_runs("1.1.0")


# Downloads ------------------------------------------------------------------------------------------


def test_download_refused_for_ever_ends_after_bounded_restarts_and_tries(bench: Bench) -> None:
    bench.ecu.on("3601", bench.acts.refuse(0x72), times=10_000)
    with pytest.raises(FlashFailed, match="0x72") as failed:
        bench.flash()
    assert isinstance(failed.value.cause, NegativeResponse)
    counts = failed.value.report.counts
    assert (counts["download_restart"], counts["job_retry"]) == (2, 9)
    assert failed.value.report.downloads == 12


@pytest.mark.parametrize(("prefix", "nrc"), [("34", 0x70), ("37", 0x24)])
def test_download_that_is_not_accepted_or_not_ended_is_restarted(bench: Bench, prefix: str, nrc: int) -> None:
    bench.ecu.on(prefix, bench.acts.refuse(nrc))
    assert retried(bench.flash()) == {"download_restart": 1}
    bench.assert_runs("1.1.0")


def test_max_block_length_without_room_for_data_restarts_the_download(bench: Bench) -> None:
    bench.ecu.on("34", bench.acts.instead("74200002"))
    assert retried(bench.flash()) == {"download_restart": 1}


def test_check_that_finds_other_bytes_restarts_the_download(bench: Bench) -> None:
    bench.ecu.on("31010202", bench.acts.instead("7101020204"))
    report = bench.flash()
    assert retried(report) == {"download_restart": 1}
    bench.assert_runs("1.1.0")


@pytest.mark.parametrize(("status", "meaning"), [(2, "hardware id"), (3, "release counter below the floor")])
def test_check_that_a_new_download_cannot_cure_fails_at_once(bench: Bench, status: int, meaning: str) -> None:
    bench.ecu.on("31010202", bench.acts.instead(f"71010202{status:02x}"), times=100)
    with pytest.raises(FlashFailed, match=meaning) as failed:
        bench.flash()
    assert isinstance(failed.value.cause, CheckFailed)
    assert failed.value.report.downloads == 1
    assert (bench.ecu.communication, bench.ecu.dtc_setting) == (True, True)


def test_check_without_a_status_is_no_success(bench: Bench) -> None:
    bench.ecu.on("31010202", bench.acts.instead("71010202"), times=10_000)
    with pytest.raises(FlashFailed, match="without a status"):
        bench.flash()


# Steps and the job ----------------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["1002", "2701", "2702", "2ef15a", "3101ff00", "31010202", "3101ff01"])
def test_step_whose_request_was_lost_is_repeated(bench: Bench, prefix: str) -> None:
    bench.ecu.on(prefix, bench.acts.lose_request())
    report = bench.flash()
    assert retried(report) == {"step_repeat": 1}
    assert report.downloads == 1
    bench.assert_runs("1.1.0")


def test_0x78_without_end_in_the_erase_ends_in_a_named_error_after_bounded_tries(bench: Bench) -> None:
    bench.limits(retries={"job": 2})
    bench.ecu.on("3101ff00", bench.acts.pending(100_000, every_ms=1_000), times=100)
    with pytest.raises(FlashFailed, match="erase failed: PENDING_LIMIT"):
        bench.flash()
    assert bench.loop.now_ns() < 140 * NS_PER_S


@pytest.mark.parametrize("nrc", [0x36, 0x37])
def test_security_delay_is_waited_out(bench: Bench, nrc: int) -> None:
    bench.ecu.on("2701", bench.acts.refuse(nrc))
    report = bench.flash()
    assert retried(report) == {"security_wait": 1}
    assert bench.loop.now_ns() > 10 * NS_PER_S
    bench.assert_runs("1.1.0")


def test_reset_that_is_not_answered_is_believed_when_the_new_version_runs(bench: Bench) -> None:
    bench.ecu.on("1101", bench.acts.lose_answer())
    report = bench.flash()
    assert retried(report) == {}
    assert any(event.name == "reset_unanswered" for event in report.events)
    bench.assert_runs("1.1.0")


def test_reset_that_did_not_happen_is_asked_for_again_without_a_second_download(bench: Bench) -> None:
    bench.ecu.on("1101", bench.acts.lose_request())
    report = bench.flash()
    assert retried(report) == {"step_repeat": 1}
    assert report.downloads == 1
    bench.assert_runs("1.1.0")


def test_reset_that_is_only_promised_ends_in_bounded_tries_not_in_a_false_success(bench: Bench) -> None:
    bench.ecu.on("1101", bench.acts.pretend("5101"), times=1_000)
    bench.ecu.on("1103", bench.acts.pretend("5103"), times=1_000)
    with pytest.raises(FlashFailed, match=r"verify_version failed: .*found 'the bootloader'") as failed:
        bench.flash()
    assert failed.value.report.downloads == 1


def test_other_version_after_the_reset_is_no_success_and_downloads_stay_bounded(bench: Bench) -> None:
    bench.ecu.on("22f189", bench.acts.instead("62f189392e39"), times=10**9)
    with pytest.raises(FlashFailed, match=r"found '9\.9'; it was started 2 times") as failed:
        bench.flash()
    assert isinstance(failed.value.cause, VersionMismatch)
    assert failed.value.report.downloads == 1


# Lost power -----------------------------------------------------------------------------------------

EVERY_REQUEST = "1002 22f186 2701 2702 2ef15a 3101ff00 34 3601 3602 37 31010202 3101ff01 31010203 1101"


@pytest.mark.parametrize("dual", [False, True], ids=["single", "dual"])
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("prefix", EVERY_REQUEST.split())
def test_ecu_that_loses_power_at_a_request_runs_the_new_version_in_the_end(
    benches: Benches, prefix: str, done: bool, dual: bool
) -> None:
    if prefix == "31010203" and not dual:
        prefix = "22f189"
    bench = benches(dual=dual)
    bench.ecu.on(prefix, bench.acts.cut(200, done=done), skip=1 if prefix == "22f189" else 0)
    report = bench.flash()
    bench.assert_runs("1.1.0")
    assert report.version == "1.1.0"
    assert report.downloads <= 2


@pytest.mark.parametrize("dual", [False, True], ids=["single", "dual"])
def test_power_lost_after_the_reset_needs_no_second_download(benches: Benches, dual: bool) -> None:
    bench = benches(dual=dual)
    bench.ecu.on("1101", bench.acts.cut(15_000, done=True))
    report = bench.flash()
    assert report.downloads == 1
    assert report.counts["resumed_after_check"] == 1
    bench.assert_runs("1.1.0")


def test_power_lost_for_long_in_mid_transfer_restarts_the_download_and_nothing_more(bench: Bench) -> None:
    bench.ecu.on("3602", bench.acts.cut(12_000, done=False))
    report = bench.flash()
    assert report.downloads == 2
    assert report.counts["download_restart"] == 0
    bench.assert_runs("1.1.0")


ACTS = st.sampled_from(["lose_answer", "lose_request", "refuse", "cut", "pending", "late", "lie"])
PREFIXES = st.sampled_from(["10", "22", "27", "2e", "31", "34", "36", "37", "11"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    dual=st.booleans(),
    story=st.lists(st.tuples(PREFIXES, ACTS, st.integers(0, 3), st.integers(0x10, 0xFF)), max_size=6),
)
def test_any_mixture_of_faults_ends_in_the_new_version_or_a_named_failure_with_the_bus_restored(
    benches: Benches, dual: bool, story: list[tuple[str, str, int, int]]
) -> None:
    bench = benches(dual=dual)
    acts = bench.acts
    for prefix, kind, skip, byte in story:
        act = {
            "lose_answer": acts.lose_answer(),
            "lose_request": acts.lose_request(),
            "refuse": acts.refuse(byte),
            "cut": acts.cut(byte * 20, done=byte % 2 == 0),
            "pending": acts.pending(byte % 4, every_ms=byte * 10),
            "late": acts.late(byte),
            "lie": acts.instead(f"{int(prefix, 16) + 0x40:02x}{byte:02x}"),
        }[kind]
        bench.ecu.on(prefix, act, skip=skip)
    try:
        report = bench.flash()
    except FlashFailed as failure:
        bench.assert_no_orphans()
        report = failure.report
        assert failure.believed  # noqa: PT017
    else:
        bench.assert_runs("1.1.0")
        assert report.version == "1.1.0"
    assert (bench.ecu.communication, bench.ecu.dtc_setting) == (True, True)
    assert bench.loop.now_ns() < 3_600 * NS_PER_S


@pytest.mark.parametrize("cut_at", [None, "31010202", "31010203"])
def test_other_bytes_of_the_same_version_are_programmed_even_when_power_is_lost_before_the_activation(
    benches: Benches, cut_at: str | None
) -> None:
    bench = benches(dual=True)
    other = bench.image("1.0.0", length=6_000)
    if cut_at is not None:
        bench.ecu.on(cut_at, bench.acts.cut(15_000, done=cut_at == "31010202"))
    report = bench.flash(bench.job(other))
    assert report.counts["resumed_after_check"] == 0
    assert bench.ecu.banks[bench.ecu.active].image() == other.data


def test_routine_that_the_ecu_does_not_know_ends_the_job_at_its_second_try(bench: Bench) -> None:
    bench.ecu.on("31010202", bench.acts.refuse(0x31), times=100)
    with pytest.raises(FlashFailed, match="0x31") as failed:
        bench.flash()
    assert failed.value.report.counts["job_retry"] == 1
    assert "would end the same way" in failed.value.belief.next_step


def test_routine_that_is_refused_once_by_mistake_is_tried_again(bench: Bench) -> None:
    bench.ecu.on("31010202", bench.acts.refuse(0x31))
    assert retried(bench.flash())["job_retry"] == 1
    bench.assert_runs("1.1.0")


# What is believed after a failure ---------------------------------------------------------------------


@pytest.mark.parametrize("refused", ["3602", "31010202", "31010203"])
def test_software_of_the_ordered_version_that_ran_before_is_not_believed_to_be_new(
    benches: Benches, refused: str
) -> None:
    bench = benches(dual=True)
    before = bench.ecu.banks[bench.ecu.active].image()
    bench.ecu.on(refused, bench.acts.refuse(0x72), times=1_000)
    with pytest.raises(FlashFailed) as failed:
        bench.flash(bench.job(bench.image("1.0.0", length=6_000)))
    assert bench.ecu.banks[bench.ecu.active].image() == before
    assert failed.value.belief.state is EcuState.OTHER_SOFTWARE
    assert "Nothing is left" not in failed.value.belief.next_step
