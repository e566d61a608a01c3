"""Tester present that goes on, marks before the check, seeds that repeat, wrong voltages, boots in between."""

from __future__ import annotations

from types import ModuleType

import pytest

from bench.core.records import FlashOperation, RunRecord, VoltageRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import authentic, bootable, replace, silent, tidy

PROGRAM = (9_500, 16_000)


def after(record: RunRecord, talk: object) -> RunRecord:
    """Append what was said to the bus trace."""
    return replace(record, frames=(*record.frames.items, *talk.frames))  # type: ignore[attr-defined]


# Tester present ------------------------------------------------------------------------------------------------


def kept(v: ModuleType, healthy: RunRecord, *at_s: float) -> RunRecord:
    frames = [f for t_s in at_s for f in v.spoken(round(t_s * v.S), 0x7DF, b"\x3e\x80")]
    return replace(healthy, frames=(*healthy.frames.items, *frames), ended_t_ns=20 * v.S)


def last_work_ns(healthy: RunRecord) -> int:
    return max(f.t_ns for f in healthy.frames.items if f.can_id == 0x7DF)


def test_tester_present_that_goes_on_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = tidy(kept(v, healthy, 8, 10, 12, 14))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "flasher")
    assert found.sentence == "tester present went on after the last request that needed a session"


def test_tester_present_until_s3_after_the_last_request_is_allowed(v: ModuleType, healthy: RunRecord) -> None:
    limit_s = (last_work_ns(healthy) + 5 * v.S) / v.S
    assert tidy(kept(v, healthy, limit_s)).verdict is Verdict.PASS
    assert tidy(kept(v, healthy, limit_s + 1e-6)).verdict is Verdict.FAIL


@pytest.mark.parametrize(("late_ns", "expected"), [(0, Verdict.PASS), (1, Verdict.FAIL)])
def test_s3_ends_with_its_last_nanosecond(v: ModuleType, healthy: RunRecord, late_ns: int, expected: Verdict) -> None:
    t_ns = last_work_ns(healthy) + 5 * v.S + late_ns
    frames = (*healthy.frames.items, *v.spoken(t_ns, 0x7DF, b"\x3e\x80"))
    assert tidy(replace(healthy, frames=frames, ended_t_ns=20 * v.S)).verdict is expected


@pytest.mark.parametrize(
    ("request_", "answer", "expected"),
    [
        ("22F189", "62F18931", Verdict.FAIL), ("1902FF", "5902FF", Verdict.FAIL),
        ("1003", "5003003201F4", Verdict.PASS), ("2101", "6101", Verdict.PASS),
    ],
)  # fmt: skip
def test_reading_is_no_work_that_keeps_a_session(
    v: ModuleType, healthy: RunRecord, request_: str, answer: str, expected: Verdict
) -> None:
    talk = v.Talk(9 * v.S)
    talk.ask("body", bytes.fromhex(request_), answer)
    frames = v.spoken(11 * v.S, 0x7DF, b"\x3e\x80")
    record = after(replace(healthy, ended_t_ns=20 * v.S), talk)
    assert tidy(replace(record, frames=(*record.frames.items, *frames))).verdict is expected


