"""What the server's log shows of vehicle and server: results, registration, refusals, sessions, polls, the view."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from bench.core.records import FaultRecord, RunRecord, ServerEvent, ServerViewRecord
from bench.oracle.result import Verdict
from tests.oracle.oracle_vectors import replace, tidy, truthful

Entry = tuple[float, str, dict[str, Any]]
"""An event: seconds, kind, data."""
POLL = "urn:oma:at:dm:2.0:ClientInitiatedMgmt"


def logged(record: RunRecord, v: ModuleType, *more: Entry) -> RunRecord:
    """Append events at instants in seconds, numbered behind the record's own."""
    own = record.server_events.items
    added = [v.event(own[-1].seq + n, round(t_s * v.S), kind, **data) for n, (t_s, kind, data) in enumerate(more, 1)]
    return replace(record, server_events=(*own, *added))


def fault(fault_class: str, t_ns: int, over_ns: int | None) -> FaultRecord:
    return FaultRecord(fault_class, f"{fault_class}:agent:http:1", {}, t_ns, over_ns)


# A result names the ECU that it is about -----------------------------------------------------------------------


def failure(v: ModuleType, record: RunRecord, ecu: str, version: str) -> RunRecord:
    """Let the failure of the body controller be told of another ECU or version."""

    def changed(event: ServerEvent) -> ServerEvent:
        if event.kind != "component_result" or event.data["ecu"] != "body":
            return event
        data = {**event.data, "ecu": ecu, "version": version, "result_code": 1407}
        return ServerEvent(event.seq, event.t_ns, event.vin, event.kind, data)

    return replace(record, server_events=tuple(map(changed, record.server_events.items)))


def test_a_failure_of_an_ecu_that_the_order_does_not_name_fails(v: ModuleType, refused: RunRecord) -> None:
    found = truthful(
        logged(refused, v, (8.5, "component_result", {"order": "o1", "ecu": "radio", "result_code": 1407}))
    )
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.sentence == "a result of order o1 names 'radio', which the order does not"


def test_a_failure_that_names_a_version_which_the_ecu_does_not_run_fails(v: ModuleType, refused: RunRecord) -> None:
    found = truthful(failure(v, refused, "body", "9.9.9"))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.sentence == "a failure of body names version '9.9.9', it executes '1.0.0'"


@pytest.mark.parametrize("version", ["", "1.0.0"])
def test_a_failure_that_names_no_version_or_the_one_that_runs_is_allowed(
    v: ModuleType, refused: RunRecord, version: str
) -> None:
    assert truthful(failure(v, refused, "body", version)).verdict is Verdict.PASS


def test_the_version_in_a_failure_is_not_judged_where_nobody_sees_executions(v: ModuleType, refused: RunRecord) -> None:
    found = truthful(replace(failure(v, refused, "body", "9.9.9"), executions=None))
    assert found.verdict is not Verdict.FAIL


# A registration ends -------------------------------------------------------------------------------------------

REGISTERED: Entry = (8.1, "registered", {"dev_id": "IMEI:490154203237518", "repeated": True})
FINAL: Entry = (8.2, "bootstrap_complete", {})
SESSION: Entry = (8.3, "session_ended", {"session": "s1"})


def test_a_registration_that_never_becomes_final_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(logged(healthy, v, REGISTERED, SESSION))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.sentence == "the vehicle never said that its registration is complete"


