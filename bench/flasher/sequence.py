"""Programs one ECU by its recipe, from whatever state it is in, with every retry bounded and counted."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from bench.core.clock import Clock
from bench.core.points import Points
from bench.flasher.affected import AffectedBuses, BusGroups
from bench.flasher.belief import Belief, EcuState, belief_of, belief_silent, belief_untouched
from bench.flasher.client import UdsClient
from bench.flasher.context import PHASES, FlashContext
from bench.flasher.dtcs import note_dtcs
from bench.flasher.errors import (
    CheckFailed,
    FlasherError,
    FlashFailed,
    ImageDoesNotRun,
    ImageMismatch,
    NegativeResponse,
    ProtocolViolation,
    TransportError,
    UdsError,
    VersionMismatch,
)
from bench.flasher.group import SharedLink
from bench.flasher.identity import identify
from bench.flasher.preflight import check_identity, check_job
from bench.flasher.recipe import Recipe, Step
from bench.flasher.resetting import was_not_made
from bench.flasher.services import ecu_reset
from bench.flasher.state import FRESH, JobState, KeepState, Stage, keep_nothing
from bench.flasher.steps import STEPS
from bench.flasher.tries import Tries
from bench.flasher.values import EcuIdentity, FlashJob, FlashReport, Progress, ProgressCallback, Tally
from bench.ports.diagnostics import DiagLink, FunctionalLink, SupplySwitch
from bench.wire.uds import Nrc, Sid

NAMED_BY_RECIPE = (Sid.SECURITY_ACCESS, Sid.ROUTINE_CONTROL, Sid.REQUEST_DOWNLOAD)
"""Services whose contents are the recipe's: levels, routine ids, addresses."""
NOT_KNOWN_HERE = (
    Nrc.SERVICE_NOT_SUPPORTED,
    Nrc.SUB_FUNCTION_NOT_SUPPORTED,
    Nrc.INCORRECT_LENGTH_OR_FORMAT,
    Nrc.REQUEST_OUT_OF_RANGE,
)
"""What an ECU answers to a request that it cannot serve, however often it comes."""
CERTIFICATE_REFUSED = range(Nrc.CERTIFICATE_TIME, Nrc.CERTIFICATE_INVALID + 1)
"""The codes of 0x29 about the tester's certificate (ISO 14229-1, annex A): it will be as bad the next time."""
DOWNLOADS = (Step.DOWNLOAD_IMAGE, Step.DOWNLOAD_HEADER, Step.PROGRAM_BLOCKS)
WRITING = (Step.ERASE, *DOWNLOADS)
CHECKING = (Step.CHECK_MEMORY, Step.PROGRAM_BLOCKS)


def no_progress(progress: Progress) -> None:
    """Tell nobody."""
    del progress


