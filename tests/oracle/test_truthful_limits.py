"""Truthful at its limits: who is to blame for a wrong end, and what in the log counts for which order."""

from __future__ import annotations

from typing import Any

import pytest

from bench.core.records import RunRecord, ServerEvent
from bench.oracle.result import Verdict
from tests.oracle import oracle_vectors as v
from tests.oracle.oracle_vectors import NEW, OLD, S, event, healthy, refused, replace, truthful


def with_events(record: RunRecord, *events: ServerEvent) -> RunRecord:
    return replace(record, server_events=tuple(sorted(events, key=lambda e: (e.t_ns, e.seq))))


def results(code: int, version: str = "") -> list[ServerEvent]:
    return [
        event(5 + n, 8 * S, "component_result", order="o1", ecu=ecu, result_code=code, version=version, text="")
        for n, ecu in enumerate(NEW)
    ]


def placed(version: str = "2.0.0") -> ServerEvent:
    targets = [{"ecu": ecu, "version": version} for ecu in NEW]
    return event(3, 2 * S, "order_placed", order="o1", package_id="spring", targets=targets)


def closed(status: str, seq: int = 20, t_ns: int = 8 * S + 1) -> ServerEvent:
    return event(seq, t_ns, "order_closed", order="o1", status=status)


def inventory(seq: int, t_ns: int, body: str, gateway: str) -> ServerEvent:
    return event(seq, t_ns, "inventory", ecus={"body": body, "gateway": gateway})


FIRST = event(1, 0, "vehicle_added", dev_id="IMEI:490154203237518")
OFFERED = event(4, 2 * S, "order_offered", order="o1", package_id="spring")


def body_falls_back(record: RunRecord, version: str = "1.0.0") -> RunRecord:
    """The body runs another image in the end, and says so."""
    image = OLD["body"] if version == "1.0.0" else v.reference("body", "installed", version, 1)
    readings = [r for r in record.readings.items if r.ecu != "body"]
    mine = v.read("body", 0xF186, b"\x01"), v.read("body", 0xF189, version.encode())
    runs = (*record.executions.items, v.ran(9 * S, image, "A"))
    return replace(record, readings=(*readings, *mine), executions=runs)


def test_a_success_that_the_vehicle_reported_and_that_did_not_last_blames_the_agent() -> None:
    log = FIRST, inventory(2, S, "1.0.0", "1.0.0"), placed(), OFFERED, *results(1200, "2.0.0"), closed("success")
    told = inventory(21, 9 * S, "1.0.0", "2.0.0")
    found = truthful(with_events(body_falls_back(healthy()), *log, told))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert "was closed as a success, but not every target is reached" in found.sentence


def test_a_success_that_the_server_took_from_an_inventory_alone_blames_the_server() -> None:
    log = FIRST, inventory(2, S, "1.0.0", "1.0.0"), placed("1.0.0"), closed("success")
    told = inventory(21, 9 * S, "0.9.0", "1.0.0")
    found = truthful(with_events(body_falls_back(refused(), "0.9.0"), *log, told))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")
    assert "was closed as a success, but not every target is reached" in found.sentence


def test_a_failure_of_what_was_reached_blames_who_denied_it() -> None:
    head = FIRST, inventory(2, S, "1.0.0", "1.0.0"), placed(), OFFERED
    told = inventory(21, 9 * S, "2.0.0", "2.0.0")
    found = truthful(with_events(healthy(), *head, *results(1405), closed("failed"), told))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert "was closed as failed, but every target is reached and confirmed" in found.sentence
    declined = event(5, 3 * S, "order_refused_by_vehicle", order="o1", sc=405)
    found = truthful(with_events(healthy(), *head, declined, closed("refused"), told))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "server")


def there_before(*more: ServerEvent, first: str = "1.0.0") -> RunRecord:
    """The ordered versions were there before the order, which is closed as a success without any result."""
    log = FIRST, inventory(2, S, first, "1.0.0"), placed("1.0.0"), *more, closed("success")
    return with_events(refused(), *log)


