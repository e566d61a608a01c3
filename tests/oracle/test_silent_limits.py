"""Silent at its limits: the instant at which the car, the supply or an erasure counts."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from bench.core.records import ConditionRecord, Demand, FrameRecord, InhibitSignal, RunRecord, VoltageRecord
from bench.oracle.invariants.silent_voltage import millivolts_at
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import MS, S, Talk, boot, healthy, replace, silent

SIGNAL = InhibitSignal("can0", 0x130, False, 16)
CALM, WARNING = bytes.fromhex("00F0FE"), bytes.fromhex("00F0FF")
STANDS, PARKED = Demand(2, "speed_km_h", "at_most", 0.0), Demand(5, "gear", "is", "P")


def condition(t_ns: int, key: str, value: Any) -> ConditionRecord:
    return ConditionRecord(t_ns, key, value, True, "test")


def and_said(record: RunRecord, talk: Talk) -> RunRecord:
    return replace(record, frames=(*record.frames.items, *talk.frames))


# The car when programming began --------------------------------------------------------------------------------


def driving(talk: Talk | None = None, v: ModuleType | None = None) -> RunRecord:
    """The body demands a car that stands and is parked, and this one drives; or with another trace of the bus."""
    base = healthy()
    body, gateway = base.layouts
    changes = condition(S, "speed_km_h", 30.0), condition(S, "gear", "D")
    record = replace(base, layouts=(replace(body, demands=(STANDS, PARKED)), gateway), conditions=changes)
    return record if talk is None or v is None else replace(record, frames=v.and_the_gateway(talk.frames, "body"))


def test_the_first_demand_that_is_not_met_stands_in_the_sentence_and_each_in_the_evidence() -> None:
    found = silent(driving())
    assert found.sentence == "body was erased although the car was not as it demands: speed_km_h"
    for key in ("speed_km_h", "gear"):
        assert any(item.kind == "condition" and key in item.text for item in found.evidence), key


@pytest.mark.parametrize(
    ("request_", "answer", "verdict"),
    [
        ("3101FF00440000000000004000", "7101FF0000", Verdict.FAIL),
        ("3101FF00440000000000004000", None, Verdict.FAIL),
        ("3101FF00440000000000004000", "7F3122", Verdict.PASS),
        ("22F189", "62F189312E302E30", Verdict.PASS),
        ("31010202", "7101020200", Verdict.PASS),
    ],
    ids=["an erasure", "one whose answer nobody saw", "one that was refused", "a reading", "another routine"],
)
def test_only_an_erasure_after_programming_began_counts(
    v: ModuleType, request_: str, answer: str | None, verdict: Verdict
) -> None:
    talk = Talk(4 * S)
    talk.ask("body", b"\x10\x02", "5002003201F4")
    talk.ask("body", bytes.fromhex(request_), answer)
    assert silent(driving(talk, v)).verdict is verdict


# Engine starts -------------------------------------------------------------------------------------------------


def inhibiting(*changes: ConditionRecord, words: tuple[tuple[int, bytes], ...] = ((S, CALM),)) -> RunRecord:
    base = healthy()
    body, gateway = base.layouts
    said = [FrameRecord(t_ns, "can0", "body", 0x130, 0, data) for t_ns, data in words]
    frames = sorted((*base.frames.items, *said), key=lambda frame: frame.t_ns)
    return replace(
        base, layouts=(replace(body, inhibit=SIGNAL), gateway), frames=tuple(frames), conditions=changes
    )  # fmt: skip


def start_at(t_ns: int, **changes: Any) -> RunRecord:
    return inhibiting(condition(0, "engine", False), condition(t_ns, "engine", True), **changes)


def erased_ns() -> int:
    """When the body's yes to its erasure has come."""
    return next(f.t_ns for f in healthy().frames.items if f.can_id == 0x7A8 and f.data[1:5] == b"\x71\x01\xff\x00")


@pytest.mark.parametrize(
    ("t_ns", "verdict"),
    [
        (erased_ns() - 1, Verdict.PASS),
        (erased_ns(), Verdict.FAIL),
        (5 * S + 30 * MS - 1, Verdict.FAIL),
        (5 * S + 30 * MS + 1, Verdict.PASS),
    ],
    ids=["before it obeyed", "as it obeyed", "before its application", "after it started"],
)
def test_a_start_counts_from_the_answer_to_the_erasure_until_the_application_starts(
    t_ns: int, verdict: Verdict
) -> None:
    assert silent(start_at(t_ns)).verdict is verdict


def test_a_boot_manager_is_no_application() -> None:
    record = start_at(erased_ns() + 200 * MS)
    booted = replace(record, boots=(*record.boots.items, boot(erased_ns() + 100 * MS, "body", "boot_manager")))
    assert silent(booted).verdict is Verdict.FAIL


def test_a_refused_erasure_leaves_the_application_where_it_is(v: ModuleType) -> None:
    talk = Talk(4 * S)
    talk.erase("body", "7F3122")
    record = start_at(4 * S + 500 * MS)
    calm = FrameRecord(S, "can0", "body", 0x130, 0, CALM)
    assert silent(replace(record, frames=(*v.and_the_gateway(talk.frames, "body"), calm))).verdict is Verdict.PASS


