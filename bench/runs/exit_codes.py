"""Exit codes (`docs/contracts.md`): of several the first of 2, 1, 3, 4; that of a signal is `STOP`'s."""

from __future__ import annotations

from collections.abc import Iterable

from bench.core.stop import SIGNAL_CODE
from bench.oracle.result import Verdict

AS_EXPECTED, FAILED, INPUT, EQUIPMENT, INCONCLUSIVE = 0, 1, 2, 3, 4
_STRONGEST_FIRST = (INPUT, FAILED, EQUIPMENT, INCONCLUSIVE)


def strongest(codes: Iterable[int]) -> int:
    """Return the code that counts of several; that of a signal comes before all others."""
    given = set(codes)
    by_signal = max(given, default=AS_EXPECTED)
    if by_signal > SIGNAL_CODE:
        return by_signal
    return next((code for code in _STRONGEST_FIRST if code in given), AS_EXPECTED)


def code_of(verdict: Verdict, *, as_expected: bool) -> int:
    """Return the exit code of one run."""
    if as_expected:
        return AS_EXPECTED
    if verdict is Verdict.EQUIPMENT_ERROR:
        return EQUIPMENT
    return INCONCLUSIVE if verdict is Verdict.INCONCLUSIVE else FAILED
