"""Not watched is not well: sources held against each other, gaps, losses, and what a bench could have seen."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

import pytest

from bench.core.records import FlashOperation, PowerRecord, RunRecord, Watch, Watched
from bench.oracle.judge import judge
from bench.oracle.result import Invariant, RunVerdict, Verdict
from tests.oracle.oracle_vectors import MS, S, authentic, bootable, live, replace, silent, tidy, truthful

ALL = tuple(Invariant)


def of(found: RunVerdict, invariant: Invariant) -> Verdict:
    return next(v.verdict for v in found.invariants if v.id is invariant)


def test_both_ecus_changed_and_nothing_was_heard_on_the_bus(healthy: RunRecord) -> None:
    found = judge(replace(healthy, frames=()), ALL)
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert [of(found, i) for i in (Invariant.AUTHENTIC, Invariant.TIDY, Invariant.SILENT)] == [Verdict.INCONCLUSIVE] * 3


def test_image_that_is_newly_executed_was_sent_by_somebody(v: ModuleType, healthy: RunRecord) -> None:
    kept = tuple(f for f in healthy.frames.items if f.can_id not in (v.REQUEST["body"], v.RESPONSE["body"]))
    found = authentic(replace(healthy, frames=kept))
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert "body executes an image that no 0x36 brought" in found.sentence


def test_version_that_changed_without_a_block_is_noticed_where_executions_are_unseen(healthy: RunRecord) -> None:
    found = tidy(replace(healthy, frames=healthy.frames.items[:1], executions=None, boots=None))
    assert found.verdict is Verdict.INCONCLUSIVE


def test_flash_that_was_programmed_without_a_block_on_the_tap_is_inconclusive(
    v: ModuleType, refused: RunRecord
) -> None:
    written = FlashOperation(4 * S, "body", "program", "image:A", 0, 256)
    found = silent(replace(refused, flash_operations=(written,)))
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert "programmed" in found.sentence
    mark = replace(written, region="mark:A")
    assert silent(replace(refused, flash_operations=(mark,))).verdict is Verdict.PASS, "an ECU sets its marks itself"


def test_flash_that_was_programmed_behind_a_block_passes(v: ModuleType, healthy: RunRecord) -> None:
    written = FlashOperation(5 * S + MS, "body", "program", "image:A", 0, 256)
    assert silent(replace(healthy, flash_operations=(written,))).verdict is Verdict.PASS


def test_ecu_that_answered_and_a_tap_that_carried_nothing(refused: RunRecord) -> None:
    found = silent(replace(refused, frames=()))
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert silent(refused).verdict is Verdict.PASS


def test_order_that_was_placed_is_in_the_log(healthy: RunRecord) -> None:
    record = replace(healthy, orders_placed=1)
    for judged in (truthful, live):
        assert judged(record).verdict is Verdict.PASS
        found = judged(replace(record, server_events=()))
        assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert truthful(replace(healthy, orders_placed=2)).verdict is Verdict.INCONCLUSIVE


def test_version_that_changed_without_a_delivery_is_inconclusive(healthy: RunRecord) -> None:
    quiet_bus = replace(healthy, http=(), frames=None)
    found = authentic(quiet_bus)
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert "no delivery" in found.sentence


def test_sessions_on_the_server_and_no_exchange_on_the_network(v: ModuleType, refused: RunRecord) -> None:
    session = v.event(9, 9 * S, "session_started", session="s1", alert="1201")
    record = replace(refused, server_events=(*refused.server_events.items, session))
    assert silent(record).verdict is Verdict.PASS
    assert silent(replace(record, http=())).verdict is Verdict.INCONCLUSIVE


def test_http_that_nobody_watched_is_not_observed(healthy: RunRecord) -> None:
    record = replace(healthy, http=None)
    assert silent(record).verdict is Verdict.NOT_OBSERVED
    assert authentic(record).verdict is Verdict.NOT_OBSERVED
    found = judge(record, ALL)
    assert (found.verdict, found.not_observed) == (Verdict.PASS, (Invariant.AUTHENTIC, Invariant.SILENT))


def test_ecu_that_boots_without_supply_makes_the_record_of_the_supply_worthless(healthy: RunRecord) -> None:
    off = PowerRecord(3 * S, "body", False, "cut")
    found = bootable(replace(healthy, power=(*healthy.power.items, off)))
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "body boots while its supply is recorded as off" in found.sentence
    assert bootable(replace(healthy, power=())).verdict is Verdict.INCONCLUSIVE
    assert bootable(replace(healthy, power=None)).verdict is not Verdict.FAIL


def gapped(record: RunRecord, name: str, *spans: tuple[int, int], lost: int = 0) -> RunRecord:
    source = getattr(record, name)
    return replace(record, **{name: Watched(source.items, spans, lost)})


@pytest.mark.parametrize(
    ("name", "judged"),
    [
        ("frames", authentic), ("frames", tidy), ("frames", silent), ("http", silent), ("executions", authentic),
        ("boots", bootable), ("power", bootable), ("server_events", truthful), ("server_events", live),
    ],
)  # fmt: skip
def test_gap_or_loss_in_a_source_makes_a_pass_inconclusive(
    healthy: RunRecord, name: str, judged: Callable[[RunRecord], object]
) -> None:
    end = healthy.ended_t_ns
    whole = gapped(healthy, name, (0, 4 * S), (4 * S, end))
    assert judged(whole).verdict is Verdict.PASS  # type: ignore[attr-defined]
    for record in (
        gapped(healthy, name, (0, 4 * S), (4 * S + 1, end)),
        gapped(healthy, name, (0, end), lost=1),
        gapped(healthy, name, (0, end - 1)),
    ):
        found = judged(record)
        assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")  # type: ignore[attr-defined]


def test_gap_of_another_channel_is_no_matter(healthy: RunRecord) -> None:
    span = ((0, healthy.ended_t_ns),)
    places = {"can0": Watch(span), "can1": Watch(span, lost=3)}
    source = Watched(healthy.frames.items, span, places=places)
    assert silent(replace(healthy, frames=source)).verdict is Verdict.PASS
    lost = Watched(healthy.frames.items, span, places={"can0": Watch(span, lost=3), "can1": Watch(span)})
    assert silent(replace(healthy, frames=lost)).verdict is Verdict.INCONCLUSIVE


def test_gap_hides_no_failure(v: ModuleType, healthy: RunRecord) -> None:
    late = replace(healthy, http=(v.http(v.PACKAGE, t_ns=5 * S),))
    assert silent(gapped(late, "frames", (0, S))).verdict is Verdict.FAIL


def test_what_this_bench_can_see_and_did_not_is_inconclusive(healthy: RunRecord) -> None:
    record = replace(healthy, executions=None)
    assert judge(record, ALL).verdict is Verdict.PASS
    could = replace(record, observable=frozenset({"executions"}))
    found = judge(could, ALL)
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert of(found, Invariant.WHOLE) is Verdict.INCONCLUSIVE
    assert judge(could, (Invariant.BOOTABLE, Invariant.SILENT)).verdict is Verdict.PASS
