"""*Silent* and *tidy* about the car: preconditions when programming began, engine starts, the inhibit signal."""

from __future__ import annotations

from types import ModuleType

import pytest

from bench.core.records import ConditionRecord, Demand, FrameRecord, InhibitSignal, RunRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import replace, silent, tidy

STANDS, CHARGED = Demand(2, "speed_km_h", "at_most", 0.0), Demand(7, "soc_percent", "at_least", 30.0)
PARKED = Demand(5, "gear", "is", "P")
SIGNAL = InhibitSignal("can0", 0x130, False, 16)
CALM, WARNING = bytes.fromhex("00F0FE"), bytes.fromhex("00F0FF")


def condition(t_ns: int, key: str, value: bool | float | str, *, accepted: bool = True) -> ConditionRecord:
    return ConditionRecord(t_ns, key, value, accepted, "test")


def in_car(
    record: RunRecord, *changes: ConditionRecord, demands: tuple[Demand, ...] = (STANDS, CHARGED, PARKED)
) -> RunRecord:
    """The healthy record; its body demands something of a car that stands, charged and parked, until it changes."""
    values: dict[str, bool | float | str] = {"speed_km_h": 0.0, "soc_percent": 80.0, "gear": "P", "engine": False}
    begin = tuple(condition(0, key, value) for key, value in values.items())
    body, gateway = record.layouts
    return replace(record, layouts=(replace(body, demands=demands), gateway), conditions=(*begin, *changes))


def test_car_as_demanded_passes_and_says_so(healthy: RunRecord) -> None:
    found = silent(in_car(healthy))
    assert found.verdict is Verdict.PASS
    assert any("body began programming 1 times" in e.text for e in found.evidence)


@pytest.mark.parametrize(("key", "value"), [("speed_km_h", 3.0), ("soc_percent", 29.0), ("gear", "D")])
def test_erase_in_a_car_that_is_not_as_demanded_fails(
    v: ModuleType, healthy: RunRecord, key: str, value: float | str
) -> None:
    found = silent(in_car(healthy, condition(3 * v.S, key, value)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert key in found.sentence
    assert any(str(value) in e.text for e in found.evidence)


def test_condition_that_was_over_before_programming_began_passes(v: ModuleType, healthy: RunRecord) -> None:
    away, back = condition(2 * v.S, "speed_km_h", 3.0), condition(3 * v.S, "speed_km_h", 0.0)
    assert silent(in_car(healthy, away, back)).verdict is Verdict.PASS


def test_condition_that_arose_once_programming_had_begun_passes(v: ModuleType, healthy: RunRecord) -> None:
    began = next(f.t_ns for f in healthy.frames.items if f.data[:3] == bytes.fromhex("021002"))
    assert silent(in_car(healthy, condition(began + 1, "speed_km_h", 3.0))).verdict is Verdict.PASS


def test_change_that_the_car_refused_does_not_count(v: ModuleType, healthy: RunRecord) -> None:
    assert silent(in_car(healthy, condition(3 * v.S, "gear", "D", accepted=False))).verdict is Verdict.PASS


def test_value_that_was_never_recorded_is_not_as_demanded(healthy: RunRecord) -> None:
    demand = Demand(4, "ignition", "is", True)
    assert silent(in_car(healthy, demands=(demand,))).verdict is Verdict.FAIL


def test_programming_that_was_refused_or_led_to_no_erase_passes(v: ModuleType, healthy: RunRecord) -> None:
    for answer in ("7F1022", "5002003201F4"):
        talk = v.Talk(4 * v.S)
        talk.ask("body", b"\x10\x02", answer)
        record = in_car(
            replace(healthy, frames=v.and_the_gateway(talk.frames, "body")), condition(v.S, "speed_km_h", 30.0)
        )
        assert silent(record).verdict is Verdict.PASS


def test_bootloader_without_application_is_not_judged_by_the_car(v: ModuleType, healthy: RunRecord) -> None:
    boots = tuple(replace(b, stage="bootloader", bank=None) if b.ecu == "body" else b for b in healthy.boots.items)
    record = in_car(replace(healthy, boots=boots), condition(v.S, "speed_km_h", 30.0))
    assert silent(record).verdict is Verdict.PASS


def test_car_that_was_not_observed_leaves_demands_unobserved(healthy: RunRecord) -> None:
    unseen = replace(in_car(healthy), conditions=None)
    assert silent(unseen).verdict is Verdict.NOT_OBSERVED
    assert silent(replace(healthy, conditions=None)).verdict is Verdict.PASS, "no ECU demands anything"


# The inhibit signal ---------------------------------------------------------------------------------


def said(t_ns: int, data: bytes) -> FrameRecord:
    return FrameRecord(t_ns, "can0", "body", 0x130, 0, data)


def inhibiting(record: RunRecord, words: list[FrameRecord], *changes: ConditionRecord) -> RunRecord:
    body, gateway = record.layouts
    frames = tuple(sorted((*(record.frames.items), *words), key=lambda f: f.t_ns))
    conditions = (condition(0, "engine", False), *changes)
    layouts = (replace(body, inhibit=SIGNAL), gateway)
    return replace(record, layouts=layouts, frames=frames, conditions=conditions)


def test_start_while_inhibited_fails(v: ModuleType, healthy: RunRecord) -> None:
    words = [said(v.S, CALM), said(2 * v.S, WARNING), said(8 * v.S, CALM)]
    found = silent(inhibiting(healthy, words, condition(3 * v.S, "engine", True)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert "while body inhibited it" in found.sentence


@pytest.mark.parametrize("t_s", [1.5, 9.0])
def test_start_before_or_after_the_inhibition_passes(v: ModuleType, healthy: RunRecord, t_s: float) -> None:
    words = [said(v.S, CALM), said(2 * v.S, WARNING), said(8 * v.S, CALM)]
    record = inhibiting(healthy, words, condition(round(t_s * v.S), "engine", True))
    assert silent(record).verdict is Verdict.PASS


def test_start_that_was_refused_passes_and_is_shown(v: ModuleType, healthy: RunRecord) -> None:
    words = [said(2 * v.S, WARNING), said(8 * v.S, CALM)]
    found = silent(inhibiting(healthy, words, condition(3 * v.S, "engine", True, accepted=False)))
    assert found.verdict is Verdict.PASS
    assert any("engine refused" in e.text for e in found.evidence)


def test_start_between_erase_and_new_application_fails_although_nothing_inhibited_it(
    v: ModuleType, healthy: RunRecord
) -> None:
    erased = next(f.t_ns for f in healthy.frames.items if f.can_id == 0x7A8 and f.data[1:5] == b"\x71\x01\xff\x00")
    record = inhibiting(healthy, [said(v.S, CALM)], condition(erased + v.MS, "engine", True))
    found = silent(record)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")


def test_inhibit_that_is_off_at_the_end_is_tidy(v: ModuleType, healthy: RunRecord) -> None:
    words = [said(v.S, CALM), said(2 * v.S, WARNING), said(8 * v.S, CALM)]
    assert tidy(inhibiting(healthy, words)).verdict is Verdict.PASS


def test_inhibit_that_stays_on_is_not_tidy(v: ModuleType, healthy: RunRecord) -> None:
    found = tidy(inhibiting(healthy, [said(v.S, CALM), said(2 * v.S, WARNING)]))
    assert found.verdict is Verdict.FAIL
    assert "still inhibits" in found.sentence


def test_ecu_that_never_said_anything_is_undecided(healthy: RunRecord) -> None:
    assert tidy(inhibiting(healthy, [])).verdict is Verdict.INCONCLUSIVE
