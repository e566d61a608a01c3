"""The buses that a job disturbs: the one on which its ECU is reached, and those on which frames go missing meanwhile.

An ECU that is programmed sends none of its cyclic frames, and a gateway carries none: partners on other buses miss
them just as those beside it do. So DTC setting and normal communication are switched off on each of these buses, kept
off by tester present there (S3, ISO 14229-2), and switched on again there, also when the job fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from bench.flasher.errors import TransportError
from bench.flasher.group import BusGroup, Member
from bench.flasher.recipe import Step
from bench.ports.diagnostics import FunctionalLink


class AffectedBuses:
    """What a job does on all its buses. `home` is where its ECU is reached: a failure there is the job's own.

    On the others nobody need answer: a bus on which nobody acknowledges has nobody who could miss a frame.
    """

    def __init__(self, home: BusGroup, elsewhere: Sequence[BusGroup] = ()) -> None:
        self.home = home
        self._elsewhere = tuple(group for group in elsewhere if group is not home)
        self._groups = (home, *self._elsewhere)
        self._leaving: tuple[tuple[BusGroup, dict[Step, bytes]], ...] = ()
        """Where this job still has to switch on again, the first of them now."""
        self._at = 0
        """On which of its buses a request of this job is under way."""
        self._heard = False
        """Whether the ECU's own bus got it."""

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them; shared buses stand in it whole."""
        leaving = tuple((self._groups.index(group), tuple(sorted(undo.items()))) for group, undo in self._leaving)
        return self._at, self._heard, leaving, tuple(group.state(now_ns) for group in self._groups)

    # Who is at work ---------------------------------------------------------------------------------

    def join(self, ctx: Member) -> None:
        """Count a job as at work on every bus until it leaves."""
        for group in self._groups:
            group.join(ctx)

    async def leave(self, ctx: Member) -> None:
        """End a job; what it was the last to need is switched on again, best effort, and failures are counted."""
        self._leaving = tuple((group, group.leave(ctx)) for group in self._groups)
        while self._leaving:
            group, undo = self._leaving[0]
            await group.switch_on_again(ctx, undo)
            self._leaving = self._leaving[1:]

    def go_on(self) -> None:
        """Let functional requests look again whether anybody is still being asked something."""
        for group in self._groups:
            group.go_on()

    async def keep_alive(self, ctx: Member, *, wanted: bool) -> None:
        """Have functional tester present sent on every bus, or no longer: else S3 runs out there and DTC setting is on
        again."""
        for group in self._groups:
            await group.keep_alive(ctx, wanted=wanted)

    # Before and after programming -------------------------------------------------------------------

    async def prepare(self, ctx: Member, payload: bytes, undo: tuple[Step, bytes]) -> bool:
        """Send a functional request on every bus, and remember what takes it back.

        While others are being programmed on the ECU's bus it is left out there, and False returned: the ECU must get it
        by its own address. On another bus it is left out then too, since whoever is programmed there has prepared that
        bus. TransportError when nobody acknowledges on the ECU's bus.
        """
        step, taken_back = undo
        # Noted before it is sent: a request whose confirmation was lost may have been obeyed.
        self.home.undo[step] = taken_back
        self._at = 0
        self._heard = await self.home.prepare(ctx, payload)
        for at, group in enumerate(self._elsewhere, 1):
            self._at = at
            group.undo[step] = taken_back
            try:
                await group.prepare(ctx, payload)
            # Nobody acknowledges there, so there is nobody who could miss a frame: no reason to give the job up.
            except TransportError as error:
                ctx.tally.note("other_bus_unprepared", request=payload.hex(" "), error=error)
        return self._heard

    async def enter_programming(self, ctx: Member) -> None:
        """Note that the job's ECU leaves its session for programming: from now on functional requests would hurt it."""
        for at, group in enumerate(self._groups):
            self._at = at
            await group.enter_programming(ctx)

    async def restore(self, ctx: Member, step: Step, payload: bytes) -> None:
        """Send what switches on again on every bus, unless others are at work there: then the last of them will."""
        self._at = 0
        await self.home.restore(ctx, step, payload)
        for at, group in enumerate(self._elsewhere, 1):
            self._at = at
            try:
                await group.restore(ctx, step, payload)
            except TransportError as error:
                ctx.tally.count("undo_failed", step=step, error=error)


class BusGroups:
    """The groups of one life of a tester, one for each functional link."""

    def __init__(self) -> None:
        self._groups: list[BusGroup] = []

    def of(self, link: FunctionalLink) -> BusGroup:
        """Return the group of a link; links are compared by identity."""
        known = next((group for group in self._groups if group.link is link), None)
        if known is None:
            known = BusGroup(link)
            self._groups.append(known)
        return known

    def affected(self, home: FunctionalLink, elsewhere: Sequence[FunctionalLink] = ()) -> AffectedBuses:
        """Return the buses of a job whose ECU is reached by `home`."""
        return AffectedBuses(self.of(home), [self.of(link) for link in elsewhere])
