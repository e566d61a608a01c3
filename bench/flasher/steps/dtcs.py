"""DTCs over an update: what the update itself brought about is cleared, what was there before is the car's and stays.

A workshop reads a DTC that an update did not cause for as long as it is stored: with it go its snapshot and its
counters (ISO 14229-1, 0x14 clears them along). So the job reads the DTCs before it does anything (19 02), and clears
afterwards: all groups (14 FFFFFF) when there were none, else each new one by itself, for groupOfDTC may also be a
single DTC (ISO 14229-1:2020, clause 12.2, from memory). What nobody read is not cleared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.flasher import services
from bench.flasher.errors import FlasherError, TransportError, UdsError
from bench.flasher.recipe import Step
from bench.flasher.task import At, Task, Turn, noted

FAILED_ONCE = 0x2D
"""testFailed, pendingDTC, confirmedDTC, testFailedSinceLastClear (ISO 14229-1, annex D.2). The other bits say whether a
test has run, and that an ECU has a DTC at all that it could set."""


@dataclass(frozen=True, slots=True)
class NoteDtcs(Task):
    """Read which DTCs the ECU has, once for the job and before it is touched; best effort.

    Once the ECU was reset, silenced or erased, its own DTCs could not be told from the car's any more.
    """

    again: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        if at.job.touched or at.job.dtcs_before is not None or Step.CLEAR_DTCS not in at.recipe.steps:
            return at.over()
        return at.request(self, services.read_dtcs(FAILED_ONCE))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        return at.over(job=at.job.knowing_dtcs(value))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        left = _tries_left(at, error, self.again)
        return at.over(NoteDtcs(left - 1)) if left else _given_up(at, error, "dtcs_not_read")


@dataclass(frozen=True, slots=True)
class ClearDtcs(Task):
    """14 of what the ECU noted in the course of the job, and of nothing else; best effort.

    The new software runs already, and an ECU that refuses or is silent just now must not be programmed again for that.
    """

    again: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        # After 85 01: cleared before, what the ECU still misses would be stored again at once.
        before = at.job.dtcs_before
        if before is None:
            because = "the ECU did not tell which ones it had before"
            return at.over(notes=(noted("dtcs_kept", counted=False, because=because),))
        if not before:
            return at.over(_Clear(services.ALL_DTCS))
        return at.request(self, services.read_dtcs(FAILED_ONCE))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        before = at.job.dtcs_before or ()
        kept = tuple(
            noted("dtc_kept", counted=False, dtc=f"{dtc:06X}", because="the ECU had it before")
            for dtc in value
            if dtc in before
        )
        return at.over(*(_Clear(dtc) for dtc in value if dtc not in before), notes=kept)

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        left = _tries_left(at, error, self.again)
        return at.over(ClearDtcs(left - 1)) if left else _given_up(at, error, "dtcs_not_read")


@dataclass(frozen=True, slots=True)
class _Clear(Task):
    """14 of one DTC or of all groups."""

    group: int
    again: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, services.clear_dtcs(self.group))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        left = _tries_left(at, error, self.again)
        return at.over(_Clear(self.group, left - 1)) if left else _given_up(at, error, "dtcs_not_cleared")


def _tries_left(at: At, error: FlasherError, again: int | None) -> int:
    """Return how often a request may be made again: only one that had no answer is."""
    if not isinstance(error, TransportError):
        return 0
    return at.recipe.retries.step if again is None else again


def _given_up(at: At, error: FlasherError, name: str) -> Turn:
    if not isinstance(error, UdsError):
        return at.fail(error)
    return at.over(notes=(noted(name, counted=False, error=error),))
