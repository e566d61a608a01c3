"""Whether the car may be programmed now: asked of the application only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bench.flasher.checks import check_status
from bench.flasher.errors import FlasherError, NegativeResponse, PreconditionsNotMet
from bench.flasher.services import session_control, start_routine
from bench.flasher.task import At, Pause, Task, Turn, noted
from bench.wire.uds import Nrc


@dataclass(frozen=True, slots=True)
class CheckPreconditions(Task):
    """31 01 of the routine that says what is not met: after its status, one byte for each condition.

    What is not met is waited out, `again` times more (None: as often as the recipe says), then PreconditionsNotMet.
    """

    again: int | None = None

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        # In a bootloader no application runs that could be disturbed, and it may not know the routine.
        if at.job.in_bootloader:
            return at.over(notes=(noted("preconditions_left_out", counted=False, because="the bootloader answers"),))
        routine_id = at.recipe.routines.check_preconditions
        assert routine_id is not None, "the recipe was checked: a step has its routine"
        return at.request(self, start_routine(routine_id))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        rules, routine_id = at.recipe.preconditions, at.recipe.routines.check_preconditions
        assert routine_id is not None, "the recipe was checked: a step has its routine"
        if len(value) < 2:
            check_status(routine_id, value, at.recipe.check)
        if not (unmet := tuple(value[1:])):
            return at.over()
        left = rules.tries - 1 if self.again is None else self.again
        if not left:
            return at.fail(PreconditionsNotMet(unmet, tuple(rules.meaning(condition) for condition in unmet)))
        return at.over(Pause(rules.pause_ms), CheckPreconditions(left - 1))

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`: 0x7F says that the functional 10 03, whose answer is suppressed, did not reach this ECU."""
        if isinstance(error, NegativeResponse) and error.nrc == Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION:
            return at.over(ExtendedByAddress(), _SecondTime(self.again), notes=(noted("extended_by_address"),))
        return at.fail(error)


@dataclass(frozen=True, slots=True)
class _SecondTime(CheckPreconditions):
    """The same, of an ECU that has been told its session: a refusal counts now."""

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        return at.fail(error)


@dataclass(frozen=True, slots=True)
class ExtendedByAddress(Task):
    """10 03 to this ECU alone, with an answer."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.request(self, session_control(at.recipe.sessions.extended))
