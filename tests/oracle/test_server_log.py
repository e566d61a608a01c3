"""The judge's own fold over the server's log: codes, first results, beliefs and reasons."""

from __future__ import annotations

from typing import Any

import pytest

from bench.oracle.server_log import Belief, Order, Reason, ServerLog, is_success, status_of
from tests.oracle.oracle_vectors import VIN, event, replace

TARGETS = [{"ecu": "body", "version": "2.0.0"}, {"ecu": "gateway", "version": "2.0.0"}]
PLACED = event(1, 10, "order_placed", order="o1", package_id="p", targets=TARGETS)


def log_of(*events: Any) -> ServerLog:
    log = ServerLog(VIN)
    for each in events:
        log.take(each)
    return log


def result(seq: int, ecu: str, code: Any, **more: Any) -> Any:
    return event(seq, seq * 10, "component_result", order="o1", ecu=ecu, result_code=code, **more)


@pytest.mark.parametrize(
    ("code", "success"),
    [(1199, False), (1200, True), (1299, True), (1300, False), (199, False), (200, True), (299, True), (300, False),
     (0, False), (1405, False)],
)  # fmt: skip
def test_success_has_two_ranges_of_codes(code: int, success: bool) -> None:
    assert is_success(code) is success


@pytest.mark.parametrize(
    ("codes", "status"),
    [
        ((1200, 200), "success"), ((1407, 1455), "refused"), ((1407, 1405), "failed"), ((1200, 1407), "failed"),
        ((1406, 1406), "failed"), ((1408, 1408), "failed"), ((1454, 1454), "failed"), ((1456, 1456), "failed"),
    ],
)  # fmt: skip
def test_an_order_ends_as_all_its_codes_say(codes: tuple[int, int], status: str) -> None:
    assert status_of(dict(zip(("body", "gateway"), codes, strict=True))) == status


def test_the_first_result_of_each_target_counts_until_an_event() -> None:
    log = log_of(PLACED, result(2, "body", 1405), result(3, "body", 1200), result(4, "gateway", 1200),
                 result(5, "radio", 1405))  # fmt: skip
    (order,) = log.orders
    assert log.codes_of(order) == {"body": 1405, "gateway": 1200}
    assert log.codes_of(order, 4) == {"body": 1405}
    assert log.codes_of(order, 5) == {"body": 1405, "gateway": 1200}
    assert log.codes_of(replace(order, order="o2")) == {}


@pytest.mark.parametrize(
    ("code", "read"), [(1200, 1200), ("1200", 1200), ("12.5", 0), (None, 0), (-5, 0), ("", 0), (1.5, 0)]
)
def test_a_code_is_a_decimal_number_or_none(code: Any, read: int) -> None:
    assert [each.result_code for each in log_of(PLACED, result(2, "body", code)).results] == [read]


@pytest.mark.parametrize(
    ("ecu", "told", "version"),
    [("body", "1.9.0", "1.9.0"), ("body", "", "2.0.0"), ("radio", "", ""), ("body", None, "2.0.0")],
)
def test_a_result_without_a_version_claims_its_target(ecu: str, told: Any, version: str) -> None:
    assert [each.version for each in log_of(PLACED, result(2, ecu, 1200, version=told)).results] == [version]
    assert log_of(result(2, "body", 1200)).results[0].version == ""


def test_beliefs_come_from_inventories_and_successes() -> None:
    told = event(2, 20, "inventory", ecus={"body": "1.0.0", "gateway": None})
    log = log_of(PLACED, told)
    assert log.beliefs == {"body": Belief("1.0.0", 20, "inventory"), "gateway": Belief("", 20, "inventory")}
    log = log_of(PLACED, told, result(3, "body", 1405, version="2.0.0"), result(4, "gateway", 1200))
    assert log.beliefs["body"] == Belief("1.0.0", 20, "inventory")
    assert log.beliefs["gateway"] == Belief("2.0.0", 40, "component result 1200")


def test_reasons_are_what_was_said_of_a_failure() -> None:
    log = log_of(PLACED, result(2, "body", 1200, text="fine"), result(3, "gateway", 1405, text=""),
                 result(4, "gateway", 1405, text="no key"))  # fmt: skip
    assert log.reasons == [Reason("o1", 40, "gateway", "no key")]


def test_an_event_counts_once_and_of_its_own_vehicle_alone() -> None:
    log = log_of(PLACED, PLACED, replace(PLACED, vin="OTHER", seq=2), event(3, 30, "order_offered", order="o1"))
    assert (log.events, len(log.orders), log.offers) == (2, 1, [("o1", 3)])


def test_orders_closings_and_declines_are_kept_with_their_numbers() -> None:
    log = log_of(
        PLACED,
        event(2, 20, "order_refused_by_vehicle", order="o1", sc=403),
        event(3, 30, "order_closed", order="o1", status="refused"),
        event(4, 40, "order_closed", order="o2"),
    )
    assert log.orders == [Order("o1", 10, (("body", "2.0.0"), ("gateway", "2.0.0")), 1)]
    assert log.declines == [("o1", 2)]
    assert [(c.order, c.t_ns, c.status, c.seq) for c in log.closings] == [("o1", 30, "refused", 3), ("o2", 40, "", 4)]
    assert [c.seq for c in log.closings_of("o1")] == [3]
    assert log.order("o1") is log.orders[0]
    assert log.order("o2") is None


@pytest.mark.parametrize(
    ("ecus", "holds"),
    [({"body": "2.0.0", "gateway": "2.0.0"}, True), ({"body": "2.0.0"}, False), ({}, False), ("none", False)],
)
def test_an_inventory_holds_an_order_when_it_names_every_target(ecus: Any, holds: bool) -> None:
    log = log_of(PLACED, event(2, 20, "inventory", ecus=ecus))
    assert log.inventories[0].holds(log.orders[0]) is holds
    assert not log.inventories[0].holds(replace(log.orders[0], targets=()))


@pytest.mark.parametrize("targets", ["none", None, 5, ["body"]])
def test_targets_that_are_no_list_of_pairs_are_none(targets: Any) -> None:
    assert log_of(event(1, 10, "order_placed", order="o1", targets=targets)).orders[0].targets == ()
