from __future__ import annotations

import asyncio
import logging
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.node import Incarnation, Node
from bench.flasher.errors import FlashFailed
from bench.flasher.recipe import Memory
from bench.flasher.steps.transfer import block_payload_bytes

if TYPE_CHECKING:
    from tests.flasher.conftest import Bench, Benches
    from tests.flasher.fake_ecu import Answer, FakeEcu

SINGLE_BANK_SERVICES = (
    "22f191 22f188 22f189 1902 1002 22f186 2701 2702 2ef15a 3101ff00 34 36 37 34 36 37 31010202 3101ff01 1101 "
    "22f191 22f188 22f189 14"
)


def functional(bench: Bench) -> list[str]:
    return [payload.hex() for _, payload in bench.ecu.functional]


# The healthy job ------------------------------------------------------------------------------------


def test_healthy_job_ends_in_the_new_version_read_back_with_nothing_retried(bench: Bench) -> None:
    report = bench.flash()
    bench.assert_runs("1.1.0")
    assert (report.ecu, report.version, report.downloads, report.sent_bytes) == ("body", "1.1.0", 1, 10_256)
    assert sum(report.counts.values()) == 0
    assert bench.ecu.banks[0].image() == bench.new.data


def test_single_bank_job_sends_the_services_in_the_recipes_order(bench: Bench) -> None:
    bench.flash()
    assert bench.services() == SINGLE_BANK_SERVICES.split()
    assert functional(bench) == ["1083", "8582", "288301", "288001", "8581", "1081"]


def test_dual_bank_job_activates_the_other_bank_before_the_reset(benches: Benches) -> None:
    bench = benches(dual=True)
    bench.flash()
    bench.assert_runs("1.1.0")
    assert bench.ecu.active == 1
    assert bench.ecu.banks[0].mark
    assert bench.services()[16:20] == ["31010202", "3101ff01", "31010203", "1101"]


def test_phases_are_named_in_order_and_their_times_add_up(bench: Bench) -> None:
    report = bench.flash()
    assert bench.phases == ["pre", "programming", "erase", "transfer", "header", "check", "reset", "post"]
    assert list(report.phase_ns) == bench.phases
    assert sum(report.phase_ns.values()) == report.duration_ns == bench.loop.now_ns()


def test_progress_counts_acknowledged_bytes_up_to_the_total(bench: Bench) -> None:
    bench.flash()
    sent = [progress.sent_bytes for progress in bench.progress]
    assert {progress.total_bytes for progress in bench.progress} == {10_256}
    assert all(earlier <= later for earlier, later in pairwise(sent))
    assert sent[-1] == 10_256
    assert [p.sent_bytes for p in bench.progress if p.step == "download_image"] == [0, 3840, 7680, 10_000]


def test_fingerprint_is_the_runs_date_and_the_testers_id(bench: Bench) -> None:
    bench.flash()
    assert bench.ecu.fingerprint == bytes.fromhex("300101") + b"OTABNCH"


def test_blocks_are_multiples_of_the_program_unit_counted_from_1_and_wrapping_to_0(benches: Benches) -> None:
    bench = benches(max_block=300)
    bench.flash(bench.job(bench.image("1.1.0", length=256 * 300 + 7)))
    blocks = [request for request in bench.ecu.received if request[0] == 0x36][:301]
    assert [block[1] for block in blocks] == [n & 0xFF for n in range(1, 302)]
    assert {len(block) - 2 for block in blocks[:-1]} == {256}
    assert len(blocks[-1]) - 2 == 7
    bench.assert_runs("1.1.0")


@pytest.mark.parametrize(("max_block", "payload"), [(4095, 3840), (258, 256), (257, 255), (3, 1), (1 << 20, 3840)])
def test_block_payload_is_the_largest_multiple_of_the_unit_that_fits(max_block: int, payload: int) -> None:
    memory = Memory(region_base=0, region_size=0x40000, header_address=0xF0_0000, program_unit_bytes=256)
    assert block_payload_bytes(max_block, memory) == payload


def test_two_jobs_give_the_same_requests_at_the_same_times(benches: Benches) -> None:
    one, other = benches(), benches()
    reports = (one.flash(), other.flash())
    assert reports[0] == reports[1]
    assert one.ecu.received == other.ecu.received
    assert one.ecu.functional == other.ecu.functional


