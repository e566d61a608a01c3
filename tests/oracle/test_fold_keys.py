"""Keys of folds: what two runs must have in common so that they are judged alike from here on, and nothing else."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from dataclasses import replace as plain_replace
from typing import Any

import pytest

from bench.core.records import (
    ExecutionRecord,
    FaultRecord,
    FlashDump,
    FrameRecord,
    InhibitSignal,
    PowerRecord,
    RunRecord,
    ServerEvent,
    VoltageRecord,
)
from bench.oracle.facts import Facts
from bench.oracle.findings import failed, passed
from bench.oracle.judge import Judge, judge
from bench.oracle.result import Verdict
from bench.oracle.state import frozen
from bench.oracle.stream import Ended, events, instant_ns
from tests.oracle.neighbours_car import DOOR_FRAME, car, without
from tests.oracle.oracle_vectors import (
    MS,
    NEW,
    S,
    authentic,
    event,
    healthy,
    live,
    ran,
    reference,
    refused,
    replace,
    spoken,
)

DURATIONS = {"live_within_ns", "poll_interval_ns"}


def shifted(value: Any, by_ns: int, name: str = "") -> Any:
    """Return a record, or a part of it, with every instant later; instants have names that end in `_ns`."""
    if isinstance(value, bool | str | bytes) or value is None:
        return value
    if isinstance(value, int):
        return value + by_ns if name.endswith("_ns") and name not in DURATIONS else value
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(shifted(item, by_ns, field) for field, item in zip(value._fields, value, strict=True)))
    if isinstance(value, VoltageRecord):
        points = tuple((t_ns + by_ns, millivolts) for t_ns, millivolts in value.points)
        return plain_replace(value, t_ns=value.t_ns + by_ns, points=points)
    if isinstance(value, tuple | list):
        return tuple(shifted(item, by_ns, name) for item in value)
    if isinstance(value, Mapping):
        return {key: shifted(item, by_ns, name) for key, item in value.items()}
    if is_dataclass(value) and not isinstance(value, type):
        changes = {each.name: shifted(getattr(value, each.name), by_ns, each.name) for each in fields(value)}
        return plain_replace(value, **changes)
    return value


EVERY = 11
"""Keys are compared after every eleventh event, and after the last: one costs as much as judging a hundred events."""


def keys(record: RunRecord) -> Iterator[Hashable]:
    run = Judge(Facts.of(record))
    for number, seen in enumerate(events(record)):
        run.take(seen)
        if number % EVERY == 0:
            yield run.key()
    yield run.key()


def troubled() -> RunRecord:
    """Power cuts, a fault, a supply that sags, and a late answer."""
    record = car()
    cuts = [PowerRecord(t_ns, part, on, "cut") for t_ns, part, on in (
        (4 * S, "agent", False), (4 * S + MS, "agent", True), (5 * S, "body", False), (5 * S + 9 * MS, "body", True),
    )]  # fmt: skip
    return replace(
        record,
        power=(*record.power.items, *cuts),
        faults=(FaultRecord("power.ecu", "power.ecu:body:flash:7", {}, 5 * S, 5 * S + 9 * MS),),
        voltages=(VoltageRecord(4 * S, "body", ((4 * S, 12_000), (5 * S, 7_000), (6 * S, 12_000))),),
    )


RECORDS = {"healthy": healthy, "refused": refused, "car": car, "troubled": troubled}


@pytest.mark.parametrize("name", RECORDS)
def test_later_start_changes_no_key(name: str) -> None:
    record = RECORDS[name]()
    for number, (key, delayed) in enumerate(zip(keys(record), keys(shifted(record, 86_401 * S)), strict=True)):
        assert key == delayed, f"key {number}"


def judged(record: RunRecord) -> list[tuple[object, ...]]:
    return [(each.id, each.verdict, each.sentence, each.blame) for each in judge(record, ()).invariants]


@pytest.mark.parametrize("name", RECORDS)
def test_later_start_changes_no_verdict(name: str) -> None:
    assert judged(RECORDS[name]()) == judged(shifted(RECORDS[name](), 3 * S))


def last_key(record: RunRecord, until_ns: int) -> Hashable:
    """Return the key once everything up to an instant was read."""
    run = Judge(Facts.of(record))
    for seen in events(record):
        if isinstance(seen, FlashDump | Ended) or instant_ns(seen) > until_ns:
            break
        run.take(seen)
    return run.key()


def with_events(record: RunRecord, *more: ServerEvent) -> RunRecord:
    found = sorted([*record.server_events.items, *more], key=lambda entry: entry.t_ns)
    return replace(record, server_events=tuple(plain_replace(entry, seq=n) for n, entry in enumerate(found, 1)))


def later(record: RunRecord, run: ExecutionRecord) -> RunRecord:
    return replace(record, executions=(*record.executions.items, run))


def allowing(record: RunRecord, t_ns: int) -> RunRecord:
    """The body says from an instant on that the car may be started."""
    signal = InhibitSignal("can0", 0x300, False, 3)
    layouts = tuple(replace(each, inhibit=signal) if each.ecu == "body" else each for each in record.layouts)
    word = FrameRecord(t_ns, "can0", "body", 0x300, 0, b"\x00")
    return replace(record, layouts=layouts, frames=tuple(sorted([*record.frames.items, word])))


def refusing(record: RunRecord, *reasons: str) -> RunRecord:
    """The server refuses messages, for these reasons."""
    more = (event(0, 7 * S + n, "message_refused", reason=why, status=400) for n, why in enumerate(reasons))
    return with_events(record, *more)


ALIKE: dict[str, tuple[RunRecord, RunRecord, int]] = {
    "when a start was allowed": (allowing(healthy(), 2 * S), allowing(healthy(), 3 * S), 8 * S),
    "what was refused": (refusing(healthy(), "one", "two"), refusing(healthy(), "one", "other"), 8 * S),
    "how often tester present was sent": (
        healthy(),
        replace(healthy(), frames=tuple(sorted([*spoken(3 * S, 0x7A0, b"\x3e\x80"), *healthy().frames.items]))),
        9 * S,
    ),
}


@pytest.mark.parametrize("what", ALIKE)
def test_what_is_only_shown_is_no_part_of_a_key(what: str) -> None:
    one, other, until_ns = ALIKE[what]
    assert [e.evidence for e in judge(one, ()).invariants] != [e.evidence for e in judge(other, ()).invariants]
    assert judged(one) == judged(other)
    assert last_key(one, until_ns) == last_key(other, until_ns)


def test_what_the_sentence_quotes_is_part_of_a_key() -> None:
    one, other = refusing(healthy(), "one"), refusing(healthy(), "other")
    assert judged(one) != judged(other)
    assert last_key(one, 8 * S) != last_key(other, 8 * S)


def without_end(record: RunRecord, placed_ns: int) -> RunRecord:
    """The order is placed at an instant, and nobody hears of it again."""
    log = [
        plain_replace(entry, t_ns=placed_ns) if entry.kind == "order_placed" else entry
        for entry in record.server_events.items
        if entry.kind not in ("component_result", "order_closed", "order_offered")
    ]
    return replace(record, server_events=tuple(log))


def test_time_left_until_a_deadline_is_part_of_a_key() -> None:
    early, late = without_end(healthy(), 2 * S), without_end(healthy(), 3 * S)
    assert last_key(early, 8 * S) != last_key(late, 8 * S)
    at_the_limit = {"ended_t_ns": 2 * S + healthy().limits.live_within_ns}
    verdicts = [live(replace(each, **at_the_limit)).verdict for each in (early, late)]
    assert verdicts == [Verdict.FAIL, Verdict.INCONCLUSIVE]


def test_failure_that_was_found_is_part_of_a_key() -> None:
    older = later(healthy(), ran(7 * S, reference("body", "x", "0.9.0", 0), "A"))
    again = later(healthy(), ran(7 * S, NEW["body"], "A"))
    assert authentic(older).verdict is Verdict.FAIL
    assert authentic(again).verdict is Verdict.PASS
    both = [later(record, ran(8 * S, NEW["body"], "A")) for record in (older, again)]
    assert last_key(both[0], 9 * S) != last_key(both[1], 9 * S)


def left_open(record: RunRecord, session: str) -> RunRecord:
    """A session that never ended before the next one began, which did end."""
    log = ((7, "session_started", session), (8, "session_started", "after"), (9, "session_ended", "after"))
    return with_events(record, *(event(0, t_s * S, kind, session=each) for t_s, kind, each in log))


def test_the_session_that_the_sentence_names_is_part_of_a_key() -> None:
    one, other = left_open(healthy(), "s1"), left_open(healthy(), "s2")
    assert judged(one) != judged(other)
    assert last_key(one, 9 * S) != last_key(other, 9 * S)


def missed(since_ns: int, until_ns: int) -> RunRecord:
    """The door's frame does not come between two instants; one every 100 ms, 150 ms are allowed."""
    return without(DOOR_FRAME, since_ns, until_ns)(car())


