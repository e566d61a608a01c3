"""Fault points: text form, numbering by the golden run, and firing before, inside and after an operation."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.core.loop import VirtualLoop
from bench.core.points import SYMBOLS, FaultPoint, Points, PointTable, resolve

CLASSES = st.from_regex(r"[a-z][a-z0-9_-]{0,8}(\.[a-z]{1,5})?", fullmatch=True)
NAMES = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}", fullmatch=True)


@st.composite
def fault_points(draw: st.DrawFn) -> FaultPoint:
    where = draw(st.sampled_from(["before", "torn", "after"]))
    return FaultPoint(
        draw(CLASSES),
        draw(NAMES),
        draw(NAMES),
        draw(st.sampled_from(SYMBOLS) | st.integers(1, 10**11)),
        draw(st.none() | NAMES),
        where,
        draw(st.integers(0, 10**8)) if where == "torn" else None,
    )


@given(fault_points())
def test_a_point_read_from_its_own_text_is_the_same_point(point: FaultPoint) -> None:
    assert FaultPoint.parse(str(point)) == point


def test_the_example_of_the_contract_is_read() -> None:
    point = FaultPoint.parse("power.ecu:body:program:17:torn=3")
    assert point == FaultPoint("power.ecu", "body", "program", 17, None, "torn", 3)


def test_before_is_what_a_point_means_when_it_says_nothing() -> None:
    assert FaultPoint.parse("bus:body:frame:1") == FaultPoint.parse("bus:body:frame:1:before")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("power.ecu:body:program", "too few fields"),
        ("Lightning:body:program:1", "bad class 'Lightning'"),
        (":body:program:1", "bad class ''"),
        ("power.ecu:body:Explosion!:1", "bad event 'Explosion!'"),
        ("power.ecu:Body!:program:1", "bad part 'Body!'"),
        ("power.ecu:body:program:0", "bad number '0'"),
        ("power.ecu:body:program:-1", "bad number '-1'"),
        ("power.ecu:body:program:\u0663", "bad number"),
        ("power.ecu:body:program:often", "bad number 'often'"),
        ("power.ecu:body:program:1:torn=x", "unknown word 'torn=x'"),
        ("power.ecu:body:program:1:later", "unknown word 'later'"),
        ("power.ecu:body:program:1:", "unknown word ''"),
        ("power.ecu:body:program:1:torn=3:before", "says where twice"),
        ("power.ecu:body:program:1:phase=a:phase=b", "says where twice"),
    ],
)
def test_a_wrong_point_is_refused_naming_text_and_mistake(text: str, named: str) -> None:
    with pytest.raises(InputError, match="cannot be used") as caught:
        FaultPoint.parse(text)
    assert named in str(caught.value)
    assert caught.value.found == text
    assert caught.value.allowed


@pytest.fixture(scope="module")
def golden(clock: VirtualLoop) -> PointTable:
    """Three program operations in phase erase, two in phase transfer (8 units each), one frame."""
    points = Points(clock)
    counter = points.counter("body", "program")
    for phase, count in (("erase", 3), ("transfer", 2)):
        points.set_phase("body", phase)
        for _ in range(count):
            counter.end(counter.begin(8))
    points.counter("body", "frame").begin()
    return points.table()


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("power.ecu:body:program:first", 1),
        ("power.ecu:body:program:middle", 3),
        ("power.ecu:body:program:last", 5),
        ("power.ecu:body:program:first:phase=transfer", 4),
        ("power.ecu:body:program:middle:phase=erase", 2),
        ("power.ecu:body:program:last:phase=erase:after", 3),
        ("power.ecu:body:program:2:phase=transfer", 5),
        ("power.ecu:body:program:5:torn=7", 5),
    ],
)
def test_the_golden_run_turns_a_point_into_a_number(golden: PointTable, text: str, number: int) -> None:
    point = FaultPoint.parse(text)
    resolved = resolve(point, golden)
    assert resolved == replace(point, n=number, phase=None)
    assert resolve(resolved, golden) == resolved


@pytest.mark.parametrize(
    ("text", "found", "allowed"),
    [
        ("power.ecu:gateway:program:1", "gateway:program", "body:frame, body:program"),
        ("power.ecu:body:program:6", "6", "1 to 5"),
        ("power.ecu:body:program:3:phase=transfer", "3", "1 to 2"),
        ("power.ecu:body:program:1:phase=verify", "verify", "erase, transfer"),
        ("power.ecu:body:program:1:torn=8", "8", "0 to 7"),
    ],
)
def test_a_point_the_golden_run_never_announced_is_refused_with_what_it_did(
    golden: PointTable, text: str, found: str, allowed: str
) -> None:
    with pytest.raises(InputError) as caught:
        resolve(FaultPoint.parse(text), golden)
    assert str(caught.value.found) == found
    assert caught.value.allowed == allowed


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ["*", "begin 2", "inside 2", "end 2"]),
        (":torn=4", ["begin 2", "*", "inside 2", "end 2"]),
        (":after", ["begin 2", "inside 2", "*", "end 2"]),
    ],
)
def test_an_armed_action_fires_once_at_its_instant(clock: VirtualLoop, words: str, expected: list[str]) -> None:
    points = Points(clock)
    seen: list[str] = []
    points.arm(FaultPoint.parse(f"power.ecu:body:program:2{words}"), lambda: seen.append("*"))
    counter = points.counter("body", "program")
    for _ in range(3):
        n = counter.begin(8)
        seen.append(f"begin {n}")
        counter.inside(n, 4)
        seen.append(f"inside {n}")
        counter.end(n)
        seen.append(f"end {n}")
    assert seen == ["begin 1", "inside 1", "end 1", *expected, "begin 3", "inside 3", "end 3"]


def test_torn_at_tells_the_driver_how_far_to_go(clock: VirtualLoop) -> None:
    points = Points(clock)
    counter = points.counter("body", "program")
    points.arm(FaultPoint.parse("power.ecu:body:program:2:torn=3"), lambda: None)
    assert [counter.torn_at(n) for n in (1, 2, 3)] == [None, 3, None]


def test_two_faults_at_one_operation_both_fire_in_the_order_armed(clock: VirtualLoop) -> None:
    points = Points(clock)
    seen: list[str] = []
    point = FaultPoint.parse("power.ecu:body:frame:1")
    points.arm(point, lambda: seen.append("first"))
    points.arm(replace(point, where="after"), lambda: seen.append("after"))
    points.arm(point, lambda: seen.append("second"))
    counter = points.counter("body", "frame")
    counter.end(counter.begin())
    assert seen == ["first", "second", "after"]


def test_a_symbolic_point_cannot_be_armed(clock: VirtualLoop) -> None:
    with pytest.raises(ValueError, match="not resolved by a golden run"):
        Points(clock).arm(FaultPoint.parse("power.ecu:body:frame:last"), lambda: None)


def test_the_table_remembers_number_instant_phase_and_units() -> None:
    loop = VirtualLoop()
    points = Points(loop)

    async def main() -> None:
        points.set_phase("body", "erase")
        await loop.sleep_ns(70)
        points.counter("body", "erase").begin(16)

    loop.run(main())
    loop.discard()
    assert points.table() == {("body", "erase"): ((1, 70, "erase", 16),)}


def test_a_table_taken_before_further_points_does_not_change(clock: VirtualLoop) -> None:
    points = Points(clock)
    counter = points.counter("body", "program")
    counter.begin()
    table = points.table()
    counter.begin()
    points.counter("body", "erase").begin()
    assert {key: len(seen) for key, seen in table.items()} == {("body", "program"): 1}
    assert table.names() == ["body:program"]
    assert len(points.table()["body", "program"]) == 2
