"""What the ECU says of itself: before a job, after it, and when it has failed."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from typing import Any

from bench.flasher.belief import belief_of, belief_silent
from bench.flasher.errors import (
    FlasherError,
    ImageDoesNotRun,
    ImageMismatch,
    NegativeResponse,
    ProtocolViolation,
    UdsError,
    VersionMismatch,
)
from bench.flasher.known import identifiers, identity_of, tells_version
from bench.flasher.notes import JobNote, VersionSeen
from bench.flasher.preflight import check_identity
from bench.flasher.services import ecu_reset, read_did
from bench.flasher.state import JobState, Stage
from bench.flasher.steps.resetting import LookForReset
from bench.flasher.task import At, Pause, Task, Turn, noted
from bench.flasher.values import EcuIdentity
from bench.wire.uds import Nrc


@dataclass(frozen=True, slots=True)
class _WhoAnswers(Task):
    """22 of every identifier by which the recipe knows an ECU, one after the other; in application and bootloader."""

    values: tuple[str, ...] = ()

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return self._ask(at)

    def _ask(self, at: At) -> Turn:
        known = identifiers(at.recipe)
        if len(self.values) == len(known):
            return self.read(at, identity_of(at.recipe, at.plan.software.software_id, self.values))
        return at.request(self, read_did(known[len(self.values)].did))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        return self._taken(at, identifiers(at.recipe)[len(self.values)].decoded(value))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`: a bootloader has no application's identifiers."""
        # 0x31 alone means "no such identifier here" (ISO 14229-1, 0x22): nothing else tells who answers.
        absent = isinstance(error, NegativeResponse) and error.nrc == Nrc.REQUEST_OUT_OF_RANGE
        if absent and identifiers(at.recipe)[len(self.values)].of_application:
            return self._taken(at, "")
        return self.unread(at, error)

    def _taken(self, at: At, value: str) -> Turn:
        return replace(self, values=(*self.values, value))._ask(at)

    @abstractmethod
    def read(self, at: At, identity: EcuIdentity) -> Turn:
        """Return what is done once it is known who answers."""

    def unread(self, at: At, error: FlasherError) -> Turn:
        """Return what is done when nobody says it."""
        return at.fail(error)


@dataclass(frozen=True, slots=True)
class Identify(_WhoAnswers):
    """Who answers, before anything is done to it: ImageMismatch when the image is made for other hardware."""

    def read(self, at: At, identity: EcuIdentity) -> Turn:
        """See `_WhoAnswers`."""
        note = noted("identified", counted=False, ecu_is=identity)
        try:
            check_identity(at.plan.ecu, at.plan.software, identity)
        except ImageMismatch as mismatch:
            # Afterwards an ECU with another hardware id than before is lying.
            return at.fail(_lies(mismatch) if at.job.touched else mismatch)
        job = replace(at.job, in_bootloader=identity.in_bootloader, runs_target=_runs_target(at, identity))
        return at.over(job=job, notes=(note,))


def _lies(mismatch: ImageMismatch) -> ProtocolViolation:
    return ProtocolViolation(f"the ECU says {mismatch.what} {mismatch.allowed} now, it said {mismatch.image}")


def _runs_target(at: At, identity: EcuIdentity) -> bool:
    """Return whether the ECU runs what this job has committed: older bytes may bear the same version."""
    return at.job.stage >= Stage.COMMITTED and tells_version(at.recipe) and _is_target(at, identity)


def _is_target(at: At, identity: EcuIdentity) -> bool:
    wanted = at.plan.software
    return (identity.software_id, identity.version) == (wanted.software_id, wanted.version)