def test_a_bootstrap_complete_of_an_earlier_registration_does_not_count(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(logged(healthy, v, REGISTERED, FINAL, REGISTERED, SESSION))
    assert found.verdict is Verdict.FAIL


def test_a_registration_that_becomes_final_is_allowed(v: ModuleType, healthy: RunRecord) -> None:
    assert truthful(logged(healthy, v, REGISTERED, FINAL, SESSION)).verdict is Verdict.PASS


def test_a_run_that_ends_while_the_vehicle_registers_is_undecided(v: ModuleType, healthy: RunRecord) -> None:
    assert truthful(logged(healthy, v, REGISTERED)).verdict is Verdict.INCONCLUSIVE


def test_an_unwatched_log_is_not_observed(healthy: RunRecord) -> None:
    assert truthful(replace(healthy, server_events=None)).verdict is not Verdict.PASS


# Nothing is refused, sessions end, nobody hurries --------------------------------------------------------------

REFUSED: Entry = (8.5, "message_refused", {"status": 409, "reason": "no such session"})


def test_a_refused_message_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = tidy(logged(healthy, v, REFUSED))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.sentence == "the server refused a message of the vehicle: 409: no such session"


@pytest.mark.parametrize(("fault_class", "expected"), [
    ("network", Verdict.PASS), ("power.agent", Verdict.PASS), ("power.ecu", Verdict.FAIL), ("package", Verdict.FAIL),
])  # fmt: skip
def test_a_fault_on_the_way_explains_a_refusal_and_no_other_does(
    v: ModuleType, healthy: RunRecord, fault_class: str, expected: Verdict
) -> None:
    record = replace(logged(healthy, v, REFUSED), faults=(fault(fault_class, 7 * v.S, 7 * v.S + v.S // 5),))
    assert tidy(record).verdict is expected


def test_a_refusal_before_the_fault_is_not_explained_by_it(v: ModuleType, healthy: RunRecord) -> None:
    record = replace(logged(healthy, v, REFUSED), faults=(fault("network", 9 * v.S, 9 * v.S),))
    assert tidy(record).verdict is Verdict.FAIL


def started(t_s: float, session: str, alert: str = POLL) -> Entry:
    return t_s, "session_started", {"session": session, "alert": alert}


def ended(t_s: float, session: str) -> Entry:
    return t_s, "session_ended", {"session": session}


def test_a_session_that_never_ends_before_the_next_one_fails(v: ModuleType, healthy: RunRecord) -> None:
    found = tidy(logged(healthy, v, started(8.1, "s1"), started(9.2, "s2"), ended(9.3, "s2")))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.sentence == "session s1 began and never ended"


def test_a_session_that_was_torn_by_a_power_cut_of_the_agent_is_allowed(v: ModuleType, healthy: RunRecord) -> None:
    record = logged(healthy, v, started(8.1, "s1"), started(9.2, "s2"), ended(9.3, "s2"))
    cut = fault("power.agent", round(8.2 * v.S), round(8.4 * v.S))
    assert tidy(replace(record, faults=(cut,))).verdict is Verdict.PASS
    over = fault("power.agent", 7 * v.S, 8 * v.S)
    assert tidy(replace(record, faults=(over,))).verdict is Verdict.FAIL


def test_the_last_session_may_go_on_for_a_poll_interval(v: ModuleType, healthy: RunRecord) -> None:
    assert tidy(logged(healthy, v, started(9.0, "s1"))).verdict is Verdict.PASS
    assert tidy(logged(healthy, v, started(8.999, "s1"))).verdict is Verdict.FAIL


def polls(gap_s: float) -> tuple[Entry, ...]:
    return started(8.1, "s1"), ended(8.15, "s1"), started(8.1 + gap_s, "s2"), ended(8.15 + gap_s, "s2")


def test_two_idle_sessions_closer_than_the_poll_interval_fail(v: ModuleType, healthy: RunRecord) -> None:
    found = tidy(logged(healthy, v, *polls(0.89)))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert found.sentence.startswith("the vehicle polled 1 times too soon")


def test_a_poll_at_nine_tenths_of_the_interval_is_allowed(v: ModuleType, healthy: RunRecord) -> None:
    assert tidy(logged(healthy, v, *polls(0.91))).verdict is Verdict.PASS


def test_a_session_that_brings_an_order_or_a_notified_one_is_no_poll(v: ModuleType, healthy: RunRecord) -> None:
    first, end, second, last = polls(0.2)
    order: Entry = (8.2, "order_refused_by_vehicle", {"order": "o1", "sc": 405})
    assert tidy(logged(healthy, v, first, end, order, second, last)).verdict is Verdict.PASS
    notified = (second[0], second[1], {**second[2], "alert": "urn:oma:at:dm:2.0:ServerInitiatedMgmt"})
    assert tidy(logged(healthy, v, first, end, notified, last)).verdict is Verdict.PASS


# What the server believes by itself ----------------------------------------------------------------------------


def view(record: RunRecord, v: ModuleType, **changes: Any) -> RunRecord:
    """Give the record the view that a truthful server has of its own log."""
    base: dict[str, Any] = {
        "t_ns": 9 * v.S, "events": record.server_events.items, "registered": False,
        "ecus": {"body": "2.0.0", "gateway": "2.0.0"}, "orders": (("o1", "success"),),
    }  # fmt: skip
    return replace(record, server_view=(ServerViewRecord(**(base | changes)),))


def test_a_view_that_equals_the_log_passes(v: ModuleType, healthy: RunRecord) -> None:
    found = truthful(view(healthy, v))
    assert found.verdict is Verdict.PASS
    assert "not observed" not in found.sentence


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"ecus": {"body": "2.0.0"}}, "ECUs"),
        ({"ecus": {"body": "1.0.0", "gateway": "2.0.0"}}, "ECUs"),
        ({"orders": (("o1", "failed"),)}, "orders"),
        ({"orders": ()}, "orders"),
        ({"registered": True}, "registration"),
    ],
)
def test_a_twin_that_differs_from_its_log_fails(
    v: ModuleType, healthy: RunRecord, changes: dict[str, Any], what: str
) -> None:
    found = truthful(view(healthy, v, **changes))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")
    assert found.sentence == f"the server's view of the {what} differs from its own log"


