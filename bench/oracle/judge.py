"""The verdict on a run: every invariant in order, then the rules of docs/contracts.md."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from bench.core.records import RunRecord
from bench.oracle.invariants.authentic import authentic
from bench.oracle.invariants.bootable import bootable
from bench.oracle.invariants.live import live
from bench.oracle.invariants.silent import silent
from bench.oracle.invariants.tidy import tidy
from bench.oracle.invariants.truthful import truthful
from bench.oracle.invariants.whole import whole
from bench.oracle.result import Invariant, InvariantVerdict, RunVerdict, Verdict

INVARIANTS: Mapping[Invariant, Callable[[RunRecord], InvariantVerdict]] = {
    Invariant.BOOTABLE: bootable,
    Invariant.AUTHENTIC: authentic,
    Invariant.WHOLE: whole,
    Invariant.TRUTHFUL: truthful,
    Invariant.LIVE: live,
    Invariant.TIDY: tidy,
    Invariant.SILENT: silent,
}
"""In the order of docs/contracts.md."""


def judge(record: RunRecord, demanded: Sequence[Invariant]) -> RunVerdict:
    """Return the verdict on a run of which `demanded` is asked; all seven are judged and shown.

    It fails when any invariant failed, is inconclusive when a demanded one that could be observed came out
    neither passed nor failed or when `bootable` was not observed, else it passes.
    """
    verdicts = tuple(invariant(record) for invariant in INVARIANTS.values())
    return sum_up(verdicts, demanded)


def sum_up(verdicts: tuple[InvariantVerdict, ...], demanded: Sequence[Invariant]) -> RunVerdict:
    """Apply the rules of docs/contracts.md to the verdicts on the invariants."""
    not_observed = tuple(v.id for v in verdicts if v.id in demanded and v.verdict is Verdict.NOT_OBSERVED)
    failures = [v for v in verdicts if v.verdict is Verdict.FAIL]
    if failures:
        blame = next((v.blame for v in failures if v.blame is not None), None)
        return RunVerdict(Verdict.FAIL, not_observed, blame, verdicts)
    for kind in (Verdict.EQUIPMENT_ERROR, Verdict.INCONCLUSIVE):
        stopped = next((v for v in verdicts if v.id in demanded and v.verdict is kind), None)
        if stopped is not None:
            return RunVerdict(kind, not_observed, stopped.blame, verdicts)
    observed = any(v.id is Invariant.BOOTABLE and v.verdict is Verdict.PASS for v in verdicts)
    return RunVerdict(Verdict.PASS if observed else Verdict.INCONCLUSIVE, not_observed, None, verdicts)