@dataclass(frozen=True, slots=True)
class VerifyVersion(_WhoAnswers):
    """22 F188 and F189 until the ordered version runs; VersionMismatch when something else stays."""

    until_ns: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        until_ns = at.after_ms(at.recipe.timing.reboot_wait_ms) if self.until_ns is None else self.until_ns
        return VerifyVersion(until_ns=until_ns)._ask(at)

    def read(self, at: At, identity: EcuIdentity) -> Turn:
        """See `_WhoAnswers`."""
        found, seen = identity.version, (VersionSeen(identity.version),)
        job = replace(at.job, found_version=found)
        # Without any identifier that tells what runs: that somebody answers is all there is to see.
        if not tells_version(at.recipe) or _is_target(at, identity):
            return at.over(job=job, notes=seen)
        return self._again(at, VersionMismatch(at.plan.software.version, found), job, *seen)

    def unread(self, at: At, error: FlasherError) -> Turn:
        """See `_WhoAnswers`."""
        return self._again(at, error, at.job)

    def _again(self, at: At, error: FlasherError, job: JobState, *notes: JobNote) -> Turn:
        assert self.until_ns is not None, "it began"
        if not isinstance(error, UdsError | VersionMismatch):
            return at.fail(error, *notes, job=job)
        if at.now_ns < self.until_ns:
            notes = (*notes, noted("reboot_poll", problem=error))
            pause = Pause(at.recipe.timing.reboot_poll_ms)
            return at.over(pause, VerifyVersion(until_ns=self.until_ns), job=job, notes=notes)
        # Another version runs: then there was a boot, the reset was made, and the image is the reason.
        if isinstance(error, VersionMismatch) and not isinstance(error, ImageDoesNotRun) and not error.found:
            return at.over(LookForReset(error), job=job, notes=notes)
        return at.fail(error, *notes, job=job)


@dataclass(frozen=True, slots=True)
class ReadBack(Task):
    """22 of every identifier of `dids.read_back`, each an event of the report; one that is refused is noted too."""

    done: int = 0

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        wanted = tuple(at.recipe.dids.read_back.values())
        return at.request(self, read_did(wanted[self.done])) if self.done < len(wanted) else at.over()

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        return self._next(at, value=value.hex())

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        return self._next(at, nrc=f"0x{error.nrc:02X}") if isinstance(error, NegativeResponse) else at.fail(error)

    def _next(self, at: At, **said: str) -> Turn:
        name, did = list(at.recipe.dids.read_back.items())[self.done]
        note = noted("read_back", counted=False, identifier=name, did=f"0x{did:04X}", **said)
        return at.over(ReadBack(self.done + 1), notes=(note,))


# After a failure ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LeaveProgramming(Task):
    """11 01, best effort: an ECU left in its programming session stays without application until S3 has run out (ISO
    14229-2); it starts its application if it has one."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, ecu_reset())

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        del value
        return at.over(Pause(at.recipe.timing.reboot_settle_ms))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        note = noted("undo_failed", step="reset", error=error)
        return at.over(Pause(at.recipe.timing.reboot_settle_ms), notes=(note,))


@dataclass(frozen=True, slots=True)
class Believe(_WhoAnswers):
    """What the ECU is seen to be; it is given the time of a reboot to answer."""

    until_ns: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        until_ns = at.after_ms(at.recipe.timing.reboot_wait_ms) if self.until_ns is None else self.until_ns
        return Believe(until_ns=until_ns)._ask(at)

    def read(self, at: At, identity: EcuIdentity) -> Turn:
        """See `_WhoAnswers`."""
        belief = belief_of(identity, runs_target=_runs_target(at, identity), erased=at.job.erased)
        return replace(at.over(), belief=belief)

    def unread(self, at: At, error: FlasherError) -> Turn:
        """See `_WhoAnswers`."""
        assert self.until_ns is not None, "it began"
        if at.now_ns >= self.until_ns:
            return replace(at.over(), belief=belief_silent(error, erased=at.job.erased))
        note = noted("reboot_poll", problem=error)
        return at.over(Pause(at.recipe.timing.reboot_poll_ms), Believe(until_ns=self.until_ns), notes=(note,))
