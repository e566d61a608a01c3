"""How the judge says what it saw: lengths, counts, instants and values as they stand in a verdict."""

from __future__ import annotations

import pytest

from bench.core.records import ConditionRecord, Demand, DidReading
from bench.oracle.car import unmet
from bench.oracle.findings import (
    EVIDENCE_LIMIT,
    SENTENCE_LIMIT,
    at,
    bench,
    conclude,
    equipment,
    failed,
    hidden,
    in_flash,
    of_reading,
    on_bus,
    passed,
    seconds,
    undecided,
    unseen,
)
from bench.oracle.result import Evidence, Invariant, Verdict
from tests.oracle.oracle_vectors import layout, replace

Value = bool | float | str
"""Of the car's state."""


@pytest.mark.parametrize(
    ("t_ns", "text"),
    [
        (0, "0.000000000 s"), (1, "0.000000001 s"), (-1, "-0.000000001 s"), (999_999_999, "0.999999999 s"),
        (1_000_000_000, "1.000000000 s"), (-1_500_000_000, "-1.500000000 s"), (12_000_000_034, "12.000000034 s"),
    ],
)  # fmt: skip
def test_an_instant_has_nine_digits(t_ns: int, text: str) -> None:
    assert seconds(t_ns) == text


def test_evidence_says_where_it_is() -> None:
    assert at("frame", "can0", 1, "x") == Evidence("frame", "can0 @ 0.000000001 s", "x")
    assert in_flash("body", 0x8000, "x") == Evidence("flash", "body flash 0x00008000", "x")
    assert on_bus("can1", "x") == Evidence("frame", "can1", "x")
    assert bench("x") == Evidence("bench", "record", "x")


@pytest.mark.parametrize(
    ("reading", "text"),
    [
        (DidReading(5, "body", 0xF189, b"1.0"), "31 2E 30 '1.0'"),
        (DidReading(5, "body", 0xF186, b"\x01"), "01"),
        (DidReading(5, "body", 0xF189, b""), "''"),
        (DidReading(5, "body", 0xF189, None, 0x31), "refused, NRC 0x31"),
        (DidReading(5, "body", 0xF189, None), "no value"),
    ],
)
def test_a_reading_is_shown_with_its_bytes_or_why_there_are_none(reading: DidReading, text: str) -> None:
    assert of_reading(reading) == Evidence("did", f"body {reading.did:04X} @ 0.000000005 s", text)


@pytest.mark.parametrize("length", [SENTENCE_LIMIT - 1, SENTENCE_LIMIT, SENTENCE_LIMIT + 1])
def test_a_sentence_is_cut_behind_its_limit(length: int) -> None:
    assert SENTENCE_LIMIT == 160
    found = conclude(Invariant.LIVE, [failed("x" * length)], "fine").sentence
    assert found == ("x" * length if length <= SENTENCE_LIMIT else "x" * (SENTENCE_LIMIT - 1) + "…")


@pytest.mark.parametrize("count", [EVIDENCE_LIMIT - 1, EVIDENCE_LIMIT, EVIDENCE_LIMIT + 1, 99])
def test_evidence_behind_its_limit_is_counted(count: int) -> None:
    assert EVIDENCE_LIMIT == 24
    items = [bench(str(n)) for n in range(count)]
    found = conclude(Invariant.LIVE, [failed("x", *items)], "fine").evidence
    if count <= EVIDENCE_LIMIT:
        assert list(found) == items
    else:
        rest = bench(f"{count - EVIDENCE_LIMIT + 1} further observations of the same kinds")
        assert list(found) == [*items[: EVIDENCE_LIMIT - 1], rest]


def test_only_what_is_no_pass_is_counted_and_the_first_blame_is_named() -> None:
    three = [failed("a"), failed("b", blame="ecu"), failed("c", blame="agent"), passed("d")]
    found = conclude(Invariant.LIVE, three, "fine")
    assert (found.sentence, found.blame) == ("a (and 2 more)", "ecu")
    fine = conclude(Invariant.LIVE, [passed("a", bench("x")), passed("b", bench("y"))], "fine")
    assert (fine.sentence, fine.evidence, fine.blame) == ("fine", (bench("x"), bench("y")), None)
    assert conclude(Invariant.LIVE, [failed("a")], "fine").evidence == (bench("a"),)


def test_the_worst_of_all_kinds_decides() -> None:
    kinds = [
        (failed("f"), Verdict.FAIL), (equipment("e"), Verdict.EQUIPMENT_ERROR), (undecided("i"), Verdict.INCONCLUSIVE),
        (unseen("n"), Verdict.NOT_OBSERVED), (passed("p"), Verdict.PASS),
    ]  # fmt: skip
    for n, (_, verdict) in enumerate(kinds):
        found = conclude(Invariant.LIVE, [finding for finding, _ in reversed(kinds[n:])], "fine")
        assert found.verdict is verdict
    assert conclude(Invariant.LIVE, [equipment("e")], "fine").blame == "bench"
    assert conclude(Invariant.LIVE, [], "fine").verdict is Verdict.NOT_OBSERVED


def test_what_stands_beside_is_named_with_a_pass_and_is_none_alone() -> None:
    beside = [hidden("marks", bench("no marks")), hidden("volts")]
    found = conclude(Invariant.LIVE, [passed("a", bench("x")), *beside], "fine")
    assert (found.verdict, found.sentence) == (Verdict.PASS, "fine; not observed: marks; volts")
    assert found.evidence == (bench("no marks"), bench("x"))
    assert conclude(Invariant.LIVE, beside, "fine").verdict is Verdict.NOT_OBSERVED
    assert conclude(Invariant.LIVE, [failed("a"), *beside], "fine").sentence == "a"


# The car -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("relation", "wanted", "found", "met"),
    [
        ("at_most", 3.0, 3.0, True), ("at_most", 3.0, 3.1, False), ("at_most", 3, 2, True),
        ("at_least", 30.0, 30.0, True), ("at_least", 30.0, 29.9, False), ("at_least", 30, 31, True),
        ("is", 3, 3, True), ("is", 3, 2, False), ("is", 3, 4, False), ("is", "P", "P", True), ("is", "P", "D", False),
        ("at_most", 3.0, "P", False), ("at_least", 3.0, None, False), ("is", True, False, False),
    ],
)  # fmt: skip
def test_a_demand_is_met_to_its_limit(relation: str, wanted: Value, found: Value | None, met: bool) -> None:
    ecu = replace(layout("body"), demands=(Demand(1, "key", relation, wanted),))
    car = {} if found is None else {"key": ConditionRecord(0, "key", found, True, "test")}
    assert (unmet(ecu, car) == ()) is met


@pytest.mark.parametrize(
    ("demand", "found", "text"),
    [
        (Demand(2, "speed_km_h", "at_most", 0.0), 3.0, "speed_km_h was 3.0, demanded is at most 0.0"),
        (Demand(7, "soc_percent", "at_least", 30.0), 29.0, "soc_percent was 29.0, demanded is at least 30.0"),
        (Demand(4, "ignition", "is", True), False, "ignition was false, demanded is true"),
        (Demand(5, "gear", "is", "P"), None, "gear was unknown, demanded is P"),
    ],
)
def test_what_the_car_was_instead_is_told(demand: Demand, found: Value | None, text: str) -> None:
    ecu = replace(layout("body"), demands=(demand,))
    car = {} if found is None else {demand.key: ConditionRecord(0, demand.key, found, True, "x")}
    assert [each.text() for each in unmet(ecu, car)] == [text]