def test_an_ecu_with_another_bank_still_has_an_application() -> None:
    base = healthy()
    body, gateway = base.layouts
    erased = [f.t_ns for f in base.frames.items if f.can_id == 0x7A9 and f.data[1:5] == b"\x71\x01\xff\x00"]
    changes = condition(0, "engine", False), condition(erased[0] + MS, "engine", True)
    frames = (FrameRecord(S, "can0", "gateway", 0x130, 0, CALM), *base.frames.items)
    layouts = (body, replace(gateway, inhibit=SIGNAL))
    assert silent(replace(base, layouts=layouts, frames=frames, conditions=changes)).verdict is Verdict.PASS


INHIBITED = ((S // 2, WARNING), (S, CALM), (2 * S, WARNING), (8 * S, CALM))


def test_the_word_that_stood_at_the_start_is_the_evidence() -> None:
    found = silent(start_at(3 * S, words=INHIBITED))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert ("can0 @ 2.000000000 s", "body inhibits the start") in [(i.where, i.text) for i in found.evidence]
    assert ("car @ 3.000000000 s", "engine started: test") in [(i.where, i.text) for i in found.evidence]


@pytest.mark.parametrize(
    "changes",
    [
        (condition(3 * S, "engine", True),),
        (condition(0, "engine", False), condition(1500 * MS, "engine", True), condition(3 * S, "engine", True)),
        (condition(0, "engine", False), condition(3 * S, "engine", False)),
        (condition(0, "engine", True), condition(3 * S, "engine", False)),
    ],
    ids=["the first value is no change", "it runs already", "it stays off", "it stops"],
)
def test_only_an_engine_that_was_off_is_started(changes: tuple[ConditionRecord, ...]) -> None:
    assert silent(inhibiting(*changes, words=INHIBITED)).verdict is Verdict.PASS


def test_a_car_that_nobody_watched_leaves_the_inhibit_signal_unobserved() -> None:
    found = silent(replace(start_at(3 * S), conditions=None))
    assert found.verdict is Verdict.NOT_OBSERVED
    assert found.sentence == "the car around body was not observed"


# The supply ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("t_ns", "millivolts"),
    [(5, 1000), (10, 1000), (13, 1300), (15, 1500), (19, 1900), (20, 500), (25, 500), (29, 500), (30, 500), (40, 500)],
)
def test_a_voltage_is_linear_between_points_and_stays_outside_of_them(t_ns: int, millivolts: int) -> None:
    assert millivolts_at(((10, 1000), (20, 2000), (20, 500), (30, 500)), t_ns) == millivolts


def test_a_voltage_between_two_millivolts_is_cut() -> None:
    assert [millivolts_at(((0, 0), (3, 10), (6, 10)), t_ns) for t_ns in range(5)] == [0, 3, 6, 10, 10]


@pytest.mark.parametrize("t_ns", [5, 10, 15])
def test_one_point_is_the_voltage_all_along(t_ns: int) -> None:
    assert millivolts_at(((10, 1000),), t_ns) == 1000


def powered(record: RunRecord, *points: tuple[int, int]) -> RunRecord:
    layouts = tuple(replace(layout, program_mv=(9_500, 16_000)) for layout in record.layouts)
    return replace(record, layouts=layouts, voltages=(VoltageRecord(0, "body", points),))


def last_block_ns() -> int:
    return max(f.t_ns for f in healthy().frames.items if f.can_id == 0x7A0 and f.data[0] >> 4 == 2)


def test_the_voltage_at_the_request_is_told() -> None:
    erased = next(f.t_ns for f in healthy().frames.items if f.can_id == 0x7A0 and f.data[2:5] == b"\x31\x01\xff")
    asked_ns = erased + MS // 4  # the second of its two frames
    fell = (0, 9_400), (asked_ns - 2 * MS, 9_400), (asked_ns + 2 * MS, 9_000)  # 9.3 V a millisecond before
    found = silent(powered(healthy(), *fell))
    assert found.sentence == "body was erased or programmed at 9200 mV"
    assert found.evidence[0].text == "31 01 FF 00 was obeyed at 9200 mV, allowed are 9500 to 16000"


@pytest.mark.parametrize(
    ("points", "verdict"),
    [
        (((0, 13_500), (last_block_ns() - MS + 1, 13_500), (last_block_ns() - MS + 1, 5_000)), Verdict.PASS),
        (((0, 13_500), (last_block_ns() - MS, 13_500), (last_block_ns() - MS, 5_000)), Verdict.FAIL),
        (((last_block_ns() - MS + 1, 5_000), (last_block_ns() - MS + 2, 5_000)), Verdict.PASS),
        (((last_block_ns() - MS, 5_000), (last_block_ns() - MS + 1, 5_000)), Verdict.FAIL),
    ],
    ids=["fell too late to be seen", "fell in time", "nobody knows what it was", "known for long enough"],
)
def test_a_voltage_counts_once_it_stood_for_a_millisecond(points: Any, verdict: Verdict) -> None:
    assert silent(powered(healthy(), *points)).verdict is verdict


def test_what_an_ecu_refuses_at_a_low_voltage_is_no_fault() -> None:
    talk = Talk(7 * S)
    talk.erase("body", "7F3193")
    record = powered(and_said(healthy(), talk), (0, 13_500), (6 * S, 13_500), (6 * S, 5_000))
    assert silent(record).verdict is Verdict.PASS
    talk.erase("body")
    assert silent(and_said(record, talk)).verdict is Verdict.FAIL
