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


def cut_short(v: ModuleType, *pieces: HttpRecord) -> tuple[HttpRecord, ...]:
    return (v.http(v.PACKAGE[:1500]), *pieces)


def test_piece_with_an_offset_may_begin_where_the_rest_ends(v: ModuleType, healthy: RunRecord) -> None:
    for offset, expected in ((1500, [False, True]), (1499, [False, True]), (0, [False, True]), (1501, [False, None])):
        tail = replace(v.http(v.PACKAGE[min(offset, 1500) :], status=206), offset=offset)
        assert genuine(healthy, *cut_short(v, tail)) == expected, offset


def test_tail_whose_place_its_end_record_tells_joins_without_a_gap(v: ModuleType, healthy: RunRecord) -> None:
    for begins, expected in ((1500, True), (1501, None), (0, True)):
        assert genuine(healthy, *cut_short(v, v.http(v.PACKAGE[begins:], status=206))) == [False, expected], begins


def test_tail_whose_end_record_is_cut_has_no_place(v: ModuleType, healthy: RunRecord) -> None:
    assert genuine(healthy, *cut_short(v, v.http(v.PACKAGE[1000:-1], status=206))) == [False, None]
    without = v.PACKAGE.index(b"PK\x05\x06")
    assert genuine(healthy, v.http(v.PACKAGE[:without]), v.http(v.PACKAGE[without:], status=206)) == [False, True]
    assert genuine(healthy, *cut_short(v, v.http(bytes(100), status=206))) == [False, None]
    assert genuine(healthy, *cut_short(v, v.http(v.PACKAGE[1000:without], status=206))) == [False, None]


def test_tail_that_is_longer_than_its_package_has_no_place(v: ModuleType, healthy: RunRecord) -> None:
    assert genuine(healthy, *cut_short(v, v.http(b"x" + v.PACKAGE, status=206))) == [False, None]


def test_last_piece_of_bytes_behind_the_end_record_stays_where_it_was(v: ModuleType, healthy: RunRecord) -> None:
    """A comment behind the end record moves nothing: the place is told by the directory."""
    (found,) = [d for d in deliveries(replace(healthy, http=cut_short(v, v.http(v.PACKAGE[1000:] + b"zz", status=206))))
                if d.size_bytes != 1500]  # fmt: skip
    assert found.size_bytes == len(v.PACKAGE) + 2


def test_what_came_is_told_with_its_size(v: ModuleType, healthy: RunRecord) -> None:
    texts = [d.evidence().text for d in deliveries(replace(healthy, http=(
        v.http(v.PACKAGE), v.http(v.PACKAGE[:100]), v.http(v.PACKAGE[2000:2100], status=206))))]  # fmt: skip
    assert texts[0] == f"{len(v.PACKAGE)} bytes, a genuine package: body 2.0.0, gateway 2.0.0"
    assert texts[1].startswith("100 bytes, not genuine: ")
    assert texts[2] == "100 bytes of a package whose place is unknown"


def test_head_without_a_body_overwrites_nothing(v: ModuleType, healthy: RunRecord) -> None:
    tail = replace(v.http(v.PACKAGE[1500:], status=206), offset=1500)
    assert genuine(healthy, v.http(v.PACKAGE[:1500]), v.http(b""), tail) == [False, False, True]


def test_tail_with_a_comment_behind_its_end_record_is_placed_too(v: ModuleType, healthy: RunRecord) -> None:
    commented = v.PACKAGE[:-2] + b"\x02\x00zz"
    found = deliveries(replace(healthy, http=cut_short(v, v.http(commented[1000:], status=206))))
    assert [d.size_bytes for d in found] == [1500, len(commented)]
    assert found[1].findings is not None
