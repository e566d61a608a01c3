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
QUESTIONS = {
    Invariant.BOOTABLE: "Does every ECU boot?",
    Invariant.AUTHENTIC: "Did only signed images run?",
    Invariant.WHOLE: "Is the running image complete?",
    Invariant.TRUTHFUL: "Does the server know the truth?",
    Invariant.LIVE: "Was the target reached in time?",
    Invariant.TIDY: "Was everything put back?",
    Invariant.SILENT: "Was nothing erased too early?",
}


def instant(t_ns: int) -> str:
    """Return seconds of the run with microseconds: `1.234567 s`."""
    return f"{t_ns // NS_PER_S}.{t_ns % NS_PER_S // NS_PER_US:06d} s"


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


class Headline(NamedTuple):
    """The banner: big word, sign, tone (a CSS class), expectation, one sentence."""

    word: str
    sign: str
    tone: str
    expectation: str
    sentence: str


def headline(run: Run) -> Headline:
    """Return the banner of a run."""
    caught = run.as_expected and run.verdict is Verdict.FAIL
    tone = "caught" if caught else run.verdict.value
    if not run.as_expected and run.verdict is Verdict.PASS:
        tone = "fail"
    return Headline(VERDICT_WORDS[run.verdict], SIGNS[run.verdict], tone, expectation(run), _sentence(run))


def _sentence(run: Run) -> str:
    failed = [item for item in run.invariants if item.verdict is Verdict.FAIL]
    if failed:
        return f"{failed[0].id.value}: {failed[0].sentence}"
    unclear = [i for i in run.invariants if i.verdict in (Verdict.INCONCLUSIVE, Verdict.EQUIPMENT_ERROR)]
    if unclear:
        return f"{unclear[0].id.value}: {unclear[0].sentence}"
    held = sum(item.verdict is Verdict.PASS for item in run.invariants)
    if not run.invariants:
        return "No invariant was judged."
    if held == len(run.invariants):
        return f"All {held} invariants hold."
    return f"{held} of {len(run.invariants)} invariants hold; the others were not observed."