def test_a_store_that_lost_an_event_fails(v: ModuleType, healthy: RunRecord) -> None:
    events = healthy.server_events.items
    lost = truthful(view(healthy, v, events=events[:-1]))
    assert (lost.verdict, lost.blame) == (Verdict.FAIL, "server")
    assert lost.sentence == "the server's store lacks or changed 1 events that were announced"


def test_what_the_bench_did_not_hear_is_not_the_servers_fault(v: ModuleType, healthy: RunRecord) -> None:
    more = (*healthy.server_events.items, v.event(99, 9 * v.S, "session_ended", session="s9"))
    unheard = truthful(view(healthy, v, events=more))
    assert (unheard.verdict, unheard.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert "never announced" in unheard.sentence
    silenced = truthful(replace(view(healthy, v), server_events=()))
    assert (silenced.verdict, silenced.blame) == (Verdict.INCONCLUSIVE, "bench")


def test_a_twin_that_differs_from_a_log_that_was_not_heard_fails(v: ModuleType, healthy: RunRecord) -> None:
    silenced = replace(view(healthy, v, ecus={}), server_events=())
    assert (truthful(silenced).verdict, truthful(silenced).blame) == (Verdict.FAIL, "server")


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ((), "open"),
        (("order_offered",), "offered"),
        (("order_offered", "order_accepted"), "accepted"),
        (("order_offered", "order_accepted", "order_offered"), "accepted"),
        (("order_offered", "component_result"), "accepted"),
    ],
)
def test_an_order_that_is_open_has_the_status_of_its_last_step(
    v: ModuleType, healthy: RunRecord, steps: tuple[str, ...], status: str
) -> None:
    more: list[Entry] = [
        (8.5, kind, {"order": "o2", "ecu": "body", "result_code": 1405, "version": ""}) for kind in steps
    ]
    placed: Entry = (
        8.4,
        "order_placed",
        {"order": "o2", "package_id": "autumn", "targets": [{"ecu": "body", "version": "3"}]},
    )
    record = logged(healthy, v, placed, *more)
    wrong = truthful(view(record, v, orders=(("o1", "success"), ("o2", "none"))))
    right = truthful(view(record, v, orders=(("o1", "success"), ("o2", status))))
    assert "view of the orders" in wrong.sentence
    assert "view of the orders" not in right.sentence


def test_a_server_without_a_view_is_named_beside_the_verdict(healthy: RunRecord) -> None:
    found = truthful(healthy)
    assert found.verdict is Verdict.PASS
    assert found.sentence.endswith("not observed: what the server believes by itself")


# At the limits -------------------------------------------------------------------------------------------------


