"""The rules as folds: state is a value at every event, and nothing depends on what else is judged."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import fields

import pytest

from bench.core.records import NOBODY, SOURCES, UNWATCHED, FrameRecord, RunRecord, Watch, Watched
from bench.oracle.facts import Facts, Source
from bench.oracle.judge import RULES, Judge, judge, judge_one
from bench.oracle.result import Invariant
from bench.oracle.state import frozen
from bench.oracle.stream import events
from tests.oracle.oracle_vectors import replace


def keys(record: RunRecord) -> list[Hashable]:
    run, found = Judge(Facts.of(record)), []
    for event in events(record):
        run.take(event)
        found.append(run.key())
    return found


def last_key(record: RunRecord) -> Hashable:
    run = Judge(Facts.of(record))
    for event in events(record):
        run.take(event)
    return run.key()


def test_equal_events_give_equal_keys_all_along(healthy: RunRecord) -> None:
    first, second = keys(healthy), keys(replace(healthy))
    assert [hash(key) for key in first] == [hash(key) for key in second]
    assert first == second


def test_key_tells_states_apart_that_will_be_judged_differently(healthy: RunRecord) -> None:
    swallowed = replace(healthy, frames=healthy.frames.items[:-3])
    assert last_key(healthy) != last_key(swallowed)


def test_key_says_nothing_of_frames_that_mean_nothing(healthy: RunRecord) -> None:
    strange = FrameRecord(9_000_000_000, "can0", "somebody", 0x123, 0, b"\x01\x02")
    assert last_key(healthy) == last_key(replace(healthy, frames=(*healthy.frames.items, strange)))


def test_state_that_is_no_plain_value_is_refused() -> None:
    with pytest.raises(TypeError, match="object is no plain value"):
        frozen({"a": [object()]})


@pytest.mark.parametrize("invariant", Invariant)
def test_each_invariant_alone_says_what_it_says_among_all(
    healthy: RunRecord, refused: RunRecord, invariant: Invariant
) -> None:
    for record in (healthy, refused):
        together = next(v for v in judge(record, ()).invariants if v.id is invariant)
        assert judge_one(record, invariant) == together


def test_verdicts_may_be_asked_twice(healthy: RunRecord) -> None:
    run = Judge(Facts.of(healthy))
    for event in events(healthy):
        run.take(event)
    assert run.verdicts() == run.verdicts()


def test_every_rule_says_what_it_relies_on() -> None:
    assert [rule.__name__ for rules in RULES.values() for rule in rules if not rule.relies_on] == []


def test_every_source_of_a_record_is_named_once_everywhere() -> None:
    watched = {field.name for field in fields(RunRecord) if str(field.type).startswith("Watched[")}
    assert watched == SOURCES == {source.value for source in Source}


def test_gaps_lie_between_the_spans_in_which_somebody_looked() -> None:
    assert Watch(((0, 10),)).gaps_ns(0, 10) == ()
    assert Watch(((2, 4), (6, 8))).gaps_ns(0, 10) == ((0, 2), (4, 6), (8, 10))
    assert Watch(((6, 8), (2, 7))).gaps_ns(3, 8) == ()
    assert Watch(((20, 30),)).gaps_ns(0, 10) == ((0, 10),)
    assert NOBODY.gaps_ns(0, 10) == ((0, 10),)
    assert not Watch(((0, 10),), lost=1).whole(0, 10)
    assert Watch(((0, 10),)).whole(0, 10)
    assert not NOBODY.whole(0, 0)


def test_places_were_watched_each_in_its_own_way() -> None:
    source: Watched[int] = Watched((), ((0, 9),), places={"can0": Watch(((0, 9),)), "can1": Watch(((0, 4),))})
    assert source.watch("can1").gaps_ns(0, 9) == ((4, 9),)
    assert source.watch("can2") == NOBODY
    assert source.watched
    assert Watched.during((), 0, 9).watch("anywhere").whole(0, 9)
    assert not UNWATCHED.watched
