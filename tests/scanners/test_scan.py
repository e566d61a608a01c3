"""What is made of a scanner's exchanges; the scanners themselves run in `make scanners`."""

from __future__ import annotations

from tests.scanners.scan import Found, Row, judge, unanswered
from tests.scanners.served import Tables, described

_ONE = frozenset((1,))
TABLES = {
    "application": Tables(frozenset((1, 3)), frozenset((0x10, 0x22)), frozenset((0xF190,)), _ONE, frozenset()),
    "bootloader": Tables(frozenset((1, 2)), frozenset((0x36,)), frozenset((0xF180,)), _ONE, frozenset((0x202,))),
}
ROWS = [
    ("DSC", "session1", "1001", "5001003201f4"), ("DSC", "session1", "1002", "7f107e"),
    ("DSC", "session1", "1003", "5003003201f4"), ("DSC", "session3", "1002", "5002003201f4"),
    ("ER", "session1", "1101", "5101"), ("ER", "session1", "1104", "7f1112"),
    ("Service", "session1", "10", "7f1013"), ("Service", "session1", "22", "7f2213"),
    ("Service", "session1", "36", "7f3611"), ("Service", "session2", "36", "7f3613"),
    ("Service", "session2", "10", "7f1021"), ("RDBI", "session1", "22f190", "62f19001"),
    ("RDBI", "session1", "22f191", "7f2231"), ("RDBI", "session2", "22f180", "62f18001"),
    ("RCStart", "session2", "31010202", "7f3133"), ("RCStart", "session2", "31010203", "7f3131"),
    ("RCStart", "session1", "31010202", "7f317f"),
]  # fmt: skip


def rows(*more: tuple[str, str, str, str | None]) -> list[Row]:
    return [
        Row(f"UDS_{case}Enumerator", state, bytes.fromhex(request), None if answer is None else bytes.fromhex(answer))
        for case, state, request, answer in (*ROWS, *more)
    ]


def wrong(found: list[Row]) -> list[Found]:
    return [each for each in judge(found, TABLES) if not each.right]


def test_findings_equal_to_the_tables_are_right() -> None:
    assert wrong(rows()) == []


def test_service_that_is_found_but_not_described_is_told() -> None:
    (told,) = wrong(rows(("Service", "session1", "85", "7f8513")))
    assert str(told).split() == ["services", "of", "the", "application", *["found", "but", "not", "described", "0x85,"],
                                 *["described", "but", "not", "found", "none"]]  # fmt: skip


def test_identifier_that_is_described_but_not_found_is_told() -> None:
    seen = rows(("RDBI", "session2", "22f18f", "7f2231"))
    (told,) = wrong([row for row in seen if row.request != b"\x22\xf1\x80"])
    assert "described but not found 0xF180" in str(told)


def test_silence_is_excused_by_a_restart_only() -> None:
    assert unanswered(rows(("TP", "session2", "3e00", None), ("ER", "session1", "1102", None))) == []
    (lost,) = unanswered(rows(("RDBI", "session2", "22f1fe", None), ("RDBI", "session2", "22f1ff", None)))
    assert lost.request == b"\x22\xf1\xff"


def test_described_tables_are_those_of_both_modes() -> None:
    tables = described("two_ecu_car", "body")
    assert set(tables) == {"application", "bootloader"}
    assert tables["application"].sessions == {1, 2, 3}
    assert 0xF189 in tables["application"].dids - tables["bootloader"].dids