def test_tester_present_in_a_long_job_is_allowed_since_work_follows(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(15 * v.S)
    talk.to_all("1081")
    assert tidy(after(kept(v, healthy, 8, 10, 12, 14), talk)).verdict is Verdict.PASS


def test_tester_present_is_not_judged_on_a_bus_that_nobody_watched(healthy: RunRecord) -> None:
    assert tidy(replace(healthy, frames=None)).verdict is Verdict.NOT_OBSERVED


# A mark stands for a check -------------------------------------------------------------------------------------


def marked(v: ModuleType, record: RunRecord, t_ns: int, region: str = "mark:A", kind: str = "program") -> RunRecord:
    return replace(record, flash_operations=(FlashOperation(t_ns, "body", kind, region, 0, 16),))


def instant_of(record: RunRecord, begins: str, can_id: int = 0x7A0) -> int:
    """Return the end of the last single or first frame to the body controller that begins with these bytes."""
    payload = bytes.fromhex(begins)
    return max(f.t_ns for f in record.frames.items if f.can_id == can_id and payload in (f.data[1 : 1 + len(payload)],))


def test_a_mark_that_is_programmed_before_the_check_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = authentic(marked(v, healthy, instant_of(healthy, "31010202") - 1))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")
    assert found.sentence == "body marked an image as valid before it was checked"


def test_a_mark_that_is_programmed_once_the_check_was_asked_for_is_allowed(v: ModuleType, healthy: RunRecord) -> None:
    record = marked(v, healthy, instant_of(healthy, "31010202") + 1)
    assert authentic(record).verdict is Verdict.PASS


@pytest.mark.parametrize(("region", "kind"), [("mark:A", "erase"), ("image:A", "program")])
def test_only_programming_a_mark_counts(v: ModuleType, healthy: RunRecord, region: str, kind: str) -> None:
    assert authentic(marked(v, healthy, instant_of(healthy, "31010202") - 1, region, kind)).verdict is Verdict.PASS


def test_marks_that_nobody_sees_are_named_beside_the_verdict(healthy: RunRecord) -> None:
    found = authentic(replace(healthy, flash_operations=None))
    assert found.verdict is Verdict.PASS
    assert "not observed: when body marks an image; when gateway marks an image" in found.sentence


# A seed is given once ------------------------------------------------------------------------------------------


def attempts(v: ModuleType, *seeds: str, key: bool = True) -> object:
    talk = v.Talk(7 * v.S)
    for seed in seeds:
        talk.ask("body", b"\x27\x01", f"6701{seed}")
        if key:
            talk.ask("body", b"\x27\x02\xaa\xbb", "6702")
    return talk


def test_a_seed_that_repeats_for_another_attempt_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = authentic(after(healthy, attempts(v, "11223344", "55667788", "11223344")))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert found.sentence == "body gave the same seed for two attempts"


def test_a_seed_that_repeats_after_a_boot_fails(v: ModuleType, healthy: RunRecord) -> None:
    record = after(healthy, attempts(v, "11223344", key=False))
    talk = v.Talk(9 * v.S)
    talk.ask("body", b"\x27\x01", "670111223344")
    boots = (*record.boots.items, *v.start(8 * v.S, "body", "application", "A"))
    assert authentic(after(replace(record, boots=boots), talk)).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    "seeds", [("11223344", "11223345"), ("00000000", "00000000"), ("1122", "1122")],
    ids=["another one", "open already", "too short to tell"],
)  # fmt: skip
def test_seeds_that_may_be_alike_are_allowed(v: ModuleType, healthy: RunRecord, seeds: tuple[str, ...]) -> None:
    assert authentic(after(healthy, attempts(v, *seeds))).verdict is Verdict.PASS


def test_the_same_seed_for_one_attempt_is_allowed(v: ModuleType, healthy: RunRecord) -> None:
    assert authentic(after(healthy, attempts(v, "11223344", "11223344", key=False))).verdict is Verdict.PASS


@pytest.mark.parametrize(("static", "expected"), [(True, Verdict.PASS), (False, Verdict.FAIL)])
def test_a_seed_stays_after_a_wrong_key_only_where_the_file_says_so(
    v: ModuleType, healthy: RunRecord, static: bool, expected: Verdict
) -> None:
    talk = v.Talk(7 * v.S)
    for answer in ("7F2735", "6702"):
        talk.ask("body", b"\x27\x01", "670111223344")
        talk.ask("body", b"\x27\x02\xaa\xbb", answer)
    layouts = tuple(replace(layout, static_seed=static) for layout in healthy.layouts)
    assert authentic(after(replace(healthy, layouts=layouts), talk)).verdict is expected


def test_only_security_access_gives_seeds(v: ModuleType, healthy: RunRecord) -> None:
    """A routine that starts with the same answer twice gave no seed, though a key was sent in between."""
    talk = v.Talk(7 * v.S)
    for _ in range(2):
        talk.ask("body", bytes.fromhex("31010301"), "7101030111223344")
        talk.ask("body", b"\x27\x01", "670100000000")
        talk.ask("body", b"\x27\x02\xaa\xbb", "6702")
    assert authentic(after(healthy, talk)).verdict is Verdict.PASS


