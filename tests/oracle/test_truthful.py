from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from bench.core.records import RunRecord, ServerEvent
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import replace, truthful


def events(record: RunRecord, change: Callable[[ServerEvent], ServerEvent | None], *more: ServerEvent) -> RunRecord:
    """Change or drop (None) each event."""
    kept = tuple(e for e in map(change, record.server_events.items) if e is not None)
    return replace(record, server_events=(*kept, *more))


def without(*kinds: str) -> Callable[[ServerEvent], ServerEvent | None]:
    return lambda event: None if event.kind in kinds else event


def with_data(kind: str, **data: object) -> Callable[[ServerEvent], ServerEvent | None]:
    return lambda event: replace(event, data={**event.data, **data}) if event.kind == kind else event


def reads(record: RunRecord, v: ModuleType, ecu: str, version: bytes | None) -> RunRecord:
    kept = tuple(r for r in record.readings.items if (r.ecu, r.did) != (ecu, 0xF189))
    return replace(record, readings=(*kept, v.read(ecu, 0xF189, version)))


def fell_back(record: RunRecord, v: ModuleType, ecu: str) -> RunRecord:
    """Let an ECU execute and read the old image at the end."""
    executions = (*(record.executions.items), v.ran(9 * v.S, v.OLD[ecu], "A"))
    return replace(reads(record, v, ecu, b"1.0.0"), executions=executions)


def stored(record: RunRecord, v: ModuleType, *, floor: int | None = None, trial: str | None = None) -> RunRecord:
    """Give the gateway a floor and a trial bank; the body controller has what a confirmed image leaves."""
    body = v.dump("body", {"A": v.NEW["body"]}, floor=2)
    gateway = v.dump("gateway", {"A": v.OLD["gateway"], "B": v.NEW["gateway"]}, floor=floor, trial=trial)
    return replace(record, flash=(body, gateway))


def test_success_without_a_raised_floor_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(stored(healthy, v, floor=1))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.sentence == "success was reported, but gateway's release floor is 1, the confirmed image needs 2"
    assert [truthful(stored(healthy, v, floor=floor)).verdict for floor in (2, 3, None)] == [Verdict.PASS] * 3


def test_success_of_an_image_on_trial_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(stored(healthy, v, floor=2, trial="B"))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.sentence == "success was reported, but gateway still runs 2.0.0 on trial and will fall back"


def test_trial_and_floor_do_not_matter_to_an_order_that_did_not_succeed(v: ModuleType, refused: RunRecord) -> None:
    assert truthful(stored(refused, v, floor=1, trial="B")).verdict is Verdict.PASS


def test_trial_of_a_later_order_is_not_held_against_an_earlier_success(v: ModuleType, healthy: RunRecord) -> None:
    later = (
        v.event(9, 9 * v.S, "order_placed", order="o2", package_id="p", targets=[{"ecu": "gateway", "version": "3"}]),
        v.event(10, 9 * v.S, "component_result", order="o2", ecu="gateway", result_code=1405, version="", text=""),
        v.event(11, 9 * v.S, "order_closed", order="o2", status="failed"),
    )
    record = replace(healthy, server_events=(*healthy.server_events.items, *later))
    assert truthful(stored(record, v, floor=2, trial="B")).verdict is Verdict.PASS
    assert truthful(stored(record, v, floor=1)).verdict is Verdict.FAIL


