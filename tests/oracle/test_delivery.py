from __future__ import annotations

from types import ModuleType

from bench.core.records import HttpRecord, RunRecord
from tests.oracle.oracle_vectors import deliveries, first_genuine_ns, replace


def genuine(record: RunRecord, *exchanges: HttpRecord) -> list[bool | None]:
    found = deliveries(replace(record, http=exchanges))
    return [None if d.findings is None else d.findings.genuine for d in found]


def test_only_successful_gets_of_the_package_count(v: ModuleType, healthy: RunRecord) -> None:
    other = replace(v.http(v.PACKAGE), url="https://dm.test/pkgurl/spring")
    posted = replace(v.http(v.PACKAGE), method="POST")
    assert genuine(healthy, other, posted, v.http(v.PACKAGE, status=404)) == []
    assert genuine(healthy, v.http(v.PACKAGE)) == [True]
    assert genuine(healthy, replace(v.http(v.PACKAGE), url=f"https://dm.test{v.SUFFIX}?t=1")) == [True]


def test_tail_is_put_behind_a_truncated_body(v: ModuleType, healthy: RunRecord) -> None:
    start, tail = v.http(v.PACKAGE[:1500]), v.http(v.PACKAGE[1000:], status=206, t_ns=4 * v.S)
    assert genuine(healthy, start, tail) == [False, True]
    assert first_genuine_ns(deliveries(replace(healthy, http=(start, tail)))) == 4 * v.S


def test_whole_package_in_one_partial_answer_is_read(v: ModuleType, healthy: RunRecord) -> None:
    assert genuine(healthy, v.http(v.PACKAGE, status=206)) == [True]


def test_piece_with_a_gap_before_it_is_undecided(v: ModuleType, healthy: RunRecord) -> None:
    tail = v.http(v.PACKAGE[1000:], status=206)
    assert genuine(healthy, v.http(v.PACKAGE[:900]), tail) == [False, None]
    assert genuine(healthy, tail) == [None]


def test_piece_out_of_the_middle_is_undecided(v: ModuleType, healthy: RunRecord) -> None:
    assert genuine(healthy, v.http(v.PACKAGE[:1500]), v.http(v.PACKAGE[1000:2000], status=206)) == [False, None]


def test_forged_tail_makes_the_whole_not_genuine(v: ModuleType, healthy: RunRecord) -> None:
    tail = bytearray(v.PACKAGE[1200:])
    tail[3] ^= 1
    assert genuine(healthy, v.http(v.PACKAGE[:1500]), v.http(bytes(tail), status=206)) == [False, False]


def test_nothing_delivered_gives_nothing(healthy: RunRecord) -> None:
    assert genuine(healthy) == []
    assert first_genuine_ns(()) is None
