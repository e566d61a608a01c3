"""What several rules want to know by now, folded once."""

from __future__ import annotations

import pytest

from bench.core.records import DidReading, PowerRecord
from bench.oracle.facts import Facts
from bench.oracle.situation import Situation, Stored
from bench.oracle.stream import FaultOver, FaultStruck
from tests.oracle.oracle_vectors import NEW, OLD, boot, dump, event, healthy, ran, read


@pytest.fixture
def now() -> Situation:
    return Situation.of(Facts.of(healthy()))


def test_the_first_event_of_a_part_of_the_bench_is_the_beginning(now: Situation) -> None:
    now.take(event(1, 5, "inventory", ecus={}))
    assert now.began_ns is None
    now.take(boot(7, "body", "boot_manager"))
    now.take(boot(9, "body", "application", "A"))
    assert now.began_ns == 7


def test_the_supply_of_each_part_is_followed(now: Situation) -> None:
    for record in (
        PowerRecord(1, "body", True, "x"),
        PowerRecord(2, "agent", False, "x"),
        PowerRecord(3, "body", False, "x"),
    ):
        now.take(record)
    assert now.power_lost_ns == [2, 3]
    assert now.ecus["body"].power == PowerRecord(3, "body", False, "x")
    assert "agent" not in now.ecus


def test_boots_tell_when_an_application_was_left(now: Situation) -> None:
    for t_ns, stage in (
        (1, "boot_manager"),
        (2, "application"),
        (5, "bootloader"),
        (4, "boot_manager"),
        (6, "application"),
    ):
        now.take(boot(t_ns, "body", stage))
    body = now.ecus["body"]
    assert (body.applications, body.left_application_ns, body.boot) == (2, 5, boot(6, "body", "application"))
    run = ran(8, NEW["body"], "A")
    now.take(run)
    assert (body.execution, body.boot) == (run, boot(6, "body", "application"))
    now.take(boot(9, "stranger", "application"))
    assert now.ecus["stranger"].applications == 1


def test_a_fault_is_over_once_and_the_last_restoration_counts(now: Situation) -> None:
    for point, t_ns in (("a", 1), ("b", 2), ("a", 3)):
        now.take(FaultStruck(t_ns, "bus", point))
    before = now.restored_ns
    assert before is None
    now.take(FaultOver(9, "bus", "a"))
    now.take(FaultOver(5, "bus", "b"))
    now.take(FaultOver(7, "bus", "strange"))
    assert [fault.over_ns for fault in now.faults] == [9, 5, None]
    assert now.restored_ns == 9
    now.take(FaultOver(11, "bus", "a"))
    assert [fault.over_ns for fault in now.faults] == [9, 5, 11]
    assert now.restored_ns == 11


def test_the_last_reading_of_an_identifier_counts_and_a_value_proves_more_than_a_refusal(now: Situation) -> None:
    refused, silent = DidReading(1, "body", 0xF186, None, 0x31), DidReading(2, "body", 0xF189, None)
    now.take(silent)
    assert now.answering("body") is None
    now.take(refused)
    assert now.answering("body") == refused
    again = DidReading(3, "body", 0xF186, None, 0x22)
    now.take(again)
    assert now.answering("body") == refused
    value, later = read("body", 0xF189, b"1"), read("body", 0xF189, b"2")
    now.take(value)
    now.take(later)
    assert now.answering("body") == value
    assert now.reading("body", 0xF189) == later
    assert now.reading("body", 0xF186) == again
    assert now.reading("gateway", 0xF189) is None
    assert now.answering("gateway") is None


def test_floor_and_trial_of_a_dump_are_kept(now: Situation) -> None:
    now.take(dump("body", {"A": NEW["body"]}))
    assert now.stored == {}
    now.take(dump("gateway", {"A": OLD["gateway"], "B": NEW["gateway"]}, floor=2, trial="B"))
    now.take(dump("body", {"A": NEW["body"]}, floor=0))
    assert now.stored == {"gateway": Stored("gateway", 2, "B", "2.0.0"), "body": Stored("body", 0, None, None)}
    now.take(dump("gateway", {"A": OLD["gateway"]}, floor=2, trial="B"))
    assert now.stored["gateway"] == Stored("gateway", 2, "B", None)