async def flash_ecu(
    job: FlashJob,
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
        job: FlashJob,
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
        tally = Tally(job.ecu, clock)
        shared = SharedLink(link, buses.home, clock)
        self.belief = belief_untouched("as it was: it was not touched")
        self._ended: FlashReport | None = None
        self._ctx = FlashContext(
            job=job,
            header=check_job(job, recipe),
            recipe=recipe,
            clock=clock,
            client=UdsClient(shared, recipe, clock, tally, shared.occupied_since),
            buses=buses,
            points=points,
            tally=tally,
            on_progress=progress,
            started_ns=clock.now_ns(),
            supply=supply,
            state=state,
            keep=keep,
            kept=state.durable,
        )

    async def flash(self) -> FlashReport:
        """See `flash_ecu`; cancelled, it restores what it can, and what it believes stands in `belief`."""
        ctx = self._ctx
        ctx.started_ns = ctx.clock.now_ns()
        ctx.buses.join(ctx)
        try:
            await _try_until_done(ctx)
        except asyncio.CancelledError:
            # A job that is cancelled (Ctrl-C, SIGTERM) has switched off what nobody else will switch on.
            await self._undo()
            self._ended = ctx.report()
            raise
        except FlasherError as error:
            await self._undo(touched=ctx.state.touched)
            # Nothing was done to the ECU: the mismatch itself is the answer, no belief about an ECU is needed.
            if isinstance(error, ImageMismatch) and not ctx.state.touched:
                raise
            self._ended = ctx.report()
            self.belief = replace(self.belief, cause_lasts=_lasts(error))
            raise FlashFailed(ctx.job.ecu, ctx.step, error, self.belief, self._ended, ctx.state.next_job()) from error
        running = f"running {ctx.job.software_id} {ctx.version}"
        self.belief = Belief(EcuState.NEW_SOFTWARE, running, erased=ctx.state.erased)
        await ctx.buses.leave(ctx)
        self._ended = ctx.report()
        return self._ended

    def report(self) -> FlashReport:
        """Return what was done so far, or in all once the job has ended."""
        return self._ended or self._ctx.report()

    async def _undo(self, *, touched: bool = True) -> None:
        """Switch on what was switched off, leave the programming session, and look what the ECU is now."""
        ctx = self._ctx
        await ctx.buses.leave(ctx)
        if not (touched and ctx.state.touched):
            self.belief = belief_untouched("silent or as it was: it was not touched")
            return
        # An ECU left in its programming session stays without application until S3 has run out (ISO 14229-2).
        if ctx.entered_programming:
            await _leave_programming(ctx)
        self.belief = await _believed(ctx)


# The job: whole tries -------------------------------------------------------------------------------


async def _try_until_done(ctx: FlashContext) -> None:
    retries = ctx.recipe.retries
    tries = Tries(retries.job - 1)
    while True:
        try:
            return await _try_once(ctx)
        except (UdsError, CheckFailed, VersionMismatch) as error:
            tries = tries.after(error, worth=not _is_final(ctx, error))
            ctx.tally.count("job_retry", step=ctx.step, error=error)
        # No tester present in this pause: an ECU that is stuck in a session falls back to its default one meanwhile.
        await ctx.pause_ms(retries.job_pause_ms)


async def _try_once(ctx: FlashContext) -> None:
    """Look who answers, then go through the recipe (or its end, when only the end is missing)."""
    ctx.try_started_ns = ctx.clock.now_ns()
    ctx.enter("identify", "pre")
    # An ECU that is served a physical request takes no functional one meanwhile (ISO 14229-1, one service at a time).
    async with ctx.buses.asking(ctx):
        identity = await identify(ctx.client, ctx.recipe)
        _check_identity(ctx, identity)
        await note_dtcs(ctx)
    await ctx.keep_state()
    ctx.tally.note("identified", ecu_is=identity)
    first = _first_step(ctx, identity)
    ctx.state = replace(ctx.state, in_bootloader=identity.in_bootloader, touched=True)
    async with ctx.buses.tester_present(ctx):
        await _go_through(ctx, first)


def _check_identity(ctx: FlashContext, identity: EcuIdentity) -> None:
    """ImageMismatch while the ECU is untouched; afterwards an ECU with another hardware id than before is lying."""
    try:
        check_identity(ctx.job, ctx.header, identity)
    except ImageMismatch as mismatch:
        if not ctx.state.touched:
            raise
        raise ProtocolViolation(
            f"the ECU says {mismatch.what} {mismatch.allowed} now, it said {mismatch.image}"
        ) from None


def _first_step(ctx: FlashContext, identity: EcuIdentity) -> int:
    """Return where a try begins: at the end when the ECU runs what this job has committed, else at the beginning."""
    if ctx.state.stage >= Stage.COMMITTED and _runs_target(ctx, identity):
        ctx.tally.count("resumed_after_check")
        return ctx.recipe.steps.index(Step.VERIFY_VERSION)
    if not ctx.state.sends_image:
        ctx.tally.count("image_kept", stage=ctx.state.stage.name.lower())
    return 0


def _is_final(ctx: FlashContext, error: UdsError | CheckFailed | VersionMismatch) -> bool:
    """Whether another try could only do harm or the same again."""
    # A failed erase may be the flash's mood of a moment; a failed check is a statement about bytes that were sent.
    if isinstance(error, CheckFailed):
        return error.routine_id != ctx.recipe.routines.erase
    if isinstance(error, VersionMismatch):
        return isinstance(error, ImageDoesNotRun)
    return isinstance(error, NegativeResponse) and (_says_never(error) or _said_before(ctx, error))


def _lasts(error: FlasherError) -> bool:
    """Whether the same job would end the same way: the ECU refused the image, the key, or what the recipe asks."""
    if isinstance(error, NegativeResponse):
        return _says_never(error) or (error.sid in NAMED_BY_RECIPE and error.nrc in NOT_KNOWN_HERE)
    return isinstance(error, CheckFailed | VersionMismatch)


def _said_before(ctx: FlashContext, refusal: NegativeResponse) -> bool:
    """Whether the ECU refuses something for the second time that it does not know or that is out of its range."""
    if refusal.sid not in NAMED_BY_RECIPE or refusal.nrc not in NOT_KNOWN_HERE:
        return False
    said = (ctx.step, refusal.sid, refusal.nrc)
    before = said in ctx.state.refusals
    ctx.state = replace(ctx.state, refusals=ctx.state.refusals | {said})
    return before


def _says_never(refusal: NegativeResponse) -> bool:
    """Whether the ECU will not take this key or certificate however often it comes."""
    # A wrong key costs an attempt, and the ECU locks itself for a while after some (0x36, ISO 14229-1, 0x27): the same
    # key again would only bring that on.
    if refusal.sid == Sid.AUTHENTICATION:
        return refusal.nrc in CERTIFICATE_REFUSED
    return (refusal.sid, refusal.nrc) == (Sid.SECURITY_ACCESS, Nrc.INVALID_KEY)


# One try: the recipe's steps ------------------------------------------------------------------------


async def _go_through(ctx: FlashContext, first: int) -> None:
    steps = ctx.recipe.steps
    index = first
    while index < len(steps):
        step = steps[index]
        # What the ECU has checked stands in its flash: to erase and send it again costs wear, minutes, and the risk of
        # a cut in between.
        if step in WRITING and not ctx.state.sends_image:
            index += 1
            continue
        ctx.enter(step, PHASES[step])
        await ctx.keep_state()  # before an erase: what was known of an image ends with it
        try:
            await _run_step(ctx, step)
            await ctx.keep_state()
        except (UdsError, CheckFailed, VersionMismatch) as error:
            index = steps.index(await _step_after(ctx, step, error))
        else:
            index += 1


async def _step_after(ctx: FlashContext, step: Step, error: UdsError | CheckFailed | VersionMismatch) -> Step:
    """Return with which step the same try goes on after a failure; raises `error` when it is over."""
    if isinstance(error, VersionMismatch):
        return await _reset_anew(ctx, error)
    if not _restarts_download(ctx, step, error):
        raise error
    ctx.tally.count("download_restart", step=step, error=error)
    ctx.state = replace(ctx.state.writing(), download_restarts=ctx.state.download_restarts + 1)
    return ctx.recipe.restart_step


async def _reset_anew(ctx: FlashContext, mismatch: VersionMismatch) -> Step:
    """Return to the reset, by its next means, when the ECU only answered it; raises `mismatch` otherwise.

    With no means left a refusal of 0x11 is the cause that is worth naming: NegativeResponse.
    """
    # Another version runs, so there was a boot: the reset was made, and the image is the reason.
    if isinstance(mismatch, ImageDoesNotRun) or mismatch.found or not await was_not_made(ctx):
        raise mismatch
    means = ctx.recipe.reset.means
    ctx.tally.count("reset_not_made", means=means[ctx.state.resets_used])
    ctx.state = ctx.state.not_restarted()
    if ctx.state.resets_used < len(means):
        return Step.RESET
    ctx.state = replace(ctx.state, resets_used=0)
    if ctx.state.reset_nrc:
        raise NegativeResponse(Sid.ECU_RESET, ctx.state.reset_nrc, bytes((Sid.ECU_RESET,)))
    raise mismatch


async def _run_step(ctx: FlashContext, step: Step) -> None:
    """Run a step; one that may be done twice is repeated when its answer was lost."""
    # A download has a memory of its own (0x36 counts its blocks, ISO 14229-1): repeated from its 0x34 it would write
    # onto cells that are programmed. So it repeats block by block, and else begins at the erase.
    tries = Tries(0 if step in DOWNLOADS else ctx.recipe.retries.step)
    while True:
        try:
            return await STEPS[step](ctx)
        except TransportError as error:
            tries = tries.after(error, worth=error.worth_repeating)
            ctx.tally.count("step_repeat", step=step, error=error.name)


def _restarts_download(ctx: FlashContext, step: Step, error: UdsError | CheckFailed) -> bool:
    """Whether the ECU is alive and willing, and only the download went wrong."""
    retries = ctx.recipe.retries
    # Bounded over all tries: a flash cell that does not hold would else be erased until it is worn out.
    if ctx.state.download_restarts >= retries.download:
        return False
    if isinstance(error, CheckFailed):
        return step in CHECKING and error.status in ctx.recipe.check.restart_download
    if step not in DOWNLOADS:
        return False
    return isinstance(error, ProtocolViolation) or (
        isinstance(error, NegativeResponse) and error.nrc in retries.restart_download
    )


# After a failure ------------------------------------------------------------------------------------


async def _leave_programming(ctx: FlashContext) -> None:
    """Reset the ECU, best effort: it starts its application if it has one."""
    try:
        await ctx.client.call(ecu_reset())
    except UdsError as error:
        ctx.tally.count("undo_failed", step=Step.RESET, error=error)
    await ctx.pause_ms(ctx.recipe.timing.reboot_settle_ms)


async def _believed(ctx: FlashContext) -> Belief:
    """Return what the ECU is seen to be; it is given the time of a reboot to answer."""
    seen: list[EcuIdentity] = []

    async def answers() -> bool:
        seen.append(await identify(ctx.client, ctx.recipe))
        return True

    try:
        await ctx.poll(answers)
    except UdsError as error:
        return belief_silent(error, erased=ctx.state.erased)
    # Older bytes may bear the same version: only what the ECU committed in this job can be the new software.
    runs_target = ctx.state.stage >= Stage.COMMITTED and _runs_target(ctx, seen[0])
    return belief_of(seen[0], runs_target=runs_target, erased=ctx.state.erased)


def _runs_target(ctx: FlashContext, identity: EcuIdentity) -> bool:
    return (identity.software_id, identity.version) == (ctx.job.software_id, ctx.job.version)
