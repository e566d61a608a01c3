"""After the download: the ECU's own checks, and the bank that is to boot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.flasher.checks import check_status
from bench.flasher.errors import CheckFailed, FlasherError, ImageDoesNotRun, NegativeResponse
from bench.flasher.recipe import Step
from bench.flasher.services import start_routine
from bench.flasher.task import At, Task, Turn


def _begin(task: Task, at: At, routine_id: int | None) -> Turn:
    assert routine_id is not None, "the recipe was checked: a step has its routine"
    return at.request(task, start_routine(routine_id))


def _status(at: At, routine_id: int | None, record: bytes) -> None:
    assert routine_id is not None, "the recipe was checked: a step has its routine"
    check_status(routine_id, record, at.recipe.check)


@dataclass(frozen=True, slots=True)
class CheckMemory(Task):
    """31 01 of the routine that verifies hash and signature and then marks the image valid.

    Asked again of an image that was started and did not run, it tells a damaged image, which a new download cures, from
    one that crashes, which it does not: ImageDoesNotRun when nothing is wrong with it and it had its starts.
    """

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return _begin(self, at, at.recipe.routines.check_memory)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        _status(at, at.recipe.routines.check_memory, value)
        # Whole and started often enough: it crashes. Sent again it would be the same bytes.
        if at.job.restarts > at.recipe.retries.restart:
            return at.fail(_does_not_run(at, f"it was started {at.job.restarts} times"))
        return at.over(job=at.job.checked(needs_activation=Step.ACTIVATE in at.recipe.steps))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        if isinstance(error, CheckFailed):
            return at.fail(error, job=at.job.damaged())
        if isinstance(error, NegativeResponse) and at.job.restarts:
            return at.fail(_does_not_run(at, f"the ECU does not check it again: {error}"))
        return at.fail(error)


@dataclass(frozen=True, slots=True)
class CheckDependencies(Task):
    """31 01 FF01 (checkProgrammingDependencies): the ECU's parts fit together, and it would start them.

    ImageDoesNotRun when it says no of an image that it checked and that was started: it has seen it crash.
    """

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return _begin(self, at, at.recipe.routines.check_dependencies)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        _status(at, at.recipe.routines.check_dependencies, value)
        return at.over()

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        if isinstance(error, CheckFailed) and at.job.restarts:
            return at.fail(_does_not_run(at, str(error)))
        return at.fail(error)


@dataclass(frozen=True, slots=True)
class Activate(Task):
    """31 01 of the routine that makes the programmed bank the one to boot on trial."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return _begin(self, at, at.recipe.routines.activate)

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        _status(at, at.recipe.routines.activate, value)
        return at.over(job=at.job.committed())


def _does_not_run(at: At, why: str) -> ImageDoesNotRun:
    return ImageDoesNotRun(at.plan.software.version, at.job.found_version, why)
