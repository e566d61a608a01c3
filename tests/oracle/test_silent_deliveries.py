"""*Silent* against the instant at which the agent could have verified this very package."""

from __future__ import annotations

from types import ModuleType

from bench.core.records import HttpRecord, RunRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import MS, S, authentic, deliveries, replace, silent


def first_touch_ns(v: ModuleType, record: RunRecord) -> int:
    erase = bytes.fromhex("100D3101FF00")
    return next(f.t_ns for f in record.frames.items if f.can_id == v.REQUEST["body"] and f.data.startswith(erase))


def streamed(v: ModuleType, ended_t_ns: int, **changes: object) -> HttpRecord:
    record: HttpRecord = replace(v.http(v.PACKAGE), ended_t_ns=ended_t_ns, **changes)
    return record


def test_erasure_while_the_package_still_streams_fails(v: ModuleType, healthy: RunRecord) -> None:
    touch_ns = first_touch_ns(v, healthy)
    late = silent(replace(healthy, http=(streamed(v, touch_ns + 1),)))
    assert (late.verdict, late.blame) == (Verdict.FAIL, "agent")
    assert silent(replace(healthy, http=(streamed(v, touch_ns),))).verdict is Verdict.PASS


def test_package_of_which_nothing_arrived_arms_nothing(v: ModuleType, healthy: RunRecord) -> None:
    for delivered in (0, 100, len(v.PACKAGE) - 1):
        record = replace(healthy, http=(streamed(v, 3 * S + MS, delivered_bytes=delivered),))
        assert silent(record).verdict is Verdict.FAIL
        assert authentic(record).verdict is Verdict.FAIL
    whole = streamed(v, 3 * S + MS, delivered_bytes=len(v.PACKAGE))
    assert silent(replace(healthy, http=(whole,))).verdict is Verdict.PASS


def test_forged_package_after_a_genuine_one_arms_nothing(v: ModuleType, healthy: RunRecord) -> None:
    touch_ns = first_touch_ns(v, healthy)
    both = (v.http(v.PACKAGE), v.http(v.FORGED, t_ns=touch_ns - 1))
    found = silent(replace(healthy, http=both))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    after_all = (v.http(v.PACKAGE), v.http(v.FORGED, t_ns=9 * S))
    assert silent(replace(healthy, http=after_all)).verdict is Verdict.PASS


def test_pieces_that_say_where_they_belong_make_a_whole(v: ModuleType, healthy: RunRecord) -> None:
    pieces = (
        replace(v.http(v.PACKAGE), delivered_bytes=900, ended_t_ns=3 * S + 1),
        replace(
            v.http(v.PACKAGE[800:], status=206, t_ns=3 * S + 2), offset=800, delivered_bytes=400, ended_t_ns=3 * S + 3
        ),
        replace(v.http(v.PACKAGE[1200:], status=206, t_ns=3 * S + 4), offset=1200, ended_t_ns=3 * S + 5),
    )
    record = replace(healthy, http=pieces)
    assert [delivery.genuine for delivery in deliveries(record)] == [False, False, True]
    assert deliveries(record)[-1].t_ns == 3 * S + 5
    assert silent(record).verdict is Verdict.PASS
    gap = replace(pieces[1], offset=1000)
    assert deliveries(replace(record, http=(pieces[0], gap)))[-1].findings is None


def test_evidence_tells_how_much_of_a_package_came(v: ModuleType, healthy: RunRecord) -> None:
    found = silent(replace(healthy, http=(streamed(v, 3 * S + MS, delivered_bytes=100),)))
    assert any("100 bytes" in e.text for e in found.evidence)