def test_levels_have_seeds_of_their_own_and_ecus_too(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(7 * v.S)
    for ecu, level in (("body", 1), ("body", 3), ("gateway", 1)):
        talk.ask(ecu, bytes((0x27, level)), f"67{level:02X}11223344")
        talk.ask(ecu, bytes((0x27, level + 1, 0xAA)), f"67{level + 1:02X}")
    assert authentic(after(healthy, talk)).verdict is Verdict.PASS


@pytest.mark.parametrize(("seed", "expected"), [("112233", Verdict.PASS), ("11223344", Verdict.FAIL)])
def test_four_bytes_are_the_shortest_seed_that_tells(
    v: ModuleType, healthy: RunRecord, seed: str, expected: Verdict
) -> None:
    assert authentic(after(healthy, attempts(v, seed, seed))).verdict is expected


# The voltage ---------------------------------------------------------------------------------------------------


def at_voltage(v: ModuleType, record: RunRecord, millivolts: int, since_ns: int = 0) -> RunRecord:
    layouts = tuple(replace(layout, program_mv=PROGRAM) for layout in record.layouts)
    points = ((since_ns, 13_500), (since_ns, millivolts))
    return replace(record, layouts=layouts, voltages=(VoltageRecord(since_ns, "body", points),))


@pytest.mark.parametrize("millivolts", [9_499, 16_001])
def test_an_erase_at_a_voltage_out_of_range_fails(v: ModuleType, healthy: RunRecord, millivolts: int) -> None:
    found = silent(at_voltage(v, healthy, millivolts))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")
    assert found.sentence == f"body was erased or programmed at {millivolts} mV"


@pytest.mark.parametrize("millivolts", [9_500, 16_000])
def test_an_erase_at_the_limit_of_the_range_is_allowed(v: ModuleType, healthy: RunRecord, millivolts: int) -> None:
    found = silent(at_voltage(v, healthy, millivolts))
    assert found.verdict is Verdict.PASS
    assert "not observed" not in found.sentence


def test_a_voltage_that_fell_within_the_last_millisecond_is_allowed(v: ModuleType, healthy: RunRecord) -> None:
    last_block_ns = max(f.t_ns for f in healthy.frames.items if f.can_id == 0x7A0 and f.data[0] >> 4 == 2)
    assert silent(at_voltage(v, healthy, 5_000, last_block_ns - v.MS + 1)).verdict is Verdict.PASS
    assert silent(at_voltage(v, healthy, 5_000, last_block_ns - v.MS)).verdict is Verdict.FAIL


def test_a_refusal_at_a_low_voltage_is_right(v: ModuleType, refused: RunRecord) -> None:
    talk = v.Talk(5 * v.S)
    talk.ask("body", bytes.fromhex("3101FF00440000000000004000"), "7F3193")
    assert "mV" not in silent(at_voltage(v, after(refused, talk), 9_000)).sentence


def test_a_voltage_that_nobody_measures_is_named_beside_the_verdict(healthy: RunRecord) -> None:
    found = silent(replace(healthy, voltages=None))
    assert found.verdict is Verdict.PASS
    assert "not observed: the voltage at body; the voltage at gateway" in found.sentence


# Two banks -----------------------------------------------------------------------------------------------------


def in_between(v: ModuleType, record: RunRecord, ecu: str = "gateway") -> RunRecord:
    """Let an ECU boot into its bootloader at 7 s, and into its application again at 8 s."""
    boots = (*record.boots.items, *v.start(7 * v.S, ecu, "bootloader"), *v.start(8 * v.S, ecu, "application", "B"))
    image = v.NEW[ecu]
    executions = (*record.executions.items, v.ran(8 * v.S + 30 * v.MS, image, "B" if ecu == "gateway" else "A"))
    return replace(record, boots=boots, executions=executions)


def test_an_ecu_with_two_banks_that_boots_into_its_bootloader_in_between_fails(
    v: ModuleType, healthy: RunRecord
) -> None:
    found = bootable(in_between(v, healthy))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")
    assert found.sentence == "gateway has two banks and booted into its bootloader"


def test_an_ecu_with_one_bank_may_boot_into_its_bootloader_in_between(v: ModuleType, healthy: RunRecord) -> None:
    assert bootable(in_between(v, healthy, "body")).verdict is Verdict.PASS


@pytest.mark.parametrize("functional", [False, True])
def test_a_programming_session_that_was_asked_for_explains_the_bootloader(
    v: ModuleType, healthy: RunRecord, functional: bool
) -> None:
    talk = v.Talk(round(6.9 * v.S))
    if functional:
        talk.to_all("1002")
    else:
        talk.ask("gateway", b"\x10\x02", "5002003201F4")
    assert bootable(after(in_between(v, healthy), talk)).verdict is Verdict.PASS


def test_a_flipped_bit_may_have_cost_the_other_bank(v: ModuleType, healthy: RunRecord) -> None:
    rot = FlashOperation(6 * v.S, "gateway", "rot", "image:B", 0, 1)
    assert bootable(replace(in_between(v, healthy), flash_operations=(rot,))).verdict is Verdict.PASS


def test_boots_that_nobody_sees_are_named_beside_the_verdict(v: ModuleType, healthy: RunRecord) -> None:
    said = [f for can_id in (0x7A8, 0x7A9) for f in v.spoken(100 * v.MS, can_id, b"\x7e\x00", "ecu")]
    found = bootable(replace(healthy, boots=None, frames=(*said, *healthy.frames.items)))
    assert found.verdict is Verdict.PASS
    assert "not observed: what gateway boots in between" in found.sentence


@pytest.mark.parametrize("kind", ["program", "erase"])
def test_programming_a_bank_is_no_excuse_for_the_bootloader(v: ModuleType, healthy: RunRecord, kind: str) -> None:
    done = FlashOperation(6 * v.S, "gateway", kind, "image:A", 0, 1)
    assert bootable(replace(in_between(v, healthy), flash_operations=(done,))).verdict is Verdict.FAIL


def test_a_bit_that_flipped_elsewhere_excuses_nobody(v: ModuleType, healthy: RunRecord) -> None:
    rot = FlashOperation(6 * v.S, "body", "rot", "image:A", 0, 1)
    assert bootable(replace(in_between(v, healthy), flash_operations=(rot,))).verdict is Verdict.FAIL


@pytest.mark.parametrize(
    ("ecu", "request_", "answer"),
    [("gateway", "1003", "5003003201F4"), ("gateway", "2702", "6702"), ("gateway", "1102", "5102"),
     ("body", "1002", "5002003201F4")],
)  # fmt: skip
def test_only_a_programming_session_of_its_own_explains_the_bootloader(
    v: ModuleType, healthy: RunRecord, ecu: str, request_: str, answer: str
) -> None:
    talk = v.Talk(round(6.9 * v.S))
    talk.ask(ecu, bytes.fromhex(request_), answer)
    assert bootable(after(in_between(v, healthy), talk)).verdict is Verdict.FAIL


def test_a_programming_session_on_another_bus_explains_nothing(v: ModuleType, healthy: RunRecord) -> None:
    asked = [frame._replace(channel="can1") for frame in v.spoken(round(6.9 * v.S), 0x7DF, b"\x10\x02")]
    body, gateway = healthy.layouts
    record = in_between(v, replace(healthy, layouts=(replace(body, channel="can1"), gateway)))
    assert bootable(replace(record, frames=(*record.frames.items, *asked))).verdict is Verdict.FAIL


def test_a_boot_uses_the_request_for_programming_up(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(round(6.9 * v.S))
    talk.ask("gateway", b"\x10\x02", "5002003201F4")
    record = after(in_between(v, healthy), talk)
    again = (*record.boots.items, *v.start(round(8.5 * v.S), "gateway", "bootloader"),
             *v.start(9 * v.S, "gateway", "application", "B"))  # fmt: skip
    runs = (*record.executions.items, v.ran(9 * v.S + 30 * v.MS, v.NEW["gateway"], "B"))
    found = bootable(replace(record, boots=again, executions=runs))
    assert found.verdict is Verdict.FAIL
    assert any("@ 8.530000000 s" in item.where for item in found.evidence)


def test_the_first_boot_of_an_ecu_with_two_banks_needs_a_request_too(v: ModuleType, healthy: RunRecord) -> None:
    first = (*v.start(0, "gateway", "bootloader"), *v.start(v.S, "gateway", "application", "A"))
    others = tuple(b for b in healthy.boots.items if b.ecu != "gateway" or b.t_ns >= v.S)
    found = bootable(replace(healthy, boots=(*first, *others)))
    assert "gateway has two banks and booted into its bootloader" in found.sentence


def test_a_long_request_is_shown_by_its_beginning_and_three_tester_presents_are_enough(
    v: ModuleType, healthy: RunRecord
) -> None:
    talk = v.Talk(7 * v.S)
    talk.download("body", 0, b"", complete=False)
    found = tidy(after(kept(v, healthy, 13, 14, 15, 16), talk))
    texts = [item.text for item in found.evidence]
    assert texts[0] == "34 00 44 00 00 00 00 00"
    assert len([text for text in texts if text.startswith("3E ")]) == 3
    last_ns = 7 * v.S + v.MS // 4
    assert texts[1] == f"3E {(13 * v.S - last_ns) / v.S:.9f} s after the last other request"