def test_gaps_within_their_limit_are_alike_in_a_key_and_longer_ones_are_not() -> None:
    moved = [
        replace(car(), frames=tuple(
            frame._replace(t_ns=frame.t_ns + 1) if (frame.t_ns, frame.can_id) == (t_ns, DOOR_FRAME) else frame
            for frame in car().frames.items
        ))
        for t_ns in (3 * S, 4 * S)
    ]  # fmt: skip
    assert last_key(moved[0], 7 * S) == last_key(moved[1], 7 * S) == last_key(car(), 7 * S)
    short, long = missed(3 * S, 3 * S + 150 * MS), missed(3 * S, 3 * S + 250 * MS)
    assert judged(short) != judged(long)
    assert len({last_key(each, 7 * S) for each in (car(), short, long)}) == 3


def test_since_when_a_frame_is_waited_for_is_part_of_a_key() -> None:
    late = missed(6 * S + 800 * MS, 9 * S)
    assert last_key(late, 6 * S + 950 * MS) != last_key(car(), 6 * S + 950 * MS)


def test_passes_count_only_as_something_seen_and_what_else_was_found_by_its_words() -> None:
    fine, wrong, worse = passed("fine"), failed("wrong"), failed("worse")
    assert frozen([fine]) == frozen([fine, passed("too")])
    assert len({frozen(each) for each in ([fine], [wrong], [worse], [wrong, fine], [wrong, worse])}) == 5
    assert frozen([wrong, fine]) == frozen([fine, wrong])
