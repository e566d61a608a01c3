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


def failing(record: RunRecord, *ecus: str) -> RunRecord:
    """Let these ECUs report a failure in place of their success."""
    return replace(
        record,
        server_events=tuple(
            replace(e, data={**e.data, "result_code": 1405, "version": ""})
            if e.kind == "component_result" and e.data["ecu"] in ecus
            else e
            for e in record.server_events.items
        ),
    )


@pytest.mark.parametrize(
    ("fails", "ecu", "floor", "verdict"),
    [
        ((), "gateway", 1, Verdict.FAIL),
        (("body",), "gateway", 1, Verdict.FAIL),
        (("gateway",), "gateway", 1, Verdict.PASS),
        (("gateway",), "body", 1, Verdict.FAIL),
        (("body",), "body", 1, Verdict.PASS),
    ],
)
def test_each_success_raises_the_floor_of_its_own_ecu(
    v: ModuleType, healthy: RunRecord, fails: tuple[str, ...], ecu: str, floor: int, verdict: Verdict
) -> None:
    dump = v.dump(ecu, {"A": v.NEW[ecu], "B": v.NEW[ecu]}, floor=floor)
    found = authentic(replace(failing(healthy, *fails), flash=(dump,)))
    assert found.verdict is verdict, found.sentence
    if verdict is Verdict.FAIL:
        assert (found.blame, "a success of 2.0.0 was reported" in found.sentence) == ("agent", True)


def test_an_ecu_that_executed_nothing_must_still_have_the_floor_of_the_factory(
    v: ModuleType, refused: RunRecord
) -> None:
    silent = tuple(e for e in refused.executions.items if e.ecu != "body")
    base = replace(refused, executions=silent)
    found = authentic(replace(base, flash=(v.dump("body", {"A": v.OLD["body"]}, erases=0, floor=0),)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert found.sentence == "the release floor of body is 0, and must be 1: the factory installed it"


def test_without_an_installed_image_any_floor_will_do(v: ModuleType, refused: RunRecord) -> None:
    references = tuple(r for r in refused.references if (r.ecu, r.role) != ("body", "installed"))
    executions = tuple(e for e in refused.executions.items if e.ecu != "body")
    body = v.dump("body", {"A": v.OLD["body"]}, erases=0, floor=0)
    found = authentic(replace(refused, references=references, executions=executions, flash=(body,)))
    assert "floor" not in found.sentence


def test_only_the_confirm_routine_confirms(v: ModuleType, healthy: RunRecord) -> None:
    record = confirming(v, healthy, "7F3122")
    talk = v.Talk(7 * S + 50 * MS)
    talk.ask("body", bytes.fromhex("22F189"), "62F189322E302E30")
    assert authentic(replace(record, frames=(*record.frames.items, *talk.frames))).verdict is Verdict.PASS


def test_who_raised_the_floor_first_is_to_blame_when_it_is_not_kept(v: ModuleType, healthy: RunRecord) -> None:
    """Confirmed on the bus at 7 s, reported at 8 s: the ECU owes it since the first."""
    talk = v.Talk(7 * S)
    talk.ask("body", bytes.fromhex("31010204"), "71010204")
    layouts = tuple(replace(layout, confirm_routine=CONFIRM) for layout in healthy.layouts)
    body = v.dump("body", {"A": v.NEW["body"]}, floor=1)
    record = replace(healthy, layouts=layouts, frames=(*healthy.frames.items, *talk.frames), flash=(body,))
    found = authentic(record)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert found.sentence == "the release floor of body is 1, and must be 2: 2.0.0 was confirmed"


def test_the_floor_that_stands_is_shown(v: ModuleType, healthy: RunRecord) -> None:
    body = v.dump("body", {"A": v.NEW["body"]}, floor=2)
    texts = [item.text for item in authentic(replace(healthy, flash=(body,))).evidence]
    assert any("floor 2" in text for text in texts)
