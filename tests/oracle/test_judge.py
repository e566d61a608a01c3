from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from bench.core.records import Crash, RunRecord
from bench.oracle.findings import EVIDENCE_LIMIT, bench, conclude, failed, passed, undecided, unseen
from bench.oracle.judge import RULES, judge, sum_up
from bench.oracle.result import Evidence, Invariant, InvariantVerdict, Verdict
from tests.oracle.oracle_vectors import replace

ALL = tuple(Invariant)
SAFETY = (Invariant.BOOTABLE, Invariant.AUTHENTIC, Invariant.WHOLE, Invariant.SILENT)


def verdicts(**changed: Verdict) -> tuple[InvariantVerdict, ...]:
    return tuple(InvariantVerdict(i, changed.get(i.value, Verdict.PASS), "", (), f"blame {i.value}") for i in Invariant)


def test_registry_holds_all_eight_in_order() -> None:
    assert tuple(RULES) == ALL


def test_healthy_and_refused_runs_pass_everything(healthy: RunRecord, refused: RunRecord) -> None:
    for record in (healthy, refused):
        found = judge(record, ALL)
        assert (found.verdict, found.not_observed, found.blame) == (Verdict.PASS, (), None)
        assert [v.verdict for v in found.invariants] == [Verdict.PASS] * 8


def test_judging_twice_gives_the_same_words(healthy: RunRecord) -> None:
    assert judge(healthy, ALL) == judge(replace(healthy), ALL)


def test_any_failure_fails_the_run_whatever_is_demanded() -> None:
    found = sum_up(verdicts(live=Verdict.FAIL, bootable=Verdict.NOT_OBSERVED), SAFETY)
    assert (found.verdict, found.blame, found.not_observed) == (Verdict.FAIL, "blame live", (Invariant.BOOTABLE,))


def test_undecided_counts_only_when_demanded() -> None:
    undecided_truth = verdicts(truthful=Verdict.INCONCLUSIVE)
    assert sum_up(undecided_truth, SAFETY).verdict is Verdict.PASS
    assert sum_up(undecided_truth, ALL).verdict is Verdict.INCONCLUSIVE


def test_not_observed_stands_beside_a_pass() -> None:
    found = sum_up(verdicts(whole=Verdict.NOT_OBSERVED, live=Verdict.NOT_OBSERVED), SAFETY)
    assert (found.verdict, found.not_observed) == (Verdict.PASS, (Invariant.WHOLE,))


@pytest.mark.parametrize("verdict", [Verdict.NOT_OBSERVED, Verdict.INCONCLUSIVE])
def test_bootable_must_be_observed_even_when_not_demanded(verdict: Verdict) -> None:
    assert sum_up(verdicts(bootable=verdict), ()).verdict is Verdict.INCONCLUSIVE


def test_equipment_error_goes_before_inconclusive() -> None:
    found = sum_up(verdicts(live=Verdict.EQUIPMENT_ERROR, whole=Verdict.INCONCLUSIVE), ALL)
    assert found.verdict is Verdict.EQUIPMENT_ERROR


EMPTY: dict[str, Any] = {
    "references": (), "faults": (), "power": (), "server_events": (), "http": (), "readings": (), "frames": None,
    "flash": None, "boots": None, "executions": None, "agent_files": None, "dtcs": None, "memory_before": None,
}  # fmt: skip


def no_ecus(record: RunRecord) -> RunRecord:
    return replace(record, layouts=())


def nothing_seen(record: RunRecord) -> RunRecord:
    return replace(record, **EMPTY)


def nothing_happened(record: RunRecord) -> RunRecord:
    seen: dict[str, Any] = dict.fromkeys(EMPTY, ())
    return replace(record, **seen)


@pytest.mark.parametrize("empty", [no_ecus, nothing_seen, nothing_happened])
def test_empty_records_never_pass_and_always_have_evidence(
    healthy: RunRecord, empty: Callable[[RunRecord], RunRecord]
) -> None:
    found = judge(empty(healthy), ALL)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert all(v.evidence and v.sentence for v in found.invariants)


def test_nothing_seen_passes_no_invariant(healthy: RunRecord) -> None:
    found = judge(nothing_seen(healthy), ALL)
    assert [v.id for v in found.invariants if v.verdict is Verdict.PASS] == []


def test_planted_flip_is_caught_by_authentic_and_whole(v: ModuleType, healthy: RunRecord) -> None:
    data = bytearray(v.NEW["body"].data)
    data[7] ^= 4
    flipped = replace(v.NEW["body"], data=bytes(data))
    executions = tuple(
        v.ran(e.t_ns, flipped, "A") if e.header == flipped.header else e for e in healthy.executions.items
    )
    flash = (v.dump("body", {"A": flipped}), *(healthy.flash.items)[1:])
    found = judge(replace(healthy, executions=executions, flash=flash), ALL)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "bootloader")
    assert [i.id for i in found.invariants if i.verdict is Verdict.FAIL] == [Invariant.AUTHENTIC, Invariant.WHOLE]


def test_worst_finding_decides_and_says_how_many_more() -> None:
    findings = [passed("a"), unseen("b"), undecided("c"), failed("d", bench("x")), failed("e", blame="ecu")]
    found = conclude(Invariant.LIVE, findings, "fine")
    assert (found.verdict, found.sentence, found.blame) == (Verdict.FAIL, "d (and 1 more)", "ecu")
    assert [conclude(Invariant.LIVE, findings[:n], "fine").verdict for n in (1, 2, 3)] == [
        Verdict.PASS,
        Verdict.NOT_OBSERVED,
        Verdict.INCONCLUSIVE,
    ]


def test_evidence_is_never_missing_doubled_or_endless() -> None:
    assert conclude(Invariant.LIVE, [passed("a")], "fine").evidence == (Evidence("bench", "record", "fine"),)
    assert len(conclude(Invariant.LIVE, [passed("a", bench("x"), bench("x"))], "fine").evidence) == 1
    many = conclude(Invariant.LIVE, [passed("a", *(bench(str(n)) for n in range(99)))], "fine").evidence
    assert len(many) == EVIDENCE_LIMIT
    assert many[-1].text.startswith("76 further")


def test_what_was_proven_in_the_instant_of_a_crash_counts(v: ModuleType, healthy: RunRecord) -> None:
    evil = replace(v.NEW["body"], header=v.header("body", "2.0.0", 2, v.NEW["body"].data, signer="attacker"))
    record = replace(healthy, executions=(*healthy.executions.items, v.ran(7 * v.S, evil, "A")))
    for crash_ns, verdict in ((7 * v.S, Verdict.FAIL), (7 * v.S - 1, Verdict.INCONCLUSIVE)):
        found = judge(replace(record, crash=Crash(crash_ns, "car", "ValueError: x")), ALL)
        assert found.verdict is verdict