def test_version_read_that_is_not_the_executed_one_blames_the_ecu(v: ModuleType, healthy: RunRecord) -> None:
    executions = (*(healthy.executions.items), v.ran(9 * v.S, v.OLD["body"], "A"))
    record = replace(healthy, executions=executions)
    found = truthful(record)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "ecu")
    assert found.sentence.startswith("body reads '2.0.0' but executes '1.0.0'")
    restarted = (*(healthy.boots.items), v.boot(9 * v.S + 1, "body", "bootloader"))
    assert truthful(replace(record, boots=restarted)).verdict is Verdict.PASS
    after_reading = (*(healthy.executions.items), v.ran(10 * v.S + 1, v.OLD["body"], "A"))
    assert truthful(replace(healthy, executions=after_reading)).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ((1200, 1299), "success"), ((1407, 1455), "refused"), ((1200, 1407), "failed"), ((1405, 1405), "failed"),
        ((1300, 1300), "failed"),
    ],
)  # fmt: skip
def test_final_status_is_the_one_that_the_results_give(refused: RunRecord, codes: tuple[int, int], status: str) -> None:
    given = iter(codes)
    record = events(
        refused, lambda e: with_data(e.kind, result_code=next(given))(e) if e.kind == "component_result" else e
    )
    for said in ("success", "refused", "failed"):
        found = truthful(events(record, with_data("order_closed", status=said)))
        told = [e.text for e in found.evidence if "results by then" in e.text]
        assert bool(told) == (said != status)
        if said != status:
            assert found.verdict is Verdict.FAIL


def test_result_that_came_after_the_closing_or_a_second_one_does_not_count(v: ModuleType, refused: RunRecord) -> None:
    late = events(refused, lambda e: replace(e, seq=20) if e.kind == "component_result" and e.seq == 6 else e)
    found = truthful(late)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")
    again = v.event(7, 8 * v.S, "component_result", order="o1", ecu="body", result_code=1405, version="", text="")
    assert truthful(events(refused, lambda e: e, again)).verdict is Verdict.PASS


def test_result_of_an_ecu_that_is_no_target_does_not_count(v: ModuleType, refused: RunRecord) -> None:
    stranger = v.event(7, 8 * v.S, "component_result", order="o1", ecu="radio", result_code=1405, version="", text="")
    found = truthful(events(refused, lambda e: e, stranger))
    # The order's end stays founded on its targets' results; that somebody named the radio is the one thing wrong.
    assert found.sentence == "a result of order o1 names 'radio', which the order does not"


def test_success_without_results_needs_an_inventory_before_any_offer(v: ModuleType, refused: RunRecord) -> None:
    targets = [{"ecu": ecu, "version": "1.0.0"} for ecu in v.OLD]
    record = events(refused, without("component_result", "order_offered"))
    record = events(record, with_data("order_placed", targets=targets))
    record = events(record, with_data("order_closed", status="success"))
    assert truthful(record).verdict is Verdict.PASS
    assert truthful(stored(record, v, floor=1)).verdict is Verdict.PASS
    offered = v.event(4, 2 * v.S, "order_offered", order="o1", package_id="spring")
    found = truthful(events(record, lambda e: e, offered))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")
    assert truthful(events(record, with_data("inventory", ecus={"body": "1.0.0"}))).blame == "server"


def test_refusal_without_results_needs_a_vehicle_that_declined(v: ModuleType, refused: RunRecord) -> None:
    record = events(refused, without("component_result"))
    found = truthful(record)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")
    declined = v.event(6, 8 * v.S, "order_refused_by_vehicle", order="o1", sc=403)
    assert truthful(events(record, lambda e: e, declined)).verdict is Verdict.PASS


