from __future__ import annotations

from types import ModuleType

import pytest

from bench.core.records import FaultRecord, Limits, RunRecord, ServerEvent
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import live, replace


def limited(record: RunRecord, limit_ns: int) -> RunRecord:
    return replace(record, limits=Limits(limit_ns, 1))


def still_open(record: RunRecord) -> RunRecord:
    return replace(record, server_events=tuple(e for e in record.server_events.items if e.kind != "order_closed"))


def cut(v: ModuleType, restored_ns: int | None) -> FaultRecord:
    return FaultRecord("power.ecu", "power.ecu:body:program:3", {}, 4 * v.S, restored_ns)


def test_update_in_time_passes_with_evidence(healthy: RunRecord) -> None:
    found = live(healthy)
    assert found.verdict is Verdict.PASS
    assert {"time", "server", "did"} <= {e.kind for e in found.evidence}


def test_refusal_in_time_passes_where_no_update_is_expected(refused: RunRecord) -> None:
    assert live(refused).verdict is Verdict.PASS


def test_update_after_the_limit_fails(v: ModuleType, healthy: RunRecord) -> None:
    took_ns = 6 * v.S + v.MS
    assert live(limited(healthy, took_ns)).verdict is Verdict.PASS
    assert live(limited(healthy, took_ns - 1)).verdict is Verdict.FAIL


def test_limit_counts_from_the_last_restoration(v: ModuleType, healthy: RunRecord) -> None:
    record = limited(healthy, 4 * v.S)
    assert live(record).verdict is Verdict.FAIL
    faults = (cut(v, 5 * v.S), cut(v, 4 * v.S), cut(v, None), replace(cut(v, None), t_ns=None))
    assert live(replace(record, faults=faults)).verdict is Verdict.PASS


def test_open_order_after_the_limit_fails_and_before_it_is_inconclusive(v: ModuleType, healthy: RunRecord) -> None:
    record = still_open(healthy)
    assert live(limited(record, 8 * v.S)).verdict is Verdict.FAIL
    assert live(limited(record, 8 * v.S + 1)).verdict is Verdict.INCONCLUSIVE


def test_failure_where_an_update_is_expected_fails(refused: RunRecord) -> None:
    found = live(replace(refused, expects_update=True))
    assert found.verdict is Verdict.FAIL
    assert "refused" in found.sentence


def test_success_where_a_refusal_is_expected_fails(healthy: RunRecord) -> None:
    assert live(replace(healthy, expects_update=False)).verdict is Verdict.FAIL


def test_target_that_is_not_read_back_fails(v: ModuleType, healthy: RunRecord) -> None:
    for value in (b"1.0.0", None):
        readings = (*healthy.readings.items, v.read("gateway", 0xF189, value))
        found = live(replace(healthy, readings=readings))
        assert found.verdict is Verdict.FAIL
        assert "gateway" in found.sentence


def test_target_that_was_not_asked_is_inconclusive(healthy: RunRecord) -> None:
    readings = tuple(r for r in healthy.readings.items if (r.ecu, r.did) != ("body", 0xF189))
    assert live(replace(healthy, readings=readings)).verdict is Verdict.INCONCLUSIVE


def test_order_without_targets_is_inconclusive(healthy: RunRecord) -> None:
    emptied = tuple(
        replace(e, data={**e.data, "targets": "none"}) if e.kind == "order_placed" else e
        for e in healthy.server_events.items
    )
    assert live(replace(healthy, server_events=emptied)).verdict is Verdict.INCONCLUSIVE


def test_order_that_was_never_placed_is_inconclusive_and_blames_the_bench(v: ModuleType, healthy: RunRecord) -> None:
    found = live(replace(healthy, server_events=healthy.server_events.items[:2]))
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")


def with_codes(record: RunRecord, *codes: int) -> RunRecord:
    """Let only that many ECUs report, with these codes."""
    results = [e for e in record.server_events.items if e.kind == "component_result"]
    kept = [replace(e, data={**e.data, "result_code": code}) for e, code in zip(results, codes, strict=False)]
    return replace(record, server_events=(*(e for e in record.server_events.items if e not in results), *kept))


@pytest.mark.parametrize(
    ("codes", "blame"),
    [((), "agent"), ((1200,), "agent"), ((1200, 1200), "server"), ((1405,), "flasher"), ((1405, 1200), "server")],
)
def test_open_order_blames_who_owes_the_next_step(
    v: ModuleType, healthy: RunRecord, codes: tuple[int, ...], blame: str
) -> None:
    found = live(limited(with_codes(still_open(healthy), *codes), 2 * v.S))
    assert (found.verdict, found.blame) == (Verdict.FAIL, blame)