@pytest.mark.parametrize(
    ("more", "verdict"),
    [
        ((), Verdict.PASS),
        ((OFFERED,), Verdict.FAIL),
        ((event(4, 2 * S, "order_offered", order="o0", package_id="p"),), Verdict.PASS),
        ((event(22, 9 * S, "order_offered", order="o1", package_id="spring"),), Verdict.PASS),
    ],
    ids=["never offered", "offered", "another order was", "offered after it was closed"],
)
def test_only_an_offer_of_the_order_itself_asks_for_results(more: Any, verdict: Verdict) -> None:
    found = truthful(there_before(*more))
    assert found.verdict is verdict
    if verdict is Verdict.FAIL:
        assert any(item.text == "closed: success; results by then: none" for item in found.evidence)


def test_the_last_inventory_before_the_closing_tells_what_was_there() -> None:
    assert truthful(there_before(inventory(4, 3 * S, "1.0.0", "1.0.0"), first="0.1.0")).verdict is Verdict.PASS
    wrong = there_before(inventory(4, 3 * S, "0.1.0", "1.0.0"), inventory(21, 9 * S, "1.0.0", "1.0.0"))
    assert (truthful(wrong).verdict, truthful(wrong).blame) == (Verdict.FAIL, "server")


@pytest.mark.parametrize(
    ("order", "seq", "t_ns", "verdict"),
    [("o1", 6, 3 * S, Verdict.PASS), ("o0", 6, 3 * S, Verdict.FAIL), ("o1", 22, 9 * S, Verdict.FAIL)],
)
def test_only_the_vehicle_that_declines_the_order_itself_ends_it(
    order: str, seq: int, t_ns: int, verdict: Verdict
) -> None:
    declined = event(seq, t_ns, "order_refused_by_vehicle", order=order, sc=405)
    log = FIRST, inventory(2, S, "1.0.0", "1.0.0"), placed(), OFFERED, declined, closed("refused")
    assert truthful(with_events(refused(), *log)).verdict is verdict


def test_an_earlier_success_is_not_held_against_what_a_later_order_brought() -> None:
    between = v.reference("body", "installed", "1.5.0", 1)
    first = (
        event(-3, 0, "order_placed", order="o0", package_id="p", targets=[{"ecu": "body", "version": "1.5.0"}]),
        event(-2, S, "component_result", order="o0", ecu="body", result_code=1200, version="1.5.0", text=""),
        event(-1, S, "order_closed", order="o0", status="success"),
    )
    base = healthy()
    runs = tuple(sorted((*base.executions.items, v.ran(S // 2, between, "A")), key=lambda run: run.t_ns))
    record = replace(base, executions=runs, server_events=(*first, *base.server_events.items))
    assert truthful(record).verdict is Verdict.PASS
    later = truthful(replace(body_falls_back(record), server_events=(
        *record.server_events.items, inventory(30, 9 * S, "1.0.0", "2.0.0"))))  # fmt: skip
    assert (later.verdict, later.blame) == (Verdict.FAIL, "agent")
    assert later.sentence.startswith("order o1 was closed as a success")


def test_an_execution_in_the_instant_of_a_boot_comes_after_it() -> None:
    base = healthy()
    record = replace(
        base,
        boots=(*base.boots.items, v.boot(9 * S, "body", "boot_manager")),
        executions=(*base.executions.items, v.ran(9 * S, OLD["body"], "A")),
    )
    assert truthful(record).sentence.startswith("body reads '2.0.0' but executes '1.0.0'")


@pytest.mark.parametrize(("bank", "held"), [("A", "1.0.0"), ("B", "2.0.0"), ("C", "2.0.0")])
def test_what_runs_on_trial_is_read_in_its_bank_or_taken_from_the_order(bank: str, held: str) -> None:
    gateway = v.dump("gateway", {"A": OLD["gateway"], "B": NEW["gateway"]}, floor=2, trial=bank)
    found = truthful(replace(healthy(), flash=(gateway,)))
    assert found.sentence == f"success was reported, but gateway still runs {held} on trial and will fall back"
