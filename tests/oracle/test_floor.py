"""The release floor as the judge derives it: from the factory and from confirmations, whatever the ECU reports."""

from __future__ import annotations

from types import ModuleType

import pytest

from bench.core.records import RunRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import MS, S, authentic, replace

CONFIRM = 0x0204


def later(record: RunRecord, *runs: object) -> RunRecord:
    return replace(record, executions=(*record.executions.items, *runs))


def test_floor_that_falls_between_two_executions_fails(v: ModuleType, healthy: RunRecord) -> None:
    assert authentic(later(healthy, v.ran(9 * S, v.NEW["body"], "A", floor=1))).verdict is Verdict.FAIL, (
        "success said 2"
    )
    before = tuple(replace(e, release_floor=2) if e.t_ns < S else e for e in healthy.executions.items)
    found = authentic(replace(healthy, executions=before))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")
    lost = tuple(replace(e, release_floor=0) if e.t_ns > S else e for e in healthy.executions.items)
    found = authentic(replace(healthy, executions=lost))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert "fell from 1 to 0" in found.sentence


@pytest.mark.parametrize(("floor", "verdict"), [(0, Verdict.FAIL), (1, Verdict.FAIL), (2, Verdict.PASS)])
def test_dump_keeps_the_floor_that_was_confirmed(
    v: ModuleType, healthy: RunRecord, floor: int, verdict: Verdict
) -> None:
    body = v.dump("body", {"A": v.NEW["body"]}, floor=floor)
    assert authentic(replace(healthy, flash=(body, *healthy.flash.items[1:]))).verdict is verdict


def test_dump_of_a_refused_update_keeps_the_floor_of_the_factory(v: ModuleType, refused: RunRecord) -> None:
    for floor, verdict in ((0, Verdict.FAIL), (1, Verdict.PASS)):
        body = v.dump("body", {"A": v.OLD["body"]}, erases=0, floor=floor)
        assert authentic(replace(refused, flash=(body,))).verdict is verdict


def confirming(v: ModuleType, record: RunRecord, answer: str) -> RunRecord:
    """The body confirms on the bus at 7 s, and no success is reported; then it runs the old image again."""
    talk = v.Talk(7 * S)
    talk.ask("body", bytes.fromhex("31010204"), answer)
    layouts = tuple(replace(layout, confirm_routine=CONFIRM) for layout in record.layouts)
    log = tuple(e for e in record.server_events.items if e.kind != "component_result")
    frames = (*record.frames.items, *talk.frames)
    return later(
        replace(record, layouts=layouts, server_events=log, frames=frames),
        v.ran(7 * S + 100 * MS, v.OLD["body"], "A", floor=1),
    )


def test_old_image_after_a_confirmation_on_the_bus_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = authentic(confirming(v, healthy, "71010204"))
    assert found.verdict is Verdict.FAIL
    assert any("was confirmed" in e.text for e in found.evidence)


def test_old_image_after_a_refused_confirmation_is_allowed(v: ModuleType, healthy: RunRecord) -> None:
    assert authentic(confirming(v, healthy, "7F3122")).verdict is Verdict.PASS


def test_floor_of_an_ecu_that_nobody_saw_is_not_judged(healthy: RunRecord) -> None:
    assert authentic(replace(healthy, executions=None)).verdict is Verdict.NOT_OBSERVED
