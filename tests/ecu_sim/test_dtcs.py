"""DTCs: status bits, snapshot, counters (ISO 14229-1, annex D), the events that set them, and 0x14 and 0x19."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS
from ecu_sim.memory.dtcs import (
    AGED_CYCLES,
    AVAILABLE,
    FAILED,
    FREE,
    NEVER_TESTED,
    SLOTS,
    Dtc,
    DtcMemory,
    Snapshot,
    Status,
    StoredDtc,
)
from ecu_sim.memory.flash import FlashFault

Drive = Callable[..., Any]


def ecu_of(car: Any) -> Any:
    """Return the simulated ECU."""
    return car.vehicle._ecus["ecu"]


def dtcs_of(car: Any) -> DtcMemory:
    """Return the DTCs of the life that runs."""
    dtcs = ecu_of(car).dtcs
    assert isinstance(dtcs, DtcMemory)
    return dtcs


# Status bits ----------------------------------------------------------------------------------------

stored_dtcs = st.builds(
    StoredDtc,
    code=st.integers(1, 0xFF_FFFF), status=st.integers(0, 0x7F).map(Status), order=st.integers(0, 255),
    occurrences=st.integers(0, 255), aged_cycles=st.integers(0, AGED_CYCLES - 1),
    snapshot=st.builds(
        Snapshot, supply_mv=st.integers(0, 0xFFFF), session=st.integers(0, 255), uptime_ms=st.integers(0, 2**32 - 1),
        version=st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=16),
    ),
)  # fmt: skip


@given(stored_dtcs)
def test_slot_survives_encoding(dtc: StoredDtc) -> None:
    assert StoredDtc.decode(dtc.encode()) == dtc


def test_free_slot_holds_no_dtc() -> None:
    assert StoredDtc.decode(FREE) is None


@given(stored_dtcs)
def test_failure_sets_failed_pending_and_confirmed_and_completes_the_test(dtc: StoredDtc) -> None:
    failed = dtc.failed()
    assert failed.status & FAILED == FAILED
    assert not failed.status & NEVER_TESTED
    assert failed.aged_cycles == 0


@given(stored_dtcs)
def test_pass_clears_test_failed_and_keeps_what_happened(dtc: StoredDtc) -> None:
    passed = dtc.passed()
    assert not passed.status & (Status.TEST_FAILED | NEVER_TESTED)
    kept = Status.CONFIRMED | Status.FAILED_SINCE_CLEAR | Status.PENDING | Status.FAILED_THIS_CYCLE
    assert passed.status & kept == dtc.status & kept


def test_occurrences_count_failures_that_follow_a_pass() -> None:
    dtc = StoredDtc(1, FAILED)
    assert dtc.failed().occurrences == 1
    assert dtc.passed().failed().passed().failed().occurrences == 3
    assert replace(dtc, occurrences=255).passed().failed().occurrences == 255


def test_pending_ends_with_a_cycle_that_passed_and_confirmed_stays() -> None:
    dtc = StoredDtc(1, FAILED)
    same_cycle = dtc.passed()
    second = same_cycle.in_new_cycle()
    assert second is not None
    assert (
        second.status == Status.PENDING | Status.CONFIRMED | Status.FAILED_SINCE_CLEAR | Status.NOT_COMPLETED_THIS_CYCLE
    )
    third = second.passed().in_new_cycle()
    assert third is not None
    assert third.status == Status.CONFIRMED | Status.FAILED_SINCE_CLEAR | Status.NOT_COMPLETED_THIS_CYCLE
    assert third.aged_cycles == 1


def test_cycles_without_a_test_do_not_age_and_forty_good_ones_forget() -> None:
    dtc: StoredDtc | None = StoredDtc(1, FAILED).passed().in_new_cycle()
    assert dtc is not None
    untested = dtc.in_new_cycle()
    assert untested is not None
    assert untested.aged_cycles == 0
    for _ in range(AGED_CYCLES - 1):
        assert dtc is not None
        dtc = dtc.passed().in_new_cycle()
    assert dtc is not None
    assert dtc.aged_cycles == AGED_CYCLES - 1
    assert dtc.passed().in_new_cycle() is None


# The memory -----------------------------------------------------------------------------------------


def test_more_dtcs_than_slots_push_out_the_oldest_however_many_come(drive: Drive) -> None:
    async def story(car: Any) -> None:
        dtcs = dtcs_of(car)
        for code in range(1, 400):
            dtcs.report(code, failed=True)
            assert [dtc.code for dtc in dtcs.stored] == list(range(max(1, code - SLOTS + 1), code + 1))
        await car.wait_ms(5_000)
        car.node.cut("test")
        await car.awake()
        assert [dtc.code for dtc in dtcs_of(car).stored] == list(range(400 - SLOTS, 400))

    drive(story)


@pytest.mark.parametrize("cut_after_us", [0, 400, 1_400, 1_600, 5_000])
def test_dtc_is_in_nvm_whole_or_not_at_all_whenever_the_power_goes(drive: Drive, cut_after_us: int) -> None:
    async def story(car: Any) -> None:
        await car.wait_ms(100)
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=True)
        before = dtcs_of(car).stored
        await car.world.clock.sleep_ns(cut_after_us * 1_000)
        car.node.cut("test")
        await car.awake()
        found = dtcs_of(car).find(Dtc.UNDERVOLTAGE)
        if cut_after_us < 1_500:
            assert found is None
        else:
            assert found == before[0].in_new_cycle()

    drive(story)


def test_new_cycle_with_nothing_stored_writes_nothing(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.wait_ms(500)
        assert not [entry for entry in car.world.journal.entries() if entry.kind == "nvm.write"]

    drive(story)


# Real events ----------------------------------------------------------------------------------------


def test_boot_without_an_image_sets_not_programmed_and_a_good_boot_ends_it(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("19 02 01") == "59 02 7F 06 02 51 2F"
        await car.flash(car.image())
        assert await car.version() == "2.0.0"
        assert await car.hex("19 02 01") == "59 02 7F"

    drive(story, installed=False)


@pytest.mark.parametrize(
    ("personality", "point"),
    [
        ("body_controller", "erase:2"), ("body_controller", "erase:3:torn=1"), ("body_controller", "program:1"),
        ("body_controller", "program:3"), ("gateway", "program:1:torn=0"), ("gateway", "program:3"),
    ],
)  # fmt: skip
def test_interrupted_programming_is_found_at_the_next_boot(drive: Drive, personality: str, point: str) -> None:
    async def story(car: Any) -> None:
        image = car.image(length=20_000)
        car.arm_cut(f"power.ecu:ecu:{point}")
        await car.programming()
        await car.good("2EF15A30010154455354455231")
        car.tester.put(bytes.fromhex("3101FF0044") + bytes(4) + len(image.data).to_bytes(4, "big"))
        await car.wait_ms(1_000)
        if car.node.powered:
            await car.good(bytes.fromhex("340044") + bytes(4) + len(image.data).to_bytes(4, "big"))
            for n in range(1, 5):
                await car.ask(bytes((0x36, n)) + image.data[(n - 1) * 3840 : n * 3840], 200)
        assert not car.node.powered
        await car.awake()
        assert dtcs_of(car).find(Dtc.PROGRAMMING_INTERRUPTED) is not None
        answer = await car.good("190201")
        assert bytes.fromhex("0602542F") in answer
        await car.flash(image)
        assert bytes.fromhex("060254") not in await car.good("190201")
        assert bytes.fromhex("060254") in await car.good("190208")
        await car.good("14060254")
        assert bytes.fromhex("060254") not in await car.good("190208")

    drive(story, personality)


def test_blank_ecu_is_not_programmed_but_nothing_was_interrupted(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert [dtc.code for dtc in dtcs_of(car).stored] == [Dtc.NOT_PROGRAMMED]

    drive(story, installed=False)


def test_flash_that_does_not_program_sets_the_memory_fault(drive: Drive, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(car: Any) -> None:
        await car.put_image(car.image())

        async def broken(*_arguments: object) -> None:
            raise FlashFault("a cell does not take the charge")

        monkeypatch.setattr(car.memory.flash, "program", broken)
        assert await car.hex("31 01 02 02") == "7F 31 72"
        assert bytes.fromhex("0601442F") in await car.good("190201")

    drive(story, installed=False)


# 0x14 -----------------------------------------------------------------------------------------------


def test_0x14_of_one_dtc_leaves_the_others_and_of_an_unknown_group_is_refused_with_nrc_31(drive: Drive) -> None:
    async def story(car: Any) -> None:
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=True)
        dtcs_of(car).report(Dtc.MEMORY_FAULT, failed=True)
        assert await car.hex("14 F0 03 17") == "7F 14 31"
        assert await car.hex("14 F0 03 16") == "54"
        assert [dtc.code for dtc in dtcs_of(car).stored] == [Dtc.MEMORY_FAULT]
        assert await car.hex("14 F0 03 16") == "54"
        car.node.cut("test")
        await car.awake()
        assert [dtc.code for dtc in dtcs_of(car).stored] == [Dtc.MEMORY_FAULT]
        assert await car.hex("14 FF FF FF") == "54"
        car.node.cut("test")
        await car.awake()
        assert dtcs_of(car).stored == ()

    drive(story)


def test_0x14_resets_the_status_to_not_completed(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert dict(dtcs_of(car).supported())[Dtc.NOT_PROGRAMMED] == 0
        await car.good("14FFFFFF")
        assert dict(dtcs_of(car).supported())[Dtc.NOT_PROGRAMMED] == NEVER_TESTED

    drive(story)


def test_0x14_works_under_0x85_off(drive: Drive) -> None:
    async def story(car: Any) -> None:
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=True)
        await car.good("1003")
        await car.good("8502")
        await car.good("14FFFFFF")
        assert dtcs_of(car).stored == ()

    drive(story)


# 0x19 -----------------------------------------------------------------------------------------------


def test_0x19_01_and_02_count_and_list_what_matches_the_mask(drive: Drive) -> None:
    async def story(car: Any) -> None:
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=True)
        dtcs_of(car).report(Dtc.CRASH_LOOP, failed=True)
        dtcs_of(car).report(Dtc.CRASH_LOOP, failed=False)
        assert await car.hex("19 01 08") == "59 01 7F 01 00 02"
        assert await car.hex("19 01 01") == "59 01 7F 01 00 01"
        assert await car.hex("19 02 0C") == "59 02 7F 06 07 47 2E F0 03 16 2F"
        assert await car.hex("19 02 00") == "59 02 7F"
        assert await car.hex("19 02 80") == "59 02 7F"
        assert await car.hex("19 82 01") is None

    drive(story)


def test_0x19_0a_lists_every_dtc_of_the_ecu_with_its_status(drive: Drive) -> None:
    async def story(car: Any) -> None:
        dtcs_of(car).declare((Dtc.LOST_COMMUNICATION,))
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=True)
        answer = await car.good("190A")
        assert answer[:3] == bytes((0x59, 0x0A, AVAILABLE))
        listed = {int.from_bytes(answer[at : at + 3], "big"): answer[at + 3] for at in range(3, len(answer), 4)}
        assert set(listed) == set(Dtc)
        assert (listed[Dtc.UNDERVOLTAGE], listed[Dtc.LOST_COMMUNICATION], listed[Dtc.NOT_PROGRAMMED]) == (0x2F, 0x50, 0)

    drive(story)


def test_0x19_03_and_04_tell_the_snapshot_of_the_first_failure(drive: Drive) -> None:
    async def story(car: Any) -> None:
        await car.good("1003")
        await car.wait_ms(1_000)
        uptime_ms = dtcs_of(car).uptime_ms
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=True)
        await car.good("1001")
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=False)
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=True)
        assert await car.hex("19 03") == "59 03 F0 03 16 01"
        answer = await car.good("1904F0031601")
        assert answer[:8] == bytes.fromhex("5904F003162F0104")
        assert answer[8:12] == b"\xd0\x01" + (13_500).to_bytes(2, "big")
        assert answer[12:15] == b"\xf1\x86\x03"
        assert answer[15:21] == b"\xd0\x02" + uptime_ms.to_bytes(4, "big")
        assert answer[21:] == b"\xd0\x03" + b"1.0.0".ljust(16, b"\x00")
        assert await car.good("1904F00316FF") == answer

    drive(story)


def test_0x19_04_of_a_dtc_without_snapshot_is_its_status_alone(drive: Drive) -> None:
    async def story(car: Any) -> None:
        assert await car.hex("19 04 F0 03 16 FF") == "59 04 F0 03 16 50"
        assert await car.hex("19 06 F0 03 16 FF") == "59 06 F0 03 16 50"

    drive(story)


def test_0x19_06_tells_occurrences_and_ageing(drive: Drive) -> None:
    async def story(car: Any) -> None:
        for failed in (True, False, True, False):
            dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=failed)
        await car.wait_ms(10)
        assert await car.hex("19 06 F0 03 16 FF") == "59 06 F0 03 16 2E 01 02 02 00"
        for _ in range(2):
            car.node.cut("test")
            await car.awake()
            dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=False)
            await car.wait_ms(10)
        assert await car.hex("19 06 F0 03 16 02") == "59 06 F0 03 16 28 02 01"
        car.node.cut("test")
        await car.awake()
        assert await car.hex("19 06 F0 03 16 02") == "59 06 F0 03 16 68 02 02"
        assert await car.hex("19 06 F0 03 16 01") == "59 06 F0 03 16 68 01 02"

    drive(story)


def test_0x19_refuses_by_service_rules(drive: Drive) -> None:
    async def story(car: Any) -> None:
        for request, nrc in (
            ("19", "13"), ("19 05", "12"), ("19 05 00 00", "12"), ("19 01", "13"), ("19 02 FF 00", "13"),
            ("19 03 00", "13"), ("19 0A 00", "13"), ("19 04 F0 03 16", "13"), ("19 04 F0 03 17 01", "31"),
            ("19 04 F0 03 16 02", "31"), ("19 04 F0 03 16 00", "31"), ("19 06 12 34 56 FF", "31"),
            ("19 06 F0 03 16 07", "31"),
        ):  # fmt: skip
            assert await car.hex(request) == f"7F 19 {nrc}", request

    drive(story)


def test_dtcs_outlive_power_cuts_with_their_snapshot(drive: Drive) -> None:
    async def story(car: Any) -> None:
        dtcs_of(car).report(Dtc.UNDERVOLTAGE, failed=True)
        snapshot = (await car.good("1904F0031601"))[6:]
        await car.world.clock.sleep_ns(10 * NS_PER_MS)
        car.node.cut("test")
        await car.awake()
        assert (await car.good("1904F0031601"))[6:] == snapshot
        assert await car.hex("19 02 01") == "59 02 7F F0 03 16 6D"

    drive(story)
