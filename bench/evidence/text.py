"""How reports print instants, durations, sizes and verdicts."""

from __future__ import annotations

from typing import NamedTuple

from bench.core.clock import NS_PER_MS, NS_PER_S, NS_PER_US
from bench.evidence.contract import Run
from bench.oracle.result import Invariant, Verdict

VERDICT_WORDS = {
    Verdict.PASS: "PASS",
    Verdict.FAIL: "FAIL",
    Verdict.INCONCLUSIVE: "INCONCLUSIVE",
    Verdict.NOT_OBSERVED: "NOT OBSERVED",
    Verdict.EQUIPMENT_ERROR: "EQUIPMENT ERROR",
}
SIGNS = {
    Verdict.PASS: "✓",
    Verdict.FAIL: "✗",
    Verdict.INCONCLUSIVE: "?",
    Verdict.NOT_OBSERVED: "–",
    Verdict.EQUIPMENT_ERROR: "!",
}
REAL_TIME = "realtime"
"""How the last part of an id begins where time is real."""
QUESTIONS = {
    Invariant.BOOTABLE: "Does every ECU boot?",
    Invariant.AUTHENTIC: "Did only signed images run?",
    Invariant.WHOLE: "Is the running image complete?",
    Invariant.TRUTHFUL: "Does the server know the truth?",
    Invariant.LIVE: "Was the target reached in time?",
    Invariant.TIDY: "Was everything put back?",
    Invariant.SILENT: "Was nothing erased too early?",
    Invariant.NEIGHBOURS: "Was everybody else left alone?",
}


def instant(t_ns: int) -> str:
    """Return seconds of the run with microseconds: `1.234567 s`."""
    return f"{t_ns // NS_PER_S}.{t_ns % NS_PER_S // NS_PER_US:06d} s"


def minute(utc: str) -> str:
    """Return an ISO 8601 instant of the machine's date as `2031-02-03 04:05:06`."""
    return utc[:19].replace("T", " ")


def duration(length_ns: int) -> str:
    """Return a length of time with three significant digits or so: `412 ms`, `3.41 s`, `2 min 05 s`."""
    if length_ns < NS_PER_MS:
        return f"{length_ns / NS_PER_US:.0f} µs"
    if length_ns < NS_PER_S:
        return f"{length_ns / NS_PER_MS:.0f} ms"
    if length_ns < 100 * NS_PER_S:
        return f"{length_ns / NS_PER_S:.3g} s"
    minutes, seconds = divmod(length_ns // NS_PER_S, 60)
    return f"{minutes} min {seconds:02d} s"


def size(size_bytes: int) -> str:
    """Return a size in bytes or KiB."""
    return f"{size_bytes:,} B" if size_bytes < 10_240 else f"{size_bytes / 1024:,.1f} KiB"


def percent(share: float | None) -> str:
    """Return a share of 1 as a percentage."""
    return "–" if share is None else f"{share * 100:.1f} %"


def expectation(run: Run) -> str:
    """Return what was expected and whether it came, in the words that every table uses."""
    if run.expected.verdict is not Verdict.FAIL:
        return "as expected" if run.as_expected else f"expected: {run.expected.verdict.value.replace('_', ' ')}"
    return "expected to fail: caught" if run.as_expected else "expected to fail: not caught"


def caught(run: Run) -> bool:
    """Return whether the run failed as its scenario expects: a planted defect that was found."""
    return run.as_expected and run.verdict is Verdict.FAIL


def fault_points(run: Run) -> tuple[str, ...]:
    """Return the fault points of a run in the scenario's order; RUN joins several by `,`."""
    return tuple(run.fault.point.split(",")) if run.fault else ()


def is_real_time(run: Run) -> bool:
    """Return whether the run went by the machine's own clock: its id then names no golden hash that repeats."""
    return run.id.partition("+")[0].rpartition(".")[2].startswith(REAL_TIME)


class Headline(NamedTuple):
    """The banner: big word, sign, tone (a CSS class), expectation, one sentence, and more when several failed."""

    word: str
    sign: str
    tone: str
    expectation: str
    sentence: str
    details: tuple[str, ...]


def headline(run: Run) -> Headline:
    """Return the banner of a run."""
    tone = "caught" if caught(run) else run.verdict.value
    if not run.as_expected and run.verdict is Verdict.PASS:
        tone = "fail"
    return Headline(VERDICT_WORDS[run.verdict], SIGNS[run.verdict], tone, expectation(run), *_sentences(run))


def _sentences(run: Run) -> tuple[str, tuple[str, ...]]:
    """Return what the banner says, and a line for each failed invariant when there are several."""
    failed = [item for item in run.invariants if item.verdict is Verdict.FAIL]
    if len(failed) > 1:
        names = ", ".join(item.id.value for item in failed)
        return f"{len(failed)} invariants failed: {names}.", tuple(f"{x.id.value}: {x.sentence}" for x in failed)
    return _sentence(run), ()


def _sentence(run: Run) -> str:
    failed = next((item for item in run.invariants if item.verdict is Verdict.FAIL), None)
    if failed:
        return f"{failed.id.value}: {failed.sentence}"
    unclear = [i for i in run.invariants if i.verdict in (Verdict.INCONCLUSIVE, Verdict.EQUIPMENT_ERROR)]
    if unclear:
        return f"{unclear[0].id.value}: {unclear[0].sentence}"
    held = sum(item.verdict is Verdict.PASS for item in run.invariants)
    if not run.invariants:
        return "No invariant was judged."
    if held == len(run.invariants):
        return f"All {held} invariants hold."
    return f"{held} of {len(run.invariants)} invariants hold; the others were not observed."
