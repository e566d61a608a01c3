"""What the ECU has checked is not sent again: a refused reset has other means, an image that crashed stays there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.core.clock import NS_PER_S
from bench.flasher.errors import FlashFailed, ImageDoesNotRun, NegativeResponse
from bench.flasher.recipe import Recipe
from tests.flasher.fake_ecu import Act, Answer, FakeEcu, no

if TYPE_CHECKING:
    from tests.flasher.conftest import Bench, Benches

CHECK, DEPENDENCIES, ACTIVATE = "31010202", "3101ff01", "31010203"


def resets(bench: Bench) -> list[str]:
    """Return the requests that ask for a reset, and the physical 10 01, after the check."""
    checked = bench.ecu.received.index(bytes.fromhex(CHECK))
    return [r.hex() for r in bench.ecu.received[checked:] if r[0] == 0x11 or r == b"\x10\x01"]


def with_means(bench: Bench, *means: str) -> None:
    """Have the recipe name these means of a reset."""
    bench.recipe = Recipe.model_validate(bench.recipe.model_dump(mode="json") | {"reset": {"means": means}})


def restarts(ecu: FakeEcu, request: bytes) -> list[Answer]:
    """Leave the bootloader by a boot."""
    ecu.reset()
    return [Answer(1, ecu.obey(request))]


def crashes() -> Act:
    """Take the reset, and be found in the bootloader: the image that was checked does not get up."""

    def act(ecu: FakeEcu, request: bytes) -> list[Answer]:
        ecu.reset(programming=False)
        ecu.target.mark = False
        return [Answer(1, b"\x51" + request[1:])]

    return act


# A refused reset ------------------------------------------------------------------------------------


@pytest.mark.parametrize("nrc", [0x10, 0x12, 0x22, 0x31, 0x7E])
def test_0x11_01_refused_once_is_followed_by_11_03_and_nothing_is_sent_again(bench: Bench, nrc: int) -> None:
    bench.ecu.on("1101", bench.acts.refuse(nrc))
    report = bench.flash()
    assert resets(bench) == ["1101", "1103"]
    assert (report.downloads, bench.ecu.erases) == (1, 1)
    assert report.counts["reset_refused"] == 1
    bench.assert_runs("1.1.0")


def test_every_0x11_refused_leaves_the_bootloader_by_10_01(bench: Bench) -> None:
    bench.ecu.on("11", bench.acts.refuse(0x22), times=1_000)
    bench.ecu.on("1001", restarts)
    report = bench.flash()
    assert resets(bench) == ["1101", "1103", "1001"]
    assert (report.downloads, bench.ecu.erases) == (1, 1)
    bench.assert_runs("1.1.0")


def test_session_that_runs_out_is_the_last_means_and_no_tester_present_keeps_it_open(bench: Bench) -> None:
    with_means(bench, "hard_reset", "session_timeout")
    bench.ecu.on("1101", bench.acts.refuse(0x22), times=1_000)
    quiet: list[int] = []

    def wakes(ecu: FakeEcu, request: bytes) -> list[Answer]:
        quiet.append(ecu.clock.now_ns() - max(t_ns for t_ns, _ in ecu.functional))
        ecu.start_life(programming=False)
        return [Answer(1, ecu.obey(request))]

    bench.ecu.on("22f191", wakes, skip=1)
    report = bench.flash()
    assert quiet[0] > 5 * NS_PER_S
    assert (report.downloads, bench.ecu.erases) == (1, 1)
    bench.assert_runs("1.1.0")


def test_reset_refused_for_ever_ends_in_a_named_refusal_with_one_download(bench: Bench) -> None:
    bench.ecu.on("11", bench.acts.refuse(0x22), times=10**6)
    with pytest.raises(FlashFailed, match="service 0x11 refused with NRC 0x22") as failed:
        bench.flash()
    assert isinstance(failed.value.cause, NegativeResponse)
    assert (failed.value.report.downloads, bench.ecu.erases) == (1, 1)
    assert failed.value.report.counts["image_kept"] == 9


def test_reset_that_is_answered_and_not_made_is_asked_for_by_other_means(bench: Bench) -> None:
    bench.ecu.on("1101", bench.acts.pretend("5101"), times=1_000)
    report = bench.flash()
    assert resets(bench) == ["1101", "1103"]
    assert (report.downloads, report.counts["reset_not_made"]) == (1, 1)
    bench.assert_runs("1.1.0")


@pytest.mark.parametrize(("prefix", "dual"), [(DEPENDENCIES, False), (DEPENDENCIES, True), (ACTIVATE, True)])
def test_routine_refused_once_after_the_check_sends_nothing_again(benches: Benches, prefix: str, dual: bool) -> None:
    bench = benches(dual=dual)
    bench.ecu.on(prefix, bench.acts.refuse(0x22))
    report = bench.flash()
    assert (report.downloads, bench.ecu.erases) == (1, 1)
    assert report.counts["image_kept"] == 1
    bench.assert_runs("1.1.0")


# An image that does not run -------------------------------------------------------------------------


@pytest.mark.parametrize("dual", [False, True], ids=["single", "dual"])
def test_image_that_crashes_is_started_once_more_and_not_sent_again(benches: Benches, dual: bool) -> None:
    bench = benches(dual=dual)
    bench.ecu.on("1101", crashes(), times=1_000)
    with pytest.raises(FlashFailed, match="passed its check") as failed:
        bench.flash()
    assert isinstance(failed.value.cause, ImageDoesNotRun)
    assert (failed.value.report.downloads, bench.ecu.erases) == (1, 1)
    assert len([r for r in bench.ecu.received if r == bytes.fromhex(CHECK)]) == 3
    assert "would end the same way" in failed.value.belief.next_step
    assert "change the image" in failed.value.belief.next_step


def test_image_whose_dependencies_fail_once_it_did_not_run_is_not_sent_again(bench: Bench) -> None:
    bench.ecu.on("1101", crashes(), times=1_000)
    bench.ecu.on(DEPENDENCIES, bench.acts.pretend("7101ff0101"), skip=1, times=1_000)
    with pytest.raises(FlashFailed) as failed:
        bench.flash()
    assert isinstance(failed.value.cause, ImageDoesNotRun)
    assert (failed.value.report.downloads, bench.ecu.erases) == (1, 1)


def test_image_that_was_damaged_after_its_check_is_sent_again(bench: Bench) -> None:
    def damaged(ecu: FakeEcu, request: bytes) -> list[Answer]:
        bank = ecu.target
        bank.cells[0] = bytes((bank.cells[0][0] ^ 1,)) + bank.cells[0][1:]
        bank.mark = False
        ecu.reset()
        return [Answer(1, b"\x51" + request[1:])]

    bench.ecu.on("1101", damaged)
    report = bench.flash()
    assert (report.downloads, bench.ecu.erases, report.counts["download_restart"]) == (2, 2, 1)
    bench.assert_runs("1.1.0")


def test_ecu_that_cannot_check_twice_is_not_sent_the_image_again(bench: Bench) -> None:
    bench.ecu.on("1101", crashes(), times=1_000)
    bench.ecu.on(CHECK, lambda _ecu, request: [Answer(1, no(request, 0x24))], skip=1, times=1_000)
    with pytest.raises(FlashFailed, match="0x24") as failed:
        bench.flash()
    assert isinstance(failed.value.cause, ImageDoesNotRun)
    assert (failed.value.report.downloads, bench.ecu.erases) == (1, 1)


def test_second_job_that_goes_on_from_a_failed_one_sends_nothing_again(bench: Bench) -> None:
    bench.ecu.on("1101", crashes(), times=1_000)
    with pytest.raises(FlashFailed) as failed:
        bench.flash()
    with pytest.raises(FlashFailed) as again:
        bench.flash(state=failed.value.state)
    assert isinstance(again.value.cause, ImageDoesNotRun)
    assert (again.value.report.downloads, bench.ecu.erases) == (0, 1)