def test_sentence_stays_short_whatever_an_ecu_reads(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(reads(healthy, v, "body", b"x" * 4000))
    assert found.verdict is Verdict.FAIL
    assert len(found.sentence) < 180


def test_healthy_and_refused_runs_pass_with_evidence(healthy: RunRecord, refused: RunRecord) -> None:
    for record in (healthy, refused):
        found = truthful(record)
        assert found.verdict is Verdict.PASS
        assert {"server", "did"} <= {e.kind for e in found.evidence}


def test_without_a_server_log_it_is_not_observed(healthy: RunRecord) -> None:
    assert truthful(replace(healthy, server_events=None)).verdict is Verdict.NOT_OBSERVED


def test_belief_that_uds_does_not_confirm_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(fell_back(healthy, v, "gateway"))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert "gateway" in found.sentence


def test_ecu_in_its_bootloader_must_be_believed_to_hold_nothing(v: ModuleType, refused: RunRecord) -> None:
    record = reads(refused, v, "body", None)
    assert truthful(record).verdict is Verdict.FAIL
    told = v.event(20, 9 * v.S, "inventory", ecus={"body": "", "gateway": "1.0.0"})
    assert truthful(replace(record, server_events=(*record.server_events.items, told))).verdict is Verdict.PASS


def test_ecu_that_answers_nothing_is_inconclusive(v: ModuleType, refused: RunRecord) -> None:
    dead = tuple(replace(r, value=None) if r.ecu == "body" else r for r in refused.readings.items)
    assert truthful(replace(refused, readings=dead)).verdict is Verdict.INCONCLUSIVE


def test_version_that_was_not_read_is_inconclusive(healthy: RunRecord) -> None:
    readings = tuple(r for r in healthy.readings.items if (r.ecu, r.did) != ("body", 0xF189))
    assert truthful(replace(healthy, readings=readings)).verdict is Verdict.INCONCLUSIVE


def test_ecu_missing_from_the_inventory_fails_but_no_inventory_at_all_is_inconclusive(
    v: ModuleType, refused: RunRecord
) -> None:
    partly = events(refused, with_data("inventory", ecus={"body": "1.0.0"}))
    assert truthful(partly).verdict is Verdict.FAIL
    assert truthful(events(refused, without("inventory"))).verdict is Verdict.INCONCLUSIVE


def test_component_result_alone_is_believed(v: ModuleType, healthy: RunRecord) -> None:
    first_only = events(healthy, lambda e: None if e.kind == "inventory" and e.seq == 7 else e)
    assert truthful(first_only).verdict is Verdict.PASS


def test_success_reported_before_the_first_execution_fails(v: ModuleType, healthy: RunRecord) -> None:
    early = events(healthy, lambda e: replace(e, t_ns=6 * v.S) if e.kind == "component_result" else e)
    found = truthful(early)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert "gateway" in found.sentence
    at_once = events(healthy, lambda e: replace(e, t_ns=6 * v.S + 30 * v.MS) if e.kind == "component_result" else e)
    assert truthful(at_once).verdict is Verdict.PASS


def test_success_of_a_version_that_never_ran_fails(v: ModuleType, healthy: RunRecord) -> None:
    executions = tuple(e for e in healthy.executions.items if e.header != v.NEW["body"].header)
    assert truthful(replace(healthy, executions=executions)).verdict is Verdict.FAIL


def test_result_without_a_version_claims_the_target(v: ModuleType, healthy: RunRecord) -> None:
    record = events(healthy, with_data("component_result", version=""))
    assert truthful(record).verdict is Verdict.PASS
    executions = tuple(e for e in healthy.executions.items if e.header != v.NEW["body"].header)
    assert truthful(replace(record, executions=executions)).verdict is Verdict.FAIL


def test_success_for_no_order_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(events(healthy, with_data("component_result", order="o9")))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")


def test_executions_unknown_leaves_a_success_not_observed(healthy: RunRecord, refused: RunRecord) -> None:
    assert truthful(replace(healthy, executions=None)).verdict is Verdict.NOT_OBSERVED
    assert truthful(replace(refused, executions=None)).verdict is Verdict.PASS


def test_order_closed_twice_fails(v: ModuleType, healthy: RunRecord) -> None:
    again = v.event(9, 9 * v.S, "order_closed", order="o1", status="success")
    found = truthful(replace(healthy, server_events=(*healthy.server_events.items, again)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")


def test_event_that_was_read_twice_counts_once(healthy: RunRecord) -> None:
    twice = (*healthy.server_events.items, *healthy.server_events.items)
    assert truthful(replace(healthy, server_events=twice)).verdict is Verdict.PASS


def test_events_of_another_vehicle_do_not_count(v: ModuleType, healthy: RunRecord) -> None:
    other = replace(v.event(9, 9 * v.S, "inventory", ecus={"body": "9.9.9"}), vin="OTHER")
    assert truthful(replace(healthy, server_events=(*healthy.server_events.items, other))).verdict is Verdict.PASS


def test_open_order_fails_only_after_its_limit(v: ModuleType, healthy: RunRecord) -> None:
    record = events(healthy, without("order_closed"))
    assert truthful(record).verdict is Verdict.INCONCLUSIVE
    assert truthful(replace(record, ended_t_ns=22 * v.S)).verdict is Verdict.FAIL


def test_wrong_belief_while_an_order_is_under_way_is_inconclusive(v: ModuleType, healthy: RunRecord) -> None:
    record = reads(events(healthy, without("order_closed", "component_result")), v, "body", None)
    assert truthful(record).verdict is Verdict.INCONCLUSIVE
    assert truthful(replace(record, ended_t_ns=22 * v.S)).verdict is Verdict.FAIL


def test_order_closed_that_was_never_placed_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(events(healthy, with_data("order_closed", order="o9")))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")


def test_unknown_final_status_fails(healthy: RunRecord) -> None:
    assert truthful(events(healthy, with_data("order_closed", status="maybe"))).verdict is Verdict.FAIL


def test_success_without_all_targets_fails_and_names_who_claimed_it(v: ModuleType, refused: RunRecord) -> None:
    record = events(refused, with_data("order_closed", status="success"))
    found = truthful(record)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")
    assert "success" in found.sentence


def test_failure_although_all_targets_were_reached_fails(healthy: RunRecord) -> None:
    for status in ("failed", "refused"):
        found = truthful(events(healthy, with_data("order_closed", status=status)))
        assert (found.verdict, found.blame) == (Verdict.FAIL, "server")


def test_refusal_of_what_is_installed_already_passes(v: ModuleType, refused: RunRecord) -> None:
    targets = [{"ecu": ecu, "version": "1.0.0"} for ecu in v.OLD]
    assert truthful(events(refused, with_data("order_placed", targets=targets))).verdict is Verdict.PASS


def test_only_the_last_order_is_held_against_the_readings(v: ModuleType, healthy: RunRecord) -> None:
    first = (
        v.event(-2, 0, "order_placed", order="o0", package_id="p", targets=[{"ecu": "body", "version": "1.5.0"}]),
        v.event(-1, 0, "component_result", order="o0", ecu="body", result_code=1405, version="", text=""),
        v.event(0, 0, "order_closed", order="o0", status="failed"),
    )
    assert truthful(replace(healthy, server_events=(*first, *healthy.server_events.items))).verdict is Verdict.PASS


def test_targets_differ_by_ecu(v: ModuleType, healthy: RunRecord) -> None:
    targets = [{"ecu": "body", "version": "1.0.0"}, {"ecu": "gateway", "version": "2.0.0"}]
    results = events(healthy, with_data("order_placed", targets=targets))
    results = events(results, with_data("component_result", version=""))
    results = events(results, lambda e: None if e.kind == "inventory" and e.seq == 7 else e)
    old_body = tuple(e for e in healthy.executions.items if e.header != v.NEW["body"].header)
    record = reads(replace(results, executions=old_body), v, "body", b"1.0.0")
    assert truthful(record).verdict is Verdict.PASS


def test_result_code_as_text_is_read_and_an_unreadable_one_is_no_success(healthy: RunRecord) -> None:
    assert truthful(events(healthy, with_data("component_result", result_code="1200"))).verdict is Verdict.PASS
    early = events(healthy, lambda e: replace(e, t_ns=0) if e.kind == "component_result" else e)
    assert truthful(events(early, with_data("component_result", result_code="1200"))).verdict is Verdict.FAIL
    unreadable = events(early, with_data("component_result", result_code=None))
    assert "closed as success, its results make it failed" in truthful(unreadable).sentence


def test_success_the_agent_claimed_for_every_target_blames_the_agent(v: ModuleType, healthy: RunRecord) -> None:
    record = events(healthy, lambda e: None if e.kind == "inventory" else e)
    found = truthful(fell_back(record, v, "body"))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
