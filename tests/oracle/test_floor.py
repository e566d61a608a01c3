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


def asked(v: ModuleType, record: RunRecord, request: str, answer: str | None, floor: int = 2) -> RunRecord:
    """The body is asked at 7 s while its new image runs, no success is reported, and then it starts with a floor."""
    talk = v.Talk(7 * S)
    talk.ask("body", bytes.fromhex(request), answer)
    layouts = tuple(replace(layout, confirm_routine=CONFIRM) for layout in record.layouts)
    log = tuple(e for e in record.server_events.items if e.kind != "component_result")
    changed = replace(record, layouts=layouts, server_events=log, frames=(*record.frames.items, *talk.frames))
    return later(changed, v.ran(7 * S + 100 * MS, v.NEW["body"], "A", floor=floor))


def test_floor_that_rises_without_a_confirmation_fails(v: ModuleType, healthy: RunRecord) -> None:
    for request, answer in (("22F189", "62F189"), ("31010204", "7F3122"), ("31010203", "71010203")):
        found = authentic(asked(v, healthy, request, answer))
        assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
        assert "rose to 2 without a confirmation" in found.sentence
    early = asked(v, healthy, "31010204", "71010204")
    runs = tuple(replace(e, release_floor=2) if e.ecu == "body" and e.t_ns > S else e for e in early.executions.items)
    assert authentic(replace(early, executions=runs)).verdict is Verdict.FAIL, "confirmed only later"


def test_floor_that_rises_beyond_what_was_confirmed_fails(v: ModuleType, healthy: RunRecord) -> None:
    assert authentic(asked(v, healthy, "31010204", "71010204", floor=3)).verdict is Verdict.FAIL


def test_dump_with_a_floor_that_nobody_confirmed_fails(v: ModuleType, refused: RunRecord) -> None:
    layouts = tuple(replace(layout, confirm_routine=CONFIRM) for layout in refused.layouts)
    body = v.dump("body", {"A": v.OLD["body"]}, erases=0, floor=2)
    assert authentic(replace(refused, layouts=layouts, flash=(body,))).verdict is Verdict.FAIL


@pytest.mark.parametrize("answer", ["71010204", None])
def test_floor_may_rise_from_the_request_to_confirm_on(v: ModuleType, healthy: RunRecord, answer: str | None) -> None:
    assert authentic(asked(v, healthy, "31010204", answer)).verdict is Verdict.PASS


def test_functional_confirmation_counts_for_every_ecu_of_its_bus(v: ModuleType, healthy: RunRecord) -> None:
    record = asked(v, healthy, "22F189", "62F189")
    talk = v.Talk(7 * S + 50 * MS)
    talk.to_all("31010204")
    assert authentic(replace(record, frames=(*record.frames.items, *talk.frames))).verdict is Verdict.PASS


def test_floor_that_rises_while_nobody_listens_is_inconclusive(v: ModuleType, healthy: RunRecord) -> None:
    record = asked(v, healthy, "31010204", "71010204")
    found = authentic(replace(record, frames=None))
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    reported = replace(record, frames=None, server_events=healthy.server_events)
    assert authentic(reported).verdict is Verdict.PASS, "a success explains it"


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


def dumped(v: ModuleType, record: RunRecord, answer: str | None, floor: int, *, asks: str = "body") -> RunRecord:
    """At 7 s an ECU is asked to confirm, no success is reported, and the memory of the body is read afterwards."""
    talk = v.Talk(7 * S)
    talk.ask(asks, bytes.fromhex("31010204"), answer)
    layouts = tuple(replace(layout, confirm_routine=CONFIRM) for layout in record.layouts)
    log = tuple(e for e in record.server_events.items if e.kind != "component_result")
    frames = (*record.frames.items, *talk.frames)
    body = v.dump("body", {"A": v.NEW["body"]}, floor=floor)
    return replace(record, layouts=layouts, server_events=log, frames=frames, flash=(body,))


@pytest.mark.parametrize("answer", ["71010204", None])
def test_confirmation_allows_the_counter_of_the_running_image_and_no_more(
    v: ModuleType, healthy: RunRecord, answer: str | None
) -> None:
    assert authentic(dumped(v, healthy, answer, 2)).verdict is Verdict.PASS
    found = authentic(dumped(v, healthy, answer, 3))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert found.sentence == "the release floor of body rose to 3 without a confirmation, up to 2 is allowed"


@pytest.mark.parametrize("answer", ["71010204", None])
def test_confirmation_of_an_image_that_nobody_can_read_allows_any_floor(
    v: ModuleType, healthy: RunRecord, answer: str | None
) -> None:
    record = dumped(v, healthy, answer, 0xFFFF_FFFF)  # the highest that 32 bits hold
    unread = tuple(
        replace(run, header=bytes(256)) if run.ecu == "body" and run.t_ns > S else run
        for run in record.executions.items
    )
    found = authentic(replace(record, executions=unread))
    assert not any("floor" in item.text for item in found.evidence)
    assert "floor" not in found.sentence


def test_refused_confirmation_takes_back_what_it_would_have_allowed(v: ModuleType, healthy: RunRecord) -> None:
    for floor, verdict in ((1, Verdict.PASS), (2, Verdict.FAIL)):
        assert authentic(dumped(v, healthy, "7F3122", floor)).verdict is verdict


@pytest.mark.parametrize("asks", ["body", "gateway"])
def test_without_a_confirmation_a_floor_of_zero_stays(v: ModuleType, healthy: RunRecord, asks: str) -> None:
    """The body refuses to confirm, or was never asked."""
    zero = v.reference("body", "installed", "0.1.0", 0)
    record = dumped(v, healthy, "7F3122", 1, asks=asks)
    references = tuple(zero if (r.ecu, r.role) == ("body", "installed") else r for r in record.references)
    runs = [e for e in record.executions.items if e.ecu != "body" or e.t_ns > S]
    runs = [replace(e, release_floor=0) if e.ecu == "body" else e for e in (v.ran(30 * MS, zero, "A"), *runs)]
    found = authentic(replace(record, references=references, executions=tuple(runs)))
    assert found.sentence == "the release floor of body rose to 1 without a confirmation, up to 0 is allowed"


def test_confirmation_of_another_ecu_of_the_bus_is_none(v: ModuleType, healthy: RunRecord) -> None:
    found = authentic(dumped(v, healthy, "71010204", 2, asks="gateway"))
    assert found.sentence == "the release floor of body rose to 2 without a confirmation, up to 1 is allowed"
