"""Programs one ECU by its recipe, from whatever state it is in, with every retry bounded and counted."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from bench.core.clock import Clock
from bench.core.points import Points
from bench.flasher.client import UdsClient
from bench.flasher.context import PHASES, FlashContext
from bench.flasher.errors import (
    CheckFailed,
    FlasherError,
    FlashFailed,
    ImageMismatch,
    NegativeResponse,
    ProtocolViolation,
    TransportError,
    UdsError,
    VersionMismatch,
)
from bench.flasher.functional import FunctionalSender
from bench.flasher.identity import identify
from bench.flasher.keepalive import tester_present
from bench.flasher.preflight import check_identity, check_job
from bench.flasher.recipe import Recipe, Step
from bench.flasher.services import ecu_reset
from bench.flasher.steps import STEPS
from bench.flasher.values import EcuIdentity, FlashJob, FlashReport, Progress, ProgressCallback, Tally
from bench.ports import DiagLink, FunctionalLink

SECURITY_ACCESS_SID, INVALID_KEY = 0x27, 0x35
DOWNLOADS = (Step.DOWNLOAD_IMAGE, Step.DOWNLOAD_HEADER)
UNDO_ORDER = (Step.COMMUNICATION_ON, Step.DTC_ON, Step.DEFAULT_SESSION)


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
) -> FlashReport:
    """Program one ECU and return when the new version was read back and the bus is as it was.

    The ECU may run its application or its bootloader, or be dead for a while. ImageMismatch before anything was
    done to it; FlashFailed when every try is used up (or trying is pointless), after what was switched off has been
    switched on again as far as the ECU listens.
    """
    tally = Tally(job.ecu, clock)
    ctx = FlashContext(
        job=job,
        header=check_job(job, recipe),
        recipe=recipe,
        clock=clock,
        client=UdsClient(link, recipe, clock, tally),
        functional=FunctionalSender(functional, recipe.timing, clock),
        points=points,
        tally=tally,
        on_progress=progress,
        started_ns=clock.now_ns(),
    )
    try:
        await _try_until_done(ctx)
    except asyncio.CancelledError:
        await _undo(ctx)
        raise
    except FlasherError as error:
        if not ctx.touched:
            raise _untouched(ctx, error) from None
        await _undo(ctx)
        raise FlashFailed(job.ecu, ctx.step, error, await _believed(ctx), ctx.report()) from error
    return ctx.report()


def _untouched(ctx: FlashContext, error: FlasherError) -> FlasherError:
    if isinstance(error, ImageMismatch):
        return error
    return FlashFailed(ctx.job.ecu, ctx.step, error, "silent or as it was: it was not touched", ctx.report())


# The job: whole tries -------------------------------------------------------------------------------


async def _try_until_done(ctx: FlashContext) -> None:
    retries = ctx.recipe.retries
    for tries_left in range(retries.job - 1, -1, -1):
        try:
            return await _try_once(ctx)
        except (UdsError, CheckFailed, VersionMismatch) as error:
            if not tries_left or _is_final(ctx, error):
                raise
            ctx.tally.count("job_retry", step=ctx.step, error=error)
        await ctx.pause_ms(retries.job_pause_ms)
    raise AssertionError("the last try raises or returns")


async def _try_once(ctx: FlashContext) -> None:
    """Look who answers, then go through the recipe (or its end, when only the end is missing)."""
    ctx.enter("identify", "pre")
    identity = await identify(ctx.client, ctx.recipe)
    _check_identity(ctx, identity)
    ctx.tally.note("identified", ecu_is=identity)
    first = _first_step(ctx, identity)
    ctx.touched = True
    timing = ctx.recipe.timing
    async with tester_present(ctx.functional.link, ctx.client, timing, ctx.clock, ctx.tally):
        await _go_through(ctx, first)


def _check_identity(ctx: FlashContext, identity: EcuIdentity) -> None:
    """ImageMismatch while the ECU is untouched; afterwards an ECU with another hardware id than before is lying."""
    try:
        check_identity(ctx.job, ctx.header, identity)
    except ImageMismatch as mismatch:
        if not ctx.touched:
            raise
        raise ProtocolViolation(
            f"the ECU says {mismatch.what} {mismatch.allowed} now, it said {mismatch.image}"
        ) from None


def _first_step(ctx: FlashContext, identity: EcuIdentity) -> int:
    runs_target = (identity.software_id, identity.version) == (ctx.job.software_id, ctx.job.version)
    if not (ctx.committed and runs_target):
        return 0
    ctx.tally.count("resumed_after_check")
    return ctx.recipe.steps.index(Step.VERIFY_VERSION)


def _is_final(ctx: FlashContext, error: UdsError | CheckFailed | VersionMismatch) -> bool:
    """Whether another try could only do harm or the same again."""
    if isinstance(error, CheckFailed):
        return error.routine_id != ctx.recipe.routines.erase
    if isinstance(error, VersionMismatch):
        return ctx.downloads > ctx.recipe.retries.download
    return isinstance(error, NegativeResponse) and (error.sid, error.nrc) == (SECURITY_ACCESS_SID, INVALID_KEY)


# One try: the recipe's steps ------------------------------------------------------------------------


async def _go_through(ctx: FlashContext, first: int) -> None:
    steps = ctx.recipe.steps
    index = first
    while index < len(steps):
        step = steps[index]
        ctx.enter(step, PHASES[step])
        try:
            await _run_step(ctx, step)
        except (UdsError, CheckFailed) as error:
            if not _restarts_download(ctx, step, error):
                raise
            ctx.tally.count("download_restart", step=step, error=error)
            index = steps.index(Step.ERASE)
        else:
            index += 1


async def _run_step(ctx: FlashContext, step: Step) -> None:
    """Run a step; one that may be done twice is repeated when its answer was lost."""
    repeats = 0 if step in DOWNLOADS else ctx.recipe.retries.step
    for repeats_left in range(repeats, -1, -1):
        try:
            return await STEPS[step](ctx)
        except TransportError as error:
            if not repeats_left or not error.worth_repeating:
                raise
            ctx.tally.count("step_repeat", step=step, error=error.name)
    raise AssertionError("the last try raises or returns")


def _restarts_download(ctx: FlashContext, step: Step, error: UdsError | CheckFailed) -> bool:
    """Whether the ECU is alive and willing, and only the download went wrong."""
    retries = ctx.recipe.retries
    if ctx.tally.counts.download_restart >= retries.download:
        return False
    if isinstance(error, CheckFailed):
        return step is Step.CHECK_MEMORY and error.status in ctx.recipe.check.restart_download
    if step not in DOWNLOADS:
        return False
    return isinstance(error, ProtocolViolation) or (
        isinstance(error, NegativeResponse) and error.nrc in retries.restart_download
    )


# After a failure ------------------------------------------------------------------------------------


async def _undo(ctx: FlashContext) -> None:
    """Switch on what was switched off and leave the programming session, best effort, failures counted."""
    for step in UNDO_ORDER:
        payload = ctx.to_undo.pop(step, None)
        if payload is not None:
            await _attempt_undo(ctx, step, ctx.functional.send(payload))
    if ctx.entered_programming:
        await _attempt_undo(ctx, Step.RESET, ctx.client.call(ecu_reset()))
        await ctx.pause_ms(ctx.recipe.timing.reboot_settle_ms)


async def _attempt_undo(ctx: FlashContext, step: Step, effort: Awaitable[None]) -> None:
    try:
        await effort
    except UdsError as error:
        ctx.tally.count("undo_failed", step=step, error=error)


async def _believed(ctx: FlashContext) -> str:
    """Return what the ECU is seen to be, in words; it is given the time of a reboot to answer."""
    seen: list[EcuIdentity] = []

    async def answers() -> bool:
        seen.append(await identify(ctx.client, ctx.recipe))
        return True

    try:
        await ctx.poll(answers)
    except UdsError as error:
        return f"silent ({error})"
    return str(seen[0])
