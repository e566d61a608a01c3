"""How a run ended: quiet, by its limit, or with a part that crashed."""

from __future__ import annotations

from types import ModuleType

from bench.core.records import Crash, RunRecord
from bench.oracle.judge import judge
from bench.oracle.result import Invariant, Verdict
from tests.oracle.oracle_vectors import S, live, replace, tidy

ALL = tuple(Invariant)
SAFETY = (Invariant.BOOTABLE, Invariant.AUTHENTIC, Invariant.WHOLE, Invariant.SILENT)


def test_run_that_ended_by_its_limit_is_not_live(healthy: RunRecord) -> None:
    record = replace(healthy, ended_by="limit")
    found = live(record)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "never became quiet" in found.sentence
    assert judge(record, ALL).verdict is Verdict.INCONCLUSIVE
    assert judge(record, SAFETY).verdict is Verdict.PASS


def test_limit_hides_no_failure(refused: RunRecord) -> None:
    assert live(replace(refused, ended_by="limit", expects_update=True)).verdict is Verdict.FAIL


def crashed(record: RunRecord, part: str) -> RunRecord:
    crash = Crash(9 * S, part, "ValueError: what is this")
    return replace(record, ended_by="crash", crash=crash)


def test_crash_of_a_simulated_part_proves_nothing(healthy: RunRecord) -> None:
    found = judge(crashed(healthy, "body"), ALL)
    assert (found.verdict, found.blame) == (Verdict.INCONCLUSIVE, "bench")


def test_crash_does_not_hide_a_failure_that_was_proven_before(v: ModuleType, healthy: RunRecord) -> None:
    late = crashed(replace(healthy, http=(v.http(v.PACKAGE, t_ns=5 * S),)), "body")
    found = judge(late, ALL)
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")


def test_agent_that_crashes_is_not_live(healthy: RunRecord) -> None:
    found = live(crashed(healthy, "agent"))
    assert (found.verdict, found.blame) == (Verdict.FAIL, "agent")
    assert "ValueError" in found.sentence
    assert judge(crashed(healthy, "agent"), ALL).verdict is Verdict.FAIL


def test_what_the_crash_cut_short_is_no_failure(v: ModuleType, healthy: RunRecord) -> None:
    talk = v.Talk(7 * S)
    talk.to_all("288301")
    off = replace(healthy, frames=(*healthy.frames.items, *talk.frames))
    assert tidy(off).verdict is Verdict.FAIL
    assert tidy(crashed(off, "body")).verdict is Verdict.INCONCLUSIVE