def test_second_job_on_the_same_ecu_works_as_the_first(bench: Bench) -> None:
    bench.flash()
    report = bench.flash(bench.job(bench.image("1.2.0")))
    bench.assert_runs("1.2.0")
    assert sum(report.counts.values()) == 0


# Tester present -------------------------------------------------------------------------------------


def test_long_erase_keeps_its_session_by_tester_present_every_two_seconds(bench: Bench) -> None:
    bench.ecu.on("3101ff00", bench.acts.pending(5, every_ms=4_000))
    report = bench.flash()
    bench.assert_runs("1.1.0")
    beats = [t_ns for t_ns, payload in bench.ecu.functional if payload == b"\x3e\x80"]
    assert len(beats) == 10
    assert all(abs(later - earlier - 2 * NS_PER_S) < NS_PER_MS for earlier, later in pairwise(beats))
    assert report.counts["pending"] == 5


def test_tester_present_pauses_during_0x78_where_the_recipe_asks_for_it(bench: Bench) -> None:
    bench.limits(timing={"tester_present_while_pending": False})
    bench.ecu.on("3101ff00", bench.acts.pending(2, every_ms=4_500))
    bench.flash()
    assert len([payload for payload in functional(bench) if payload == "3e80"]) == 0


@pytest.mark.parametrize(
    ("mode", "functional_beats", "physical", "tries_again"),
    [("functional", True, 0, 0), ("physical", False, 5, 0), ("pending", False, 0, 1), ("none", False, 0, 1)],
)
def test_session_outlives_a_long_wait_only_where_somebody_keeps_it(
    bench: Bench, mode: str, functional_beats: bool, physical: int, tries_again: int
) -> None:
    """The ECU wants 10.5 s before another seed; its S3 is 5 s."""
    bench.limits(timing={"tester_present": mode})
    bench.ecu.on("2701", bench.acts.refuse(0x37))
    report = bench.flash()
    bench.assert_runs("1.1.0")
    assert ("3e80" in functional(bench)) is functional_beats
    assert bench.ecu.received.count(b"\x3e\x00") == physical
    assert report.counts["job_retry"] == tries_again


def test_tester_present_comes_only_while_the_ecu_asks_for_patience_where_the_recipe_says_so(bench: Bench) -> None:
    bench.limits(timing={"tester_present": "pending"})
    bench.ecu.on("3101ff00", bench.acts.pending(5, every_ms=4_000))
    bench.flash()
    assert functional(bench).count("3e80") == 10


def test_tester_present_that_the_bus_refuses_is_counted_and_goes_on(bench: Bench) -> None:
    bench.ecu.on("3101ff00", bench.acts.pending(3, every_ms=3_000))
    bench.loop.call_at_ns(NS_PER_S, setattr, bench.functional, "refuse_with", "BUS_OFF")
    bench.loop.call_at_ns(5 * NS_PER_S, setattr, bench.functional, "refuse_with", None)
    report = bench.flash()
    assert report.counts["tester_present_failed"] == 2
    bench.assert_runs("1.1.0")


# From whatever state --------------------------------------------------------------------------------


def test_ecu_in_its_bootloader_in_the_default_session_is_programmed(bench: Bench) -> None:
    bench.ecu.banks[0].mark = False
    bench.ecu.start_life(programming=False)
    report = bench.flash()
    bench.assert_runs("1.1.0")
    assert sum(report.counts.values()) == 0


def test_ecu_left_in_the_programming_session_is_programmed(bench: Bench) -> None:
    bench.ecu.start_life(programming=True)
    bench.ecu.unlocked = True
    bench.flash()
    bench.assert_runs("1.1.0")


def unlocked_already(ecu: FakeEcu, request: bytes) -> list[Answer]:
    ecu.unlocked = True
    return [ecu.answer(1, ecu.obey(request))]


def test_security_that_is_open_already_needs_no_key(bench: Bench) -> None:
    bench.ecu.on("2701", bench.acts.instead("67010000000000000000"))
    bench.ecu.on("2ef15a", unlocked_already)
    bench.flash()
    assert "2702" not in bench.services()


