"""What every job does between its steps and at its end."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.flasher.task import At, Keep, LeaveBuses, Task, Turn


@dataclass(frozen=True, slots=True)
class KeepState(Task):
    """Have what must outlive the tester stored, if it changed, before anything else is done at the ECU."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        durable = at.job.durable
        return at.over() if durable == at.job.kept else at.ask(self, Keep(durable))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        del value
        return at.over(job=replace(at.job, kept=at.job.durable))


@dataclass(frozen=True, slots=True)
class Leave(Task):
    """Switch on what this job was the last to need switched off."""

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.ask(self, LeaveBuses())
