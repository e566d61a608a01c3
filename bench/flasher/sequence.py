"""Programs one ECU by its recipe, from whatever state it is in, with every retry bounded and counted.

What is to be done next is decided by `bench.flasher.flash_state`; here it is done.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bench.core.clock import Clock
from bench.core.points import Points
from bench.flasher.affected import AffectedBuses, BusGroups
from bench.flasher.belief import Belief
from bench.flasher.client import perform
from bench.flasher.credentials import load_identity
from bench.flasher.errors import FlasherError, FlashFailed, ImageMismatch
from bench.flasher.exchange import Listen, Send
from bench.flasher.exchange import Pause as ExchangePause
from bench.flasher.flash_state import AS_IT_WAS, Action, Answered, Event, Failed, FlashState, FlashTurn, Phase, begin
from bench.flasher.group import SharedLink
from bench.flasher.key_helpers import without_blocking
from bench.flasher.key_maker import key_for
from bench.flasher.parts_fit import check_parts
from bench.flasher.preflight import check_recipe, check_software
from bench.flasher.recipe import Recipe
from bench.flasher.report import Reporter
from bench.flasher.retrying import lasts
from bench.flasher.software import Job
from bench.flasher.state import FRESH, JobState, KeepState, keep_nothing
from bench.flasher.task import (
    EnterProgramming,
    Keep,
    LeaveBuses,
    MakeKey,
    Pack,
    Plan,
    PowerCycle,
    Prepare,
    Rest,
    Restore,
    Silence,
)
from bench.flasher.values import FlashReport, Progress, ProgressCallback, Tally
from bench.ports.diagnostics import DiagLink, FunctionalLink, SupplySwitch


def no_progress(progress: Progress) -> None:
    """Tell nobody."""
    del progress


async def flash_ecu(
    job: Job,
    link: DiagLink,
    functional: FunctionalLink,
    recipe: Recipe,
    clock: Clock,
    points: Points,
    progress: ProgressCallback = no_progress,
    buses: AffectedBuses | None = None,
    *,
    supply: SupplySwitch | None = None,
    state: JobState = FRESH,
    keep: KeepState = keep_nothing,
) -> FlashReport:
    """Program one ECU and return when the new version was read back and the bus is as it was.

    `state` is what an earlier job for the same image left (`FlashFailed.state`): what it did is not done again.
    `keep` stores what another life of the tester would need of it, as soon as it changed.

    The ECU may run its application or its bootloader, or be dead for a while. ImageMismatch before anything was
    done to it; FlashFailed when every try is used up (or trying is pointless), after what was switched off has been
    switched on again as far as the ECU listens. `buses` are those that the job disturbs, its ECU's own unless given;
    jobs that share one switch it on again when the last of them ends.
    """
    parts = (buses or BusGroups().affected(functional), recipe, clock, points, progress)
    run = FlashRun(job, link, *parts, supply=supply, state=state, keep=keep)
    return await run.flash()


class FlashRun:
    """One job under way; what it did and what it believes of the ECU can be asked at any time."""

    def __init__(
        self,
        job: Job,
        link: DiagLink,
        buses: AffectedBuses,
        recipe: Recipe,
        clock: Clock,
        points: Points,
        progress: ProgressCallback = no_progress,
        *,
        supply: SupplySwitch | None = None,
        state: JobState = FRESH,
        keep: KeepState = keep_nothing,
    ) -> None:
        """Check the image against the recipe: ImageMismatch when they do not belong together."""
        self.recipe, self.clock = recipe, clock
        check_recipe(recipe)
        software = job.software(recipe)
        check_software(job.ecu, software, recipe)
        self._plan = Plan(
            job.ecu,
            software,
            recipe,
            clock.now_ns(),
            clock.epoch_ns,
            can_power_cycle=supply is not None,
            identity=None if recipe.authentication is None else load_identity(recipe.authentication),
        )
        check_parts(self._plan)
        self._link, self._buses, self._supply, self._keep = SharedLink(link, buses.home, clock), buses, supply, keep
        self._reporter = Reporter(job.ecu, software.size_bytes, clock, points, progress)
        self._before = state
        self._state: FlashState | None = None
        self._begun_ns = 0
        """When what the job asked for last was begun."""
        self._ended: FlashReport | None = None

    # What is known of it ------------------------------------------------------------------------------

    @property
    def state(self) -> FlashState | None:
        """The job as a value; None before it began."""
        return self._state

    def continuing(self, now_ns: int) -> tuple[object, ...]:
        """Return what decides how the job goes on: its value, its buses, what other jobs sent during its wait."""
        state = None if self._state is None else self._state.state(now_ns)
        return state, self._link.state(self._begun_ns), self._buses.state(now_ns)

    @property
    def belief(self) -> Belief:
        """What the ECU is believed to be."""
        if self._state is None:
            return AS_IT_WAS
        error = self._state.error
        return self._state.belief if error is None else replace(self._state.belief, cause_lasts=lasts(error))

    @property
    def tally(self) -> Tally:
        """See `group.Member`."""
        return self._reporter.tally

    @property
    def try_started_ns(self) -> int:
        """See `group.Member`."""
        return 0 if self._state is None else self._state.try_started_ns

    @property
    def asking(self) -> bool:
        """See `group.Member`."""
        return self._state is not None and self._state.asking

    @property
    def pending(self) -> bool:
        """See `group.Member`."""
        return self._state is not None and self._state.pending

    def report(self) -> FlashReport:
        """Return what was done so far, or in all once the job has ended."""
        return self._ended or self._reporter.report()

    # The job ------------------------------------------------------------------------------------------

    async def flash(self) -> FlashReport:
        """See `flash_ecu`; cancelled, it restores what it can, and what it believes stands in `belief`."""
        self._plan = replace(self._plan, started_ns=self.clock.now_ns())
        self._reporter.begin()
        self._buses.join(self)
        try:
            await self._drive(begin(self._plan, self._before, self.clock.now_ns()))
        except asyncio.CancelledError:
            assert self._state is not None, "it began"
            # Cancelled once more, or while it restores: who asks twice wants out.
            if self._state.phase is not Phase.LEAVING:
                await self._drive(self._state.cancelled(self.clock.now_ns()))
            self._ended = self.report()
            raise
        assert self._state is not None, "it began"
        error = self._state.error
        # Nothing was done to the ECU: the mismatch itself is the answer, no belief about an ECU is needed.
        if isinstance(error, ImageMismatch) and not self._state.job.touched:
            raise error
        self._ended = self.report()
        if error is not None:
            ecu, state = self._plan.ecu, self._state
            raise FlashFailed(ecu, state.name, error, self.belief, self._ended, state.job.next_job()) from error
        return self._ended

    async def _drive(self, turn: FlashTurn) -> None:
        """Do what the job asks for until it has ended."""
        try:
            while True:
                state = self._take(turn)
                await self._buses.keep_alive(self, wanted=state.kept_alive)
                if state.action is None:
                    return
                turn = state.next(await self._perform(state.action))
        finally:
            await self._buses.keep_alive(self, wanted=False)

    def _take(self, turn: FlashTurn) -> FlashState:
        asked = self.asking
        self._state = turn.state
        self._reporter.take(turn.notes)
        if asked and not self.asking:
            self._buses.go_on()
        return turn.state

    # What a job asks for ------------------------------------------------------------------------------

    async def _perform(self, action: Action) -> Event:
        """Do one thing and say what came of it."""
        self._begun_ns = self.clock.now_ns()
        if isinstance(action, Send | Listen | ExchangePause):
            return await perform(action, self._link, self.clock, self._link.occupied_since)
        try:
            value = await self._done(action)
        except FlasherError as error:
            return Failed(self.clock.now_ns(), error)
        return Answered(self.clock.now_ns(), value)

    async def _done(self, ask: Action) -> object:
        """Do what a task asks for, and return what it gave."""
        match ask:
            case Prepare(payload, undo):
                return await self._buses.prepare(self, payload, undo)
            case Silence(until_ns):
                return await self._keep_silent(until_ns)
            case Pack(piece):
                return await without_blocking(self.clock, lambda: self._plan.stream(piece))
            case MakeKey(seed):
                assert self.recipe.security is not None, "the recipe was checked: the step has its table"
                return await key_for(self.recipe.security, seed, self.clock)
        await self._effect(ask)
        return None

    async def _effect(self, ask: Action) -> None:
        """Do what gives nothing."""
        match ask:
            case Rest(until_ns):
                await self._sleep_until(until_ns)
            case Restore(step, payload):
                await self._buses.restore(self, step, payload)
            case EnterProgramming():
                await self._buses.enter_programming(self)
            case LeaveBuses():
                await self._buses.leave(self)
            case Keep(durable):
                await self._keep(durable)
            case PowerCycle(off_ms):
                assert self._supply is not None, "asked for only where the bench switches the supply"
                await self._supply.power_cycle(self._plan.ecu, off_ms)
            case _:
                raise AssertionError(f"nobody does {ask}")

    async def _sleep_until(self, until_ns: int) -> None:
        await self.clock.sleep_ns(until_ns - self.clock.now_ns())

    async def _keep_silent(self, until_ns: int) -> bool:
        """Send no tester present on the ECU's bus; returns False at once when other jobs need it there."""
        bus = self._buses.home
        if not bus.is_alone(self):
            return False
        bus.quiet = True
        try:
            await self._sleep_until(until_ns)
        finally:
            bus.quiet = False
        return True
