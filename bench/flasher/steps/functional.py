"""Before and after programming: what goes to every ECU of the bus, so that a bootloader that knows none of it is not
disturbed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.flasher.errors import FlasherError, NegativeResponse
from bench.flasher.recipe import Recipe, Step
from bench.flasher.services import (
    DISABLE_RX_AND_TX,
    DTC_SETTING_OFF,
    DTC_SETTING_ON,
    ENABLE_RX_AND_TX,
    Call,
    functional_communication,
    functional_dtc_setting,
    functional_session,
)
from bench.flasher.task import At, Prepare, Restore, Task, Turn, noted
from bench.wire.uds import SUPPRESS

OFF: Mapping[Step, Callable[[Recipe], bytes]] = {
    Step.EXTENDED_SESSION: lambda recipe: functional_session(recipe.sessions.extended),
    Step.DTC_OFF: lambda _recipe: functional_dtc_setting(DTC_SETTING_OFF),
    Step.COMMUNICATION_OFF: lambda _recipe: functional_communication(DISABLE_RX_AND_TX),
}
"""10 03; 85 02, so that silence on the bus does not become a DTC; 28 03 01, so that the bus belongs to the download.
85 02 before 28 03: the other way round, partners would miss frames while they still store that."""
ON: Mapping[Step, Callable[[Recipe], bytes]] = {
    Step.COMMUNICATION_ON: lambda _recipe: functional_communication(ENABLE_RX_AND_TX),
    Step.DTC_ON: lambda _recipe: functional_dtc_setting(DTC_SETTING_ON),
    Step.DEFAULT_SESSION: lambda recipe: functional_session(recipe.sessions.default),
}
"""28 00 01, 85 01, 10 01."""
UNDONE_BY: Mapping[Step, Step] = {
    Step.EXTENDED_SESSION: Step.DEFAULT_SESSION,
    Step.DTC_OFF: Step.DTC_ON,
    Step.COMMUNICATION_OFF: Step.COMMUNICATION_ON,
}


@dataclass(frozen=True, slots=True)
class SwitchOff(Task):
    """A functional, suppressed request to everybody; by the ECU's own address while others are being programmed."""

    step: Step

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        undone_by = UNDONE_BY[self.step]
        return at.ask(self, Prepare(OFF[self.step](at.recipe), (undone_by, ON[undone_by](at.recipe))))

    def answered(self, at: At, value: Any) -> Turn:
        """See `Task`."""
        return at.over() if value else at.over(ByAddress(OFF[self.step](at.recipe)))


@dataclass(frozen=True, slots=True)
class ByAddress(Task):
    """A functional request to one ECU alone, with an answer; a bootloader that knows none of it may refuse."""

    payload: bytes

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        request = bytes((self.payload[0], self.payload[1] & ~SUPPRESS)) + self.payload[2:]
        note = noted("prepared_by_address", counted=False, request=request.hex(" "))
        return at.request(self, Call(request, request[1:2], _form_unchecked), note)

    def failed(self, at: At, error: FlasherError) -> Turn:
        """See `Task`."""
        if isinstance(error, NegativeResponse):
            return at.over(notes=(noted("preparation_refused", counted=False, error=error),))
        return at.fail(error)


@dataclass(frozen=True, slots=True)
class SwitchOn(Task):
    """A functional request that takes one of `SwitchOff` back, unless others are at work."""

    step: Step

    def begin(self, at: At) -> Turn:
        """See `Task`."""
        return at.ask(self, Restore(self.step, ON[self.step](at.recipe)))


def _form_unchecked(response: Any) -> None:
    """Take any positive answer: nothing in it is needed."""
    del response