def test_order_that_was_never_offered_blames_the_server(v: ModuleType, healthy: RunRecord) -> None:
    record = limited(with_codes(still_open(healthy)), 2 * v.S)
    events = tuple(e for e in record.server_events.items if e.kind != "order_offered")
    assert live(replace(record, server_events=events)).blame == "server"
    unseen = tuple(e for e in events if e.kind != "inventory")
    assert live(replace(record, server_events=unseen)).blame == "agent"


@pytest.mark.parametrize(("codes", "blame"), [((1405, 1200), "flasher"), ((), "agent"), ((1407, 1407), None)])
def test_wrong_end_blames_who_the_results_point_at(
    refused: RunRecord, codes: tuple[int, ...], blame: str | None
) -> None:
    found = live(with_codes(replace(refused, expects_update=True), *codes))
    assert (found.verdict, found.blame) == (Verdict.FAIL, blame)


def test_without_a_server_log_it_is_not_observed(healthy: RunRecord) -> None:
    assert live(replace(healthy, server_events=None)).verdict is Verdict.NOT_OBSERVED


def test_evidence_says_from_where_the_limit_counts(v: ModuleType, healthy: RunRecord) -> None:
    assert "order was placed" in live(healthy).evidence[0].text
    assert "last fault was restored" in live(replace(healthy, faults=(cut(v, 5 * v.S),))).evidence[0].text


def test_failed_order_quotes_what_the_vehicle_said_and_the_time_is_in_the_evidence(healthy: RunRecord) -> None:
    def failed_result(event: ServerEvent) -> ServerEvent:
        if event.kind == "component_result" and event.data["ecu"] == "body":
            return replace(
                event, data={**event.data, "result_code": 1405, "text": "security_access failed: InvalidKey"}
            )
        return replace(event, data={**event.data, "status": "failed"}) if event.kind == "order_closed" else event

    found = live(replace(healthy, server_events=tuple(map(failed_result, healthy.server_events.items))))
    assert found.verdict is Verdict.FAIL
    assert "body: security_access failed: InvalidKey" in found.sentence
    assert any("allowed are" in item.text for item in live(healthy).evidence)


def shown(record: RunRecord) -> list[str]:
    return [item.text for item in live(record).evidence]


def test_the_last_order_is_the_one_that_must_end(v: ModuleType, healthy: RunRecord) -> None:
    targets = [{"ecu": "body", "version": "3.0.0"}]
    second = v.event(9, 9 * v.S, "order_placed", order="o2", package_id="autumn", targets=targets)
    record = replace(healthy, server_events=(*healthy.server_events.items, second))
    found = live(record)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "with order o2 still open" in found.sentence


def test_the_first_end_of_an_order_is_its_end(v: ModuleType, healthy: RunRecord) -> None:
    again = v.event(9, 9 * v.S, "order_closed", order="o1", status="failed")
    record = replace(healthy, server_events=(*healthy.server_events.items, again))
    assert live(limited(record, 6 * v.S + v.MS)).verdict is Verdict.PASS


def test_how_much_time_was_left_or_taken_is_told(v: ModuleType, healthy: RunRecord) -> None:
    assert "the run ended 12.000000000 s before the limit" in live(still_open(healthy)).sentence
    late = replace(healthy, faults=(cut(v, 9 * v.S),))
    assert "0.000000000 s after that, allowed are 20.000000000 s" in shown(late)


def test_the_first_reason_is_quoted_and_the_results_are_listed(v: ModuleType, healthy: RunRecord) -> None:
    def changed(event: ServerEvent) -> ServerEvent:
        if event.kind == "component_result":
            text = f"{event.data['ecu']} was tired"
            return replace(event, data={**event.data, "result_code": 1405, "text": text})
        return replace(event, data={**event.data, "status": "failed"}) if event.kind == "order_closed" else event

    record = replace(healthy, server_events=tuple(map(changed, healthy.server_events.items)))
    assert live(record).sentence.endswith("body was tired")
    assert "results: body 1405, gateway 1405" in shown(limited(still_open(record), 2 * v.S))
    assert "results: none" in shown(limited(with_codes(still_open(healthy)), 2 * v.S))


def test_only_an_inventory_after_the_order_asks_for_it(v: ModuleType, healthy: RunRecord) -> None:
    record = limited(with_codes(still_open(healthy)), 2 * v.S)
    never = tuple(e for e in record.server_events.items if e.kind != "order_offered")
    before = tuple(e for e in never if e.kind != "inventory" or e.seq == 2)
    behind = tuple(e for e in never if e.kind != "inventory" or e.seq == 7)
    assert [live(replace(record, server_events=log)).blame for log in (before, behind)] == ["agent", "server"]