def test_ecu_that_missed_the_functional_session_gets_it_by_its_own_address(bench: Bench) -> None:
    bench.ecu.on("1002", bench.acts.refuse(0x7E))
    report = bench.flash()
    assert report.counts["extended_by_address"] == 1
    assert bench.services()[4:7] == ["1002", "1003", "1002"]
    bench.assert_runs("1.1.0")


def test_ecu_that_is_dead_for_eight_seconds_is_waited_for(bench: Bench) -> None:
    bench.ecu.cut(8_000)
    report = bench.flash()
    bench.assert_runs("1.1.0")
    assert report.counts["job_retry"] >= 2


def test_ecu_that_stays_dead_fails_after_at_least_20_s_and_is_said_to_be_untouched(bench: Bench) -> None:
    bench.ecu.cut(10_000_000)
    with pytest.raises(FlashFailed, match="identify failed: N_TIMEOUT_A") as failed:
        bench.flash()
    assert failed.value.report.counts["job_retry"] == 9
    assert bench.loop.now_ns() > 20 * NS_PER_S
    assert "was not touched" in failed.value.believed
    bench.assert_no_orphans()


# Undo -----------------------------------------------------------------------------------------------


def test_wrong_key_fails_at_once_and_everything_switched_off_is_switched_on_again(bench: Bench) -> None:
    bench.ecu.secret = b"another secret"
    with pytest.raises(FlashFailed, match="security_access failed: service 0x27 refused with NRC 0x35") as failed:
        bench.flash()
    assert bench.ecu.wrong_keys == 1
    assert functional(bench)[-3:] == ["288001", "8581", "1081"]
    assert failed.value.believed == "BCM-HW-03 running BCM-APP 1.0.0"
    assert failed.value.report.counts["undo_failed"] == 0
    bench.assert_runs("1.0.0")
    bench.assert_no_orphans()


def test_failure_after_the_erase_says_that_the_bootloader_is_there(bench: Bench) -> None:
    bench.ecu.on("34", bench.acts.refuse(0x22), times=1000)
    with pytest.raises(FlashFailed, match="download_image failed: service 0x34") as failed:
        bench.flash()
    assert failed.value.believed == "BCM-HW-03 running its bootloader"
    assert (bench.ecu.communication, bench.ecu.dtc_setting, bench.ecu.session) == (True, True, 1)


def test_undo_that_fails_is_counted_and_hides_nothing(bench: Bench) -> None:
    bench.ecu.on("2702", bench.acts.cut(10_000_000, done=False))
    with pytest.raises(FlashFailed) as failed:
        bench.flash()
    assert failed.value.report.counts["undo_failed"] == 4
    assert failed.value.believed.startswith("silent")
    bench.assert_no_orphans()


def test_cancelled_job_switches_on_again_and_leaves_no_task(bench: Bench) -> None:
    async def cancelled() -> None:
        task = bench.loop.create_task(bench.flashing())
        await bench.loop.sleep_ns(300 * NS_PER_MS)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        await bench.loop.sleep_ns(NS_PER_S)

    bench.run(cancelled())
    assert functional(bench)[-3:] == ["288001", "8581", "1081"]
    assert (bench.ecu.communication, bench.ecu.dtc_setting) == (True, True)


def test_tester_that_loses_power_sends_nothing_more(bench: Bench) -> None:
    def boot(life: Incarnation) -> None:
        async def work() -> None:
            await bench.flashing(clock=life)

        life.spawn(work(), "flasher")

    node = Node(bench.world, "agent", boot)
    heard: list[int] = []

    async def story() -> None:
        node.power_on()
        await bench.loop.sleep_ns(300 * NS_PER_MS)
        node.cut("test")
        heard.append(len(bench.ecu.received) + len(bench.ecu.functional))
        await bench.loop.sleep_ns(60 * NS_PER_S)

    bench.loop.run(story())
    assert bench.world.crash is None
    assert heard[0] > 0
    assert len(bench.ecu.received) + len(bench.ecu.functional) <= heard[0]


def test_every_oddity_is_one_log_line_with_named_fields(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    bench.ecu.on("36", bench.acts.lose_answer())
    with caplog.at_level(logging.DEBUG, "otabench.flasher"):
        bench.flash()
    line = next(record.getMessage() for record in caplog.records if "block_repeat" in record.getMessage())
    assert line.startswith("block_repeat ecu=body counter=1 error=P2 t_ns=")
