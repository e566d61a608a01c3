"""Not watched is not well: sources held against each other, gaps, losses, and what a bench could have seen."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from bench.core.records import FlashOperation, PowerRecord, RunRecord, Watch, Watched
from bench.oracle.judge import judge
from bench.oracle.result import Invariant, InvariantVerdict, RunVerdict, Verdict
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


def test_only_data_bring_an_image(v: ModuleType, healthy: RunRecord) -> None:
    """Somebody asked the body for its version; that is no 0x36."""
    kept = [f for f in healthy.frames.items if f.can_id not in (v.REQUEST["body"], v.RESPONSE["body"])]
    talk = v.Talk(4 * S)
    talk.ask("body", bytes.fromhex("22F189"), "62F189312E302E30")
    found = authentic(replace(healthy, frames=(*kept, *talk.frames)))
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")
    assert "body executes an image that no 0x36 brought" in found.sentence


def by_place(record: RunRecord, name: str, items: tuple[Any, ...], *places: str) -> RunRecord:
    """A source that was watched at these places, and nowhere else."""
    span = ((0, record.ended_t_ns),)
    return replace(record, **{name: Watched(items, span, places={place: Watch(span) for place in places})})


def test_contradictions_are_looked_for_where_somebody_watched(healthy: RunRecord, refused: RunRecord) -> None:
    found = silent(by_place(refused, "frames", (), "can0"))
    assert (found.verdict, "no frame was heard on can0" in found.sentence) == (Verdict.INCONCLUSIVE, True)
    off = (*healthy.power.items, PowerRecord(3 * S, "body", False, "cut"))
    found = bootable(by_place(healthy, "power", off, "body", "gateway"))
    assert (found.verdict, "boots while its supply" in found.sentence) == (Verdict.INCONCLUSIVE, True)
    assert "boots while its supply" not in bootable(by_place(healthy, "power", off, "gateway", "can0")).sentence


def test_a_boot_in_the_instant_of_a_cut_may_have_begun(v: ModuleType, healthy: RunRecord) -> None:
    for cut_ns, contradicts in ((9 * S, False), (9 * S - 1, True)):
        record = replace(
            healthy,
            power=(*healthy.power.items, PowerRecord(cut_ns, "body", False, "cut")),
            boots=(*healthy.boots.items, v.boot(9 * S, "body", "application", "A")),
        )
        assert ("boots while its supply" in bootable(record).sentence) is contradicts


def test_what_was_missed_is_told_with_its_figures(healthy: RunRecord) -> None:
    end = healthy.ended_t_ns
    found = silent(gapped(healthy, "frames", (0, 4 * S), (4 * S + 1, end), lost=3))
    assert found.sentence == "frames were watched with gaps"
    assert [item.text for item in found.evidence] == [
        "frames: nobody looked from 4.000000000 s to 4.000000001 s",
        "frames: 3 messages were lost",
    ]
    log = truthful(gapped(healthy, "server_events", (0, end), lost=1))
    assert log.evidence[0].text == "server events: 1 messages were lost"
    places = {"can0": Watch(((0, end),), lost=2)}
    source = Watched(healthy.frames.items, ((0, end),), places=places)
    assert silent(replace(healthy, frames=source)).sentence == "frames of can0 were watched with gaps"


def test_a_source_must_be_watched_from_the_first_event_on_and_read_ones_only_be_whole(healthy: RunRecord) -> None:
    end = healthy.ended_t_ns
    late = replace(healthy, power=tuple(replace(p, t_ns=S) for p in healthy.power.items), executions=(), boots=())
    assert silent(gapped(healthy, "frames", (1, end))).sentence == "frames were watched with gaps"
    assert "frames were watched" not in silent(gapped(late, "frames", (S, end))).sentence
    assert silent(gapped(late, "frames", (S + 1, end))).sentence == "frames were watched with gaps"
    assert tidy(gapped(healthy, "readings", (end, end))).verdict is Verdict.PASS
    assert tidy(gapped(healthy, "readings", (end, end), lost=1)).verdict is Verdict.INCONCLUSIVE


def test_an_order_less_in_the_log_is_told_with_both_figures(healthy: RunRecord) -> None:
    found = truthful(replace(healthy, orders_placed=2))
    assert found.sentence == "the bench placed 2 orders, the server's log has 1"
    assert found.evidence[0].text == "2 orders placed, 1 in the log, 8 events in all"


def test_what_a_bench_overlooked_is_named(healthy: RunRecord) -> None:
    could = replace(healthy, executions=None, observable=frozenset({"executions", "flash_operations"}))
    found = next(v for v in judge(could, ALL).invariants if v.id is Invariant.WHOLE)
    assert found.sentence.startswith("this bench can see")
    assert "executions" in found.sentence


def test_data_of_the_very_instant_brought_what_is_programmed(v: ModuleType, refused: RunRecord) -> None:
    talk = v.Talk(4 * S)
    talk.ask("body", b"\x36\x01\xaa", "7601")
    sent_ns = talk.frames[0].t_ns
    for t_ns, contradicts in ((sent_ns, False), (sent_ns - 1, True), (sent_ns + 1, False)):
        written = FlashOperation(t_ns, "body", "program", "image:A", 0, 1)
        found = silent(replace(refused, frames=talk.frames, flash_operations=(written,)))
        assert ("no 0x36 to it was heard" in found.sentence) is contradicts


@pytest.mark.parametrize(("name", "judged"), [("boots", bootable), ("executions", authentic), ("power", bootable)])
def test_gap_at_one_ecu_is_told_with_its_name(
    healthy: RunRecord, name: str, judged: Callable[[RunRecord], InvariantVerdict]
) -> None:
    span, items = ((0, healthy.ended_t_ns),), getattr(healthy, name).items
    for place, verdict in (("gateway", Verdict.INCONCLUSIVE), ("stranger", Verdict.PASS), ("can0", Verdict.PASS)):
        places = {each: Watch(span) for each in ("body", "gateway")} | {place: Watch(span, lost=1)}
        found = judged(replace(healthy, **{name: Watched(items, span, places=places)}))
        assert found.verdict is verdict
        if verdict is not Verdict.PASS:
            assert found.sentence == f"{name} of gateway were watched with gaps"
