"""The order's table and the session engine, without store or HTTP: any conversation keeps the rules."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.records import ServerEvent
from bench.ports.server import Target
from bench.wire.dm import Initiation, MoData, Response, Status
from bench.wire.dm_alert import OperationComplete
from bench.wire.dm_scomo import Component, Inventory
from bench.wire.dm_uri import ClientUri, Moid
from dm_server.orders import CLOSED, TRANSITIONS, IllegalStep, Order, OrderStatus, Step, next_status
from dm_server.refusal import Refused
from dm_server.session import Event, Outcome, Session, Turn, on_initiation, on_response
from dm_server.twin import fold

ECUS = ("body", "gateway")
PLACED = {"order": "order-1", "package_id": "p", "targets": [{"ecu": ecu, "version": "2"} for ecu in ECUS]}


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


REPORT = st.builds(
    OperationComplete,
    package_id=st.sampled_from(["p", "q"]),
    ecu=st.sampled_from([*ECUS, "radio"]),
    result_code=st.sampled_from([1200, 1405, 1407]),
)
START = st.lists(REPORT, max_size=3).map(lambda reports: ("start", [report.alert() for report in reports]))
DATA = st.sampled_from(["1", "2"]).map(lambda version: ("data", version))
ANSWER = st.tuples(st.sampled_from([200, 503]), st.sampled_from([202, 404, 1200])).map(lambda sc: ("answer", sc))


def message(kind: str, value: Any) -> Initiation | Response:
    if kind == "start":
        return Initiation((), tuple(value))
    if kind == "answer":
        return Response((Status(value[0]), Status(value[1])))
    inventory = Inventory(tuple(Component(ecu, "APP", value) for ecu in ECUS))
    pairs = (MoData(ClientUri(Moid.SCOMO.value), inventory.tree()),)
    return Response((Status(404), Status(200)), pairs)


def turn(orders: dict[str, Order], session: Session | None, sent: Initiation | Response) -> Outcome | None:
    work = Turn("V", "IMEI:1", dict(orders), "https://localhost")
    try:
        if isinstance(sent, Response):
            return on_response(work, sent, session)
        return on_initiation(work, sent, "session-1")
    except (Refused, IllegalStep):
        return None


@given(st.lists(START | DATA | ANSWER, max_size=14))
def test_any_conversation_closes_an_order_at_most_once_and_folds_to_its_twin(script: list[tuple[str, Any]]) -> None:
    log = [Event("order_placed", PLACED)]
    order = Order("order-1", "p", tuple(Target(ecu, "2") for ecu in ECUS))
    session: Session | None = None
    for kind, value in script:
        outcome = turn({"order-1": order}, session, message(kind, value))
        if outcome is None:
            continue
        for event in outcome.events:
            if event.data.get("order"):
                order = order.after(event.kind, event.data)
        log += outcome.events
        session = outcome.session
        assert outcome.answer.ends == (log[-1].kind == "session_ended")
    kinds = [event.kind for event in log]
    assert kinds.count("order_closed") == (1 if order.closed else 0)
    assert kinds.count("component_result") == len(order.results) <= 2
    twin = fold("V", [ServerEvent(n, 0, "V", *event) for n, event in enumerate(log, 1)])
    assert twin.orders == (order.view(),)
    if order.status is OrderStatus.SUCCESS:
        held_it_all_along = "order_offered" not in kinds and order.results == {}
        assert order.results == dict.fromkeys(ECUS, 1200) or held_it_all_along
    if "order_closed" in kinds:
        assert "order_offered" not in kinds[kinds.index("order_closed") :]
