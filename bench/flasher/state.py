"""What a job has brought about at its ECU so far, as values: all that decides what a try does next.

Nothing of it stands on the stack of a coroutine, so a try that comes later, or another job for the same image, goes on
from where the one before stopped.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, fields, replace
from enum import IntEnum
from typing import Any

from bench.flasher.values import NOTHING_STORED, Stored


class Stage(IntEnum):
    """How far the image of the job has come. Each stage holds until something of the image is erased again."""

    OPEN = 0
    """Not yet there as a whole, or not yet checked."""
    CHECKED = 1
    """The ECU verified hash and signature (31 01, check memory): it need not be sent again."""
    COMMITTED = 2
    """Any boot from now on may run it: checked, and activated where that is needed."""
    RESTARTED = 3
    """The ECU was reset after that, so it has been tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DurableState:
    """What a tester that loses power in the middle of a job must know when it comes back; the rest is asked again.

    An ECU does not tell how often an image of its was started and crashed, nor which of its DTCs an update brought
    about: whoever forgets the one sends the same image again, whoever forgets the other cannot tell his own from the
    car's.
    """

    stage: Stage = Stage.OPEN
    restarts: int = 0
    found_version: str = ""
    """What ran after the last reset in the place of the image; "" is the bootloader."""
    trusts_stored: bool = True
    """False once a check failed over what the ECU reported as stored: then everything is erased and sent again."""
    dtcs_before: tuple[int, ...] | None = None
    """The DTCs that the ECU had before anything was done to it; None while it has not told them."""

    def resumed(self) -> JobState:
        """Return the state in which another life of the tester goes on."""
        return JobState(**_durable_values(self))


KeepState = Callable[[DurableState], Awaitable[None]]
"""Stores what must outlive the tester; it is durable when the call is over."""


async def keep_nothing(state: DurableState) -> None:
    """Store nothing, for a tester that has no life after this one."""
    del state


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState(DurableState):
    """Where a job stands. `restarts` counts the resets that should have started the image, `resets_used` the means of
    a reset that the ECU refused or did not obey: the next one is asked for first."""

    resets_used: int = 0
    reset_nrc: int = 0
    """With which code the ECU refused 0x11 last; 0 when it did not."""
    download_restarts: int = 0
    touched: bool = False
    """Whether a request reached the ECU that could have changed it."""
    erased: bool = False
    """Whether an erase was asked for: what the ECU stored before may be gone."""
    in_bootloader: bool = False
    """Whether the bootloader answered when this try began."""
    runs_target: bool = False
    """Whether the ECU was found to run what this job has committed when this try began."""
    entered_programming: bool = False
    """Whether the ECU was told to leave its session for programming."""
    kept: DurableState | None = None
    """What was stored last for another life of the tester."""
    parts_done: tuple[int, ...] = ()
    """The places of parts that the ECU took and checked in this job."""
    stored: Stored = NOTHING_STORED
    """What the ECU reports that it has of this job's downloads."""
    refusals: frozenset[tuple[str, int, int]] = frozenset()
    """Step, service and code of what the ECU refused for good: a second time, it is believed."""

    @property
    def sends_image(self) -> bool:
        """Whether the image must still be sent: an ECU that checked it has it."""
        return self.stage is Stage.OPEN

    @property
    def durable(self) -> DurableState:
        """Return the part of the state that must outlive the tester."""
        return DurableState(**_durable_values(self))

    def writing(self) -> JobState:
        """Return the state once something of the image is erased or written anew: nothing before counts."""
        return replace(self, stage=Stage.OPEN, restarts=0, resets_used=0, reset_nrc=0, stored=NOTHING_STORED)

    def checked(self, *, needs_activation: bool) -> JobState:
        """Return the state after a check that was passed; a first one cannot take back a reset."""
        return replace(self, stage=max(self.stage, Stage.CHECKED if needs_activation else Stage.COMMITTED))

    def damaged(self) -> JobState:
        """Return the state after a check that failed: what the ECU stores is worth nothing."""
        return replace(self.writing(), trusts_stored=False, parts_done=())

    def committed(self) -> JobState:
        """Return the state once any boot may run the image."""
        return replace(self, stage=max(self.stage, Stage.COMMITTED))

    def restarted(self) -> JobState:
        """Return the state after a reset that the ECU obeyed."""
        return replace(self, stage=Stage.RESTARTED, restarts=self.restarts + 1)

    def not_restarted(self) -> JobState:
        """Return the state after a reset that was answered and not made: the image was not tried, and the next means of
        a reset has its turn."""
        return replace(self, stage=Stage.COMMITTED, restarts=self.restarts - 1, resets_used=self.resets_used + 1)

    def knowing_dtcs(self, dtcs: tuple[int, ...] | None) -> JobState:
        """Return the state once the ECU told which DTCs it has (None: it did not), before it was touched."""
        return replace(self, dtcs_before=dtcs)

    def next_job(self) -> JobState:
        """Return what another job for the same image begins with: it has done nothing itself yet."""
        undone = replace(self, touched=False, in_bootloader=False, runs_target=False, entered_programming=False)
        return replace(undone, resets_used=0, refusals=frozenset())


def _durable_values(state: DurableState) -> dict[str, Any]:
    return {each.name: getattr(state, each.name) for each in fields(DurableState)}


FRESH = JobState()
"""A job that has done nothing, at an ECU of which nothing is known."""
