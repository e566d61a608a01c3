"""What an ECU is believed to be after a job, and the only next step that cannot make it worse."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from bench.flasher.values import EcuIdentity


class EcuState(StrEnum):
    """What was seen last of an ECU."""

    UNTOUCHED = "untouched"
    NEW_SOFTWARE = "new_software"
    STORED = "stored"
    """It took the software, passed the checks of the recipe, was reset and answers; what runs it does not tell."""
    UNCONFIRMED = "unconfirmed"
    OTHER_SOFTWARE = "other_software"
    BOOTLOADER = "bootloader"
    UNKNOWN = "unknown"
    """It answers, and nothing that it says tells whether that is its bootloader or which software."""
    SILENT = "silent"


@dataclass(frozen=True, slots=True)
class Belief:
    """An ECU's state with what it rests on; `erased` says whether an erase was asked for in this job, `cause_lasts`
    whether the same job would end the same way."""

    state: EcuState
    seen: str
    erased: bool
    cause_lasts: bool = False

    def __str__(self) -> str:
        return self.seen

    @property
    def next_step(self) -> str:
        """Return the only safe next step, as one sentence."""
        # Silent and erased is no ECU to give up: its bootloader may only wait for its supply. Whoever unplugs it now
        # makes it a brick.
        if self.state is EcuState.SILENT and self.erased:
            return _ERASED_AND_SILENT
        return _OTHER_CAUSE.get(self.state, _NEXT_STEPS[self.state]) if self.cause_lasts else _NEXT_STEPS[self.state]


_NEXT_STEPS = {
    EcuState.UNTOUCHED: "Nothing was changed. Remove the named cause, then start the same job again.",
    EcuState.NEW_SOFTWARE: "The new software runs. Nothing is left to be flashed.",
    EcuState.STORED: "The software is stored. The ECU does not tell what it runs: look at what it does.",
    EcuState.UNCONFIRMED: "The new software runs and was not confirmed: it may be given up at a later boot. Remove the "
    "named cause, then start the same job again.",
    EcuState.OTHER_SOFTWARE: "The ECU runs software that was there before. The same job may be started again.",
    EcuState.BOOTLOADER: "Leave the supply on and start the same job again: it goes on from the bootloader.",
    EcuState.UNKNOWN: "The ECU answers and does not tell what it runs: leave the supply on and start the same "
    "job again.",
    EcuState.SILENT: "Check supply, wiring and bus, then read the identification before anything else.",
}
_OTHER_CAUSE = {
    EcuState.OTHER_SOFTWARE: "The ECU runs software that was there before. The same job would end the same way: "
    "change the image, the key or the recipe as the named cause says.",
    EcuState.BOOTLOADER: "Leave the supply on: the bootloader waits for an image. The same job would end the same way: "
    "change the image, the key or the recipe as the named cause says.",
}
_ERASED_AND_SILENT = (
    "Check supply, wiring and bus, keep the ECU connected, then start the same job again: the erase had begun, and "
    "its bootloader waits for an image."
)


def belief_untouched(seen: str) -> Belief:
    """Return the belief about an ECU that no request reached that could have changed it."""
    return Belief(EcuState.UNTOUCHED, seen, erased=False)


def belief_of(identity: EcuIdentity, *, runs_target: bool, erased: bool) -> Belief:
    """Return the belief about an ECU that answered."""
    if not identity.tells_version:
        state = EcuState.UNKNOWN
    elif identity.in_bootloader:
        state = EcuState.BOOTLOADER
    else:
        state = EcuState.NEW_SOFTWARE if runs_target else EcuState.OTHER_SOFTWARE
    return Belief(state, str(identity), erased)


def belief_unconfirmed(identity: EcuIdentity, *, runs_target: bool, gave_up: bool) -> Belief:
    """Return the belief about an ECU whose new software was not confirmed; `gave_up`: it was seen to run it no more."""
    believed = belief_of(identity, runs_target=runs_target, erased=True)
    if believed.state is EcuState.NEW_SOFTWARE:
        return replace(believed, state=EcuState.UNCONFIRMED)
    return replace(believed, cause_lasts=gave_up)


def belief_silent(problem: object, *, erased: bool) -> Belief:
    """Return the belief about an ECU that does not answer."""
    return Belief(EcuState.SILENT, f"silent ({problem})", erased)
