"""The reset that starts what was programmed, by the means that the recipe names, until the ECU obeys one of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.flasher.errors import FlasherError, NegativeResponse, TransportError, UdsError, VersionMismatch
from bench.flasher.notes import JobNote
from bench.flasher.recipe import ResetMeans, Step
from bench.flasher.services import SessionTiming, ecu_reset, read_did, session_control
from bench.flasher.task import Ask, At, Pause, PowerCycle, Request, Silence, Task, Turn, noted
from bench.wire.uds import ResetType, Sid

NO_MEANS_LEFT = "NO_RESET"
"""Name of the TransportError when no means of the recipe can be used here."""
_KINDS: Mapping[ResetMeans, ResetType] = {
    ResetMeans.HARD_RESET: ResetType.HARD,
    ResetMeans.KEY_OFF_ON_RESET: ResetType.KEY_OFF_ON,
    ResetMeans.SOFT_RESET: ResetType.SOFT,
}
_WITHOUT_PROOF = (ResetMeans.DEFAULT_SESSION, ResetMeans.SESSION_TIMEOUT)
"""Who left the programming session by 10 01 or by time-out may have stayed in the bootloader without a boot: ISO
14229-1 does not ask for one, so that proves nothing."""


@dataclass(frozen=True, slots=True)
class Reset(Task):
    """11 01, or the next means of the recipe when the ECU refuses; the last refusal but one is not the last word.

    An ECU may refuse a reset for reasons of the moment (ISO 14229-1, 0x11: conditionsNotCorrect), while what it was
    given stands checked in its flash: to send that again would only wear it. Without an answer a reset is believed
    unless the ECU is seen to be in the programming session still: it may well have restarted before it could answer.
    NegativeResponse, the first one, when every means was refused; TransportError.
    """

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        # Believed before the request goes out: without an answer the ECU may have booted the image, and it must not be
        # erased for that.
        return _Means(None).begin(replace(at, job=at.job.committed()))


@dataclass(frozen=True, slots=True)
class _Means(Task):
    """The means that is next (`JobState.resets_used`); `refused` is the first refusal of this step."""

    refused: NegativeResponse | None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        means = self._means(at)
        if means is None:
            # another try begins with the first means again
            error = self.refused or TransportError(NO_MEANS_LEFT, "no means of a reset can be used here")
            return at.fail(error, job=replace(at.job, resets_used=0))
        if means is ResetMeans.POWER_CYCLE and not at.plan.can_power_cycle:
            return self._left_out(at, means, "this bench does not switch the ECU's supply")
        return at.ask(self, _ask(at, means))

    def _means(self, at: At) -> ResetMeans | None:
        left = at.recipe.reset.means[at.job.resets_used :]
        return left[0] if left else None

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        means = self._means(at)
        if means is ResetMeans.SESSION_TIMEOUT and not value:
            # Tester present is functional: to withhold it from one ECU is to withhold it from all.
            return self._left_out(at, means, "other jobs on this bus need tester present")
        return _obeyed(at, None)

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        means = self._means(at)
        if isinstance(error, TransportError):
            note = noted("reset_unanswered", counted=False, means=means, error=error.name)
            return _obeyed(at, error, note)
        if not isinstance(error, NegativeResponse):
            return at.fail(error)
        note = noted("reset_refused", means=means, nrc=f"0x{error.nrc:02X}")
        return self._next(at.changed(reset_nrc=error.nrc), self.refused or error, note)

    def _left_out(self, at: At, means: ResetMeans, because: str) -> Turn:
        return self._next(at, self.refused, noted("reset_left_out", counted=False, means=means, because=because))

    def _next(self, at: At, refused: NegativeResponse | None, *notes: JobNote) -> Turn:
        turn = _Means(refused).begin(at.changed(resets_used=at.job.resets_used + 1))
        return replace(turn, notes=(*notes, *turn.notes))


def _ask(at: At, means: ResetMeans) -> Ask:
    """Return what is asked for, by each means."""
    if means is ResetMeans.POWER_CYCLE:
        return PowerCycle(at.recipe.reset.off_ms)
    if means is ResetMeans.SESSION_TIMEOUT:
        # Until S3Server has run out (ISO 14229-2): the server then leaves its session by itself. Others lose their
        # sessions too, and with them what 0x85 switched off, which is why this comes last.
        return Silence(at.after_ms(at.recipe.reset.s3_ms + at.recipe.timing.tester_present_interval_ms))
    if means is ResetMeans.DEFAULT_SESSION:
        # By the ECU's own address: who leaves the programming session starts the application (ISO 14229-1, 0x10).
        return Request(session_control(at.recipe.sessions.default))
    return Request(ecu_reset(_KINDS[means]))


def _obeyed(at: At, unanswered: TransportError | None, *notes: JobNote) -> Turn:
    """Return the turn after a means that was answered, or not refused at least."""
    then = Pause(at.recipe.timing.reboot_settle_ms), _Restarted(unanswered)
    # The default session has no P2* of its own: what 10 02 reported held for the bootloader's session only.
    return replace(at.over(*then, notes=notes), timing=SessionTiming(0, 0))


@dataclass(frozen=True, slots=True)
class _Restarted(Task):
    """Believe the reset, unless it was not answered and the ECU is seen in the programming session still."""

    unanswered: TransportError | None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        if self.unanswered is None:
            return at.over(job=at.job.restarted())
        return at.request(self, read_did(at.recipe.dids.active_session))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`: no boot begins in the programming session."""
        if _is_programming(at, value):
            assert self.unanswered is not None, "it is asked of that case only"
            return at.fail(self.unanswered)
        return at.over(job=at.job.restarted())

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        return at.over(job=at.job.restarted()) if isinstance(error, UdsError) else at.fail(error)


@dataclass(frozen=True, slots=True)
class LookForReset(Task):
    """Whether a reset that the ECU answered, and after which its bootloader answers, was never made: then the next
    means has its turn. With none left a refusal of 0x11 is the cause that is worth naming: NegativeResponse.
    """

    mismatch: VersionMismatch

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        if at.recipe.reset.means[at.job.resets_used] in _WITHOUT_PROOF:
            return self._not_made(at)
        return at.request(self, read_did(at.recipe.dids.active_session))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`: no boot begins in the programming session, so who is found in it was not reset."""
        return self._not_made(at) if _is_programming(at, value) else at.fail(self.mismatch)

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        return at.fail(self.mismatch if isinstance(error, UdsError) else error)

    def _not_made(self, at: At) -> Turn:
        means, job = at.recipe.reset.means, at.job.not_restarted()
        note = noted("reset_not_made", means=means[at.job.resets_used])
        if job.resets_used < len(means):
            return Turn(job, goto=Step.RESET, notes=(note,))
        error: FlasherError = self.mismatch
        if job.reset_nrc:
            error = NegativeResponse(Sid.ECU_RESET, job.reset_nrc, bytes((Sid.ECU_RESET,)))
        return at.fail(error, note, job=replace(job, resets_used=0))


def _is_programming(at: At, session: bytes) -> bool:
    return session == bytes((at.recipe.sessions.programming,))
