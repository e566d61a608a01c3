"""Exit codes (`docs/contracts.md`): of several the first of 2, 1, 3, 4; that of a signal is `STOP`'s."""

from __future__ import annotations

from collections.abc import Iterable

from bench.oracle.result import RunResult, Verdict

AS_EXPECTED, FAILED, INPUT, EQUIPMENT, INCONCLUSIVE = 0, 1, 2, 3, 4
_STRONGEST_FIRST = (INPUT, FAILED, EQUIPMENT, INCONCLUSIVE)


def exit_code(results: Iterable[RunResult]) -> int:
    """Return the exit code of several runs."""
    codes = [_of(result) for result in results]
    return next((code for code in _STRONGEST_FIRST if code in codes), AS_EXPECTED)


def _of(result: RunResult) -> int:
    if result.as_expected:
        return AS_EXPECTED
    if result.verdict.verdict is Verdict.EQUIPMENT_ERROR:
        return EQUIPMENT
    if result.verdict.verdict is Verdict.INCONCLUSIVE:
        return INCONCLUSIVE
    return FAILED
