"""The order's table and the session engine, without store or HTTP: any conversation keeps the rules."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.records import ServerEvent
from bench.wire.dm import Initiation, MoData, Response, Status
from bench.wire.dm_alert import OperationComplete
from bench.wire.dm_scomo import Component, Inventory
from bench.wire.dm_uri import ClientUri, Moid
from dm_server import session_states
from dm_server.orders import CLOSED, TRANSITIONS, IllegalStep, Order, OrderStatus, Step, next_status, placed
from dm_server.refusal import Refused
from dm_server.session import on_initiation, on_response
from dm_server.session_states import Move, Phase, Session
from dm_server.turn import Event, Outcome, Turn
from dm_server.twin import fold

ECUS = ("body", "gateway")


def placed_event(number: int) -> dict[str, Any]:
    """Two orders of one package: what tells them apart is the correlator alone."""
    return {"order": f"order-{number}", "package_id": "p", "targets": [{"ecu": ecu, "version": "2"} for ecu in ECUS]}


@pytest.mark.parametrize("pair", list(itertools.product(OrderStatus, Step)))
def test_order_table_moves_or_refuses_every_pair_and_nothing_leaves_a_closed_order(
    pair: tuple[OrderStatus, Step],
) -> None:
    if pair in TRANSITIONS:
        assert pair[0] not in CLOSED
        assert next_status(*pair) is TRANSITIONS[pair]
    else:
        with pytest.raises(IllegalStep, match=f"that is {pair[0]}"):
            next_status(*pair)


def test_every_order_status_can_be_reached_and_every_open_one_can_end() -> None:
    reached = {OrderStatus.OPEN} | set(TRANSITIONS.values())
    assert reached == set(OrderStatus)
    for status in set(OrderStatus) - set(CLOSED):
        assert any(before is status and after is not status for (before, _), after in TRANSITIONS.items())


def test_every_session_phase_can_be_reached_opened_and_ended() -> None:
    assert set(session_states.TRANSITIONS.values()) == set(Phase)
    for phase in Phase:
        assert session_states.TRANSITIONS[phase, Move.OPEN] is Phase.DATA
        assert phase is Phase.ENDED or session_states.TRANSITIONS[phase, Move.END] is Phase.ENDED


REPORT = st.builds(
    OperationComplete,
    package_id=st.sampled_from(["p", "q"]),
    ecu=st.sampled_from([*ECUS, "radio", ""]),
    result_code=st.sampled_from([1200, 1405, 1407]),
    correlator=st.sampled_from(["", "order-1", "order-2", "order-3"]),
)
REPORTS = st.lists(REPORT, max_size=3)
START = REPORTS.map(lambda reports: ("start", reports, None))
DATA = st.tuples(REPORTS, st.sampled_from(["1", "2"])).map(lambda of: ("data", *of))
ANSWER = st.tuples(REPORTS, st.sampled_from([(200, 202), (503, 404), (200, 405), (200, 403), (200, 1200), (200,)])).map(
    lambda of: ("answer", *of)
)
Script = list[tuple[str, list[OperationComplete], Any]]


def message(kind: str, reports: list[OperationComplete], value: Any) -> Initiation | Response:
    alerts = tuple(report.alert() for report in reports)
    if kind == "start":
        return Initiation((), alerts)
    if kind == "answer":
        return Response(tuple(Status(sc) for sc in value), (), alerts)
    inventory = Inventory(tuple(Component(ecu, "APP", value) for ecu in ECUS))
    pairs = (MoData(ClientUri(Moid.SCOMO.value), inventory.tree()),)
    return Response((Status(404), Status(200)), pairs, alerts)


def turn(orders: dict[str, Order], session: Session | None, sent: Initiation | Response) -> Outcome:
    work = Turn("IMEI:1", dict(orders), "https://localhost")
    if isinstance(sent, Response):
        return on_response(work, sent, session)
    return on_initiation(work, sent, "session-1")


def converse(script: Script) -> tuple[list[Event], dict[str, Order]]:
    """Give the engine every message of a script; return the whole log and the orders that it leads to."""
    log = [Event("order_placed", placed_event(number)) for number in (1, 2)]
    orders = {event.data["order"]: placed(event.data) for event in log}
    session: Session | None = None
    for kind, reports, value in script:
        offered = {order.order for order in orders.values() if order.allows(Step.RESULT)}
        outcome = turn(orders, session, message(kind, reports, value))
        for event in outcome.events:
            if event.data.get("order"):
                orders[event.data["order"]] = orders[event.data["order"]].after(event.kind, event.data)
        log += outcome.events
        session = outcome.session or session
        if not isinstance(outcome.reply, Refused):
            assert outcome.reply.ends == (log[-1].kind == "session_ended")
        for report in reports:
            if report.correlator in offered and report.package_id == "p" and report.ecu in ECUS:
                assert report.ecu in orders[report.correlator].results, "a result was lost"
    return log, orders


@given(st.lists(START | DATA | ANSWER, max_size=16))
def test_any_conversation_closes_each_order_at_most_once_and_folds_to_its_twin(script: Script) -> None:
    log, orders = converse(script)
    twin = fold("V", [ServerEvent(n, 0, "V", *event) for n, event in enumerate(log, 1)])
    assert twin.orders == tuple(order.view() for order in orders.values())
    for name, order in orders.items():
        kinds = [event.kind for event in log if event.data.get("order") == name]
        assert kinds.count("order_closed") == (1 if order.closed else 0)
        assert kinds.count("component_result") == len(order.results) <= 2
        if order.status is OrderStatus.SUCCESS:
            held_it_all_along = "order_offered" not in kinds and order.results == {}
            assert order.results == dict.fromkeys(ECUS, 1200) or held_it_all_along
        if "order_closed" in kinds:
            assert "order_offered" not in kinds[kinds.index("order_closed") :]
        if "component_result" in kinds:
            assert "order_offered" in kinds[: kinds.index("component_result")]


@given(st.lists(START | DATA | ANSWER, max_size=16))
def test_any_conversation_can_still_be_brought_to_the_end_of_every_order(script: Script) -> None:
    """Whatever was said before: a vehicle that polls, accepts and reports gets through its orders."""
    _, before = converse(script)
    rest: Script = []
    for name in before:
        poll: Script = [("start", [], None), ("data", [], "1"), ("answer", [], (200, 202))]
        results = [OperationComplete(package_id="p", ecu=ecu, result_code=1200, correlator=name) for ecu in ECUS]
        rest += [*poll, ("start", results, None)]
    _, after = converse(script + rest)
    assert all(order.closed for order in after.values())