def test_the_first_refusal_and_the_first_open_session_stand_in_the_sentence(v: ModuleType, healthy: RunRecord) -> None:
    second: Entry = (8.6, "message_refused", {"status": 500, "reason": "later"})
    assert tidy(logged(healthy, v, REFUSED, second)).sentence.endswith("409: no such session")
    torn = tidy(logged(healthy, v, started(8.1, "s1"), started(9.2, "s2"), started(9.4, "s3")))
    assert torn.sentence.startswith("session s1 began and never ended")


@pytest.mark.parametrize(
    ("begins_ns", "over_ns", "expected"),
    [(0, 0, Verdict.PASS), (8_500_000_000, None, Verdict.PASS), (8_500_000_001, None, Verdict.FAIL)],
)
def test_a_fault_explains_a_refusal_from_its_own_instant_on(
    v: ModuleType, healthy: RunRecord, begins_ns: int, over_ns: int | None, expected: Verdict
) -> None:
    record = replace(logged(healthy, v, REFUSED), faults=(fault("network", begins_ns, over_ns),))
    assert tidy(record).verdict is expected


def test_a_fault_explains_an_open_session_up_to_its_last_instant(v: ModuleType, healthy: RunRecord) -> None:
    record = logged(healthy, v, started(8.1, "s1"), started(9.2, "s2"), ended(9.3, "s2"))
    began_ns = round(8.1 * v.S)
    for over_ns, expected in ((began_ns, Verdict.PASS), (began_ns - 1, Verdict.FAIL)):
        assert tidy(replace(record, faults=(fault("power.agent", 7 * v.S, over_ns),))).verdict is expected


def test_a_poll_at_exactly_nine_tenths_is_allowed_and_one_nanosecond_sooner_is_not(
    v: ModuleType, healthy: RunRecord
) -> None:
    assert tidy(logged(healthy, v, *polls(0.9))).verdict is Verdict.PASS
    found = tidy(logged(healthy, v, *polls(0.9 - 1e-9)))
    assert found.verdict is Verdict.FAIL
    assert any(item.text == "0.899999999 s after the session before" for item in found.evidence)


def test_without_a_poll_interval_nobody_polls_too_soon(v: ModuleType, healthy: RunRecord) -> None:
    limits = replace(healthy.limits, poll_interval_ns=0)
    found = tidy(logged(replace(healthy, limits=limits), v, *polls(0.1)))
    assert found.verdict is Verdict.PASS
    assert not any("poll interval" in item.text for item in found.evidence)


def test_results_of_another_vehicle_are_not_counted(v: ModuleType, healthy: RunRecord) -> None:
    foreign = replace(v.event(0, 0, "component_result", order="o9", ecu="x", result_code=1405), vin="OTHER")
    later = replace(foreign, seq=99, t_ns=9 * v.S)
    found = truthful(replace(healthy, server_events=(foreign, *healthy.server_events.items, later)))
    assert found.verdict is Verdict.PASS
    assert any(item.text == "2 results, each of an ECU of its order" for item in found.evidence)


def test_only_ended_sessions_tell_that_a_registration_was_forgotten(v: ModuleType, healthy: RunRecord) -> None:
    told: Entry = (8.3, "inventory", {"ecus": {"body": "2.0.0", "gateway": "2.0.0"}})
    assert truthful(logged(healthy, v, REGISTERED, told)).verdict is Verdict.INCONCLUSIVE
    found = truthful(logged(healthy, v, REGISTERED, SESSION))
    assert any(item.text == "1 sessions ended since, no BootstrapComplete" for item in found.evidence)
    assert truthful(logged(healthy, v, SESSION, REGISTERED)).verdict is Verdict.INCONCLUSIVE


def test_a_view_knows_the_registration_and_the_first_difference_is_named(v: ModuleType, healthy: RunRecord) -> None:
    record = logged(healthy, v, REGISTERED, FINAL)
    assert truthful(view(record, v, registered=True)).verdict is Verdict.PASS
    assert "view of the registration" in truthful(view(record, v)).sentence
    both = truthful(view(healthy, v, ecus={}, orders=()))
    assert both.sentence == "the server's view of the ECUs differs from its own log"


def test_the_last_session_that_stays_open_is_named(v: ModuleType, healthy: RunRecord) -> None:
    found = tidy(logged(healthy, v, started(8.5, "s2")))
    assert found.sentence == "session s2 was open when the run ended"
