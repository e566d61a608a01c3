"""The steps that a recipe names, each a small function over the job's context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial

from bench.core.clock import date_of
from bench.flasher.authentication import authenticate
from bench.flasher.blocks import program_blocks
from bench.flasher.context import FlashContext
from bench.flasher.dtcs import clear_dtcs
from bench.flasher.errors import (
    CheckFailed,
    ImageDoesNotRun,
    NegativeResponse,
    PreconditionsNotMet,
    VersionMismatch,
)
from bench.flasher.identity import check_status, identify
from bench.flasher.key_maker import key_for
from bench.flasher.recipe import Step
from bench.flasher.resetting import in_programming, reset
from bench.flasher.resume import find_stored
from bench.flasher.services import (
    DISABLE_RX_AND_TX,
    DTC_SETTING_OFF,
    DTC_SETTING_ON,
    ENABLE_RX_AND_TX,
    SessionTiming,
    functional_communication,
    functional_dtc_setting,
    functional_session,
    read_did,
    request_seed,
    send_key,
    session_control,
    start_routine,
    write_did,
)
from bench.flasher.transfer import download
from bench.flasher.tries import Tries
from bench.wire.uds import Nrc

WAITED_OUT = (Nrc.EXCEEDED_NUMBER_OF_ATTEMPTS, Nrc.REQUIRED_TIME_DELAY_NOT_EXPIRED)
"""What 0x27 answers while the ECU's own delay runs; every request in that time may begin it anew."""

StepFunction = Callable[[FlashContext], Awaitable[None]]


# Before programming: functional, so that a bootloader that knows none of it is not disturbed ----------


async def extended_session(ctx: FlashContext) -> None:
    """10 03 to everybody."""
    sessions = ctx.recipe.sessions
    undo = Step.DEFAULT_SESSION, functional_session(sessions.default)
    await ctx.buses.prepare(ctx, functional_session(sessions.extended), undo)


async def dtc_off(ctx: FlashContext) -> None:
    """85 02 to everybody: silence on the bus shall not become a fault memory entry.

    Before 28 03: the other way round, partners would miss frames while they still store that.
    """
    undo = Step.DTC_ON, functional_dtc_setting(DTC_SETTING_ON)
    await ctx.buses.prepare(ctx, functional_dtc_setting(DTC_SETTING_OFF), undo)


async def communication_off(ctx: FlashContext) -> None:
    """28 03 01 to everybody: the bus belongs to the download."""
    undo = Step.COMMUNICATION_ON, functional_communication(ENABLE_RX_AND_TX)
    await ctx.buses.prepare(ctx, functional_communication(DISABLE_RX_AND_TX), undo)


async def check_preconditions(ctx: FlashContext) -> None:
    """31 01 of the routine that says whether the car may be programmed now; left out where the bootloader answers."""
    if ctx.state.in_bootloader:
        ctx.tally.note("preconditions_left_out", because="the bootloader answers")
        return
    rules = ctx.recipe.preconditions
    tries = Tries(rules.tries - 1)
    while unmet := await _unmet_conditions(ctx):
        tries = tries.after(PreconditionsNotMet(unmet, tuple(rules.meaning(condition) for condition in unmet)))
        await ctx.pause_ms(rules.pause_ms)


async def _unmet_conditions(ctx: FlashContext) -> tuple[int, ...]:
    """Return the condition bytes of the answer: after the status, one for each condition that is not met."""
    routine_id = ctx.recipe.routines.check_preconditions
    assert routine_id is not None, "the recipe was checked: a step has its routine"
    call = start_routine(routine_id)
    try:
        record = await ctx.client.call(call)
    except NegativeResponse as refusal:
        # 0x7F: the functional 10 03 did not reach this ECU (its answer is suppressed, so nobody knew).
        if refusal.nrc != Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION:
            raise
        ctx.tally.count("extended_by_address")
        await ctx.client.call(session_control(ctx.recipe.sessions.extended))
        record = await ctx.client.call(call)
    if len(record) < 2:
        check_status(routine_id, record, ctx.recipe.check)
    return tuple(record[1:])


# Programming ----------------------------------------------------------------------------------------


async def programming_session(ctx: FlashContext) -> None:
    """10 02, then wait until the bootloader answers in the programming session (F186).

    Where the programming session lives in a bootloader, 10 02 leads to a reset, and the answer may come before it or
    after it (ISO 14229-1, 0x10, from memory). The session that F186 names is the only proof of where one is.
    """
    await ctx.buses.enter_programming(ctx)
    ctx.client.adopt(await _ask_for_programming(ctx))
    await ctx.pause_ms(ctx.recipe.timing.reboot_settle_ms)
    await ctx.poll(partial(in_programming, ctx))


async def _ask_for_programming(ctx: FlashContext) -> SessionTiming:
    """10 02; an application that missed the functional 10 03 gets it by its own address first."""
    call = session_control(ctx.recipe.sessions.programming)
    try:
        return await ctx.client.call(call)
    except NegativeResponse as refusal:
        if refusal.nrc != Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION:
            raise
    # The functional 10 03 was suppressed: nobody told that this ECU missed it (0x7E: not in this session).
    ctx.tally.count("extended_by_address")
    await ctx.client.call(session_control(ctx.recipe.sessions.extended))
    return await ctx.client.call(call)


async def security_access(ctx: FlashContext) -> None:
    """27: seed and key; 0x36 and 0x37 are waited out, bounded."""
    retries = ctx.recipe.retries
    tries = Tries(retries.security)
    while True:
        try:
            return await _seed_and_key(ctx)
        except NegativeResponse as refusal:
            tries = tries.after(refusal, worth=refusal.nrc in WAITED_OUT)
            ctx.tally.count("security_wait", nrc=f"0x{refusal.nrc:02X}")
        await ctx.pause_ms(retries.security_wait_ms)


async def _seed_and_key(ctx: FlashContext) -> None:
    security = ctx.recipe.security
    assert security is not None, "the recipe was checked: the step has its table"
    # A late answer to an earlier 27 01 carries a seed that the ECU has thrown away: the key of that one is wrong, and a
    # wrong key costs an attempt. So the newest seed counts. All zeros: the level is open already (ISO 14229-1, 0x27).
    seed = await ctx.client.call_newest(request_seed(security.level))
    if any(seed):
        await ctx.client.call(send_key(security.level, await key_for(security, seed, ctx.clock)))


async def fingerprint(ctx: FlashContext) -> None:
    """2E F15A: date (BCD yymmdd) and the tester's id."""
    date = bytes.fromhex(date_of(ctx.clock).strftime("%y%m%d"))
    tester_id = ctx.recipe.fingerprint.tester_id.encode("ascii")
    await ctx.client.call(write_did(ctx.recipe.dids.fingerprint, date + tester_id))


async def erase(ctx: FlashContext) -> None:
    """31 01 FF00 over the image's linked range, or only over what an interrupted download left unusable."""
    ctx.pass_bytes = 0
    ctx.state = replace(ctx.state, stored=await find_stored(ctx))


async def download_image(ctx: FlashContext) -> None:
    """34, 36 ..., 37 of the image at its linked address, from the first byte that the ECU has not stored."""
    stored_bytes = ctx.state.stored.image_bytes
    ctx.pass_bytes = stored_bytes
    # Nothing is missing: a 0x34 over no bytes is refused.
    if stored_bytes == len(ctx.job.image):
        return
    ctx.downloads += 1
    rest = ctx.job.image[stored_bytes:]
    await download(ctx, ctx.header.load_address + stored_bytes, rest, ctx.recipe.download)


async def download_header(ctx: FlashContext) -> None:
    """34, 36, 37 of the header into its slot, unless it is there already."""
    if not ctx.state.stored.header:
        await download(ctx, ctx.recipe.memory.header_address, ctx.job.header)


async def check_memory(ctx: FlashContext) -> None:
    """31 01 of the routine that verifies hash and signature and then marks the image valid.

    Asked again of an image that was started and did not run, it tells a damaged image, which a new download cures, from
    one that crashes, which it does not: ImageDoesNotRun when nothing is wrong with it and it had its starts.
    """
    try:
        await _routine(ctx, ctx.recipe.routines.check_memory)
    except CheckFailed:
        ctx.state = ctx.state.damaged()
        raise
    except NegativeResponse as refusal:
        if not ctx.state.restarts:
            raise
        raise _does_not_run(ctx, f"the ECU does not check it again: {refusal}") from None
    # Whole and started often enough: it crashes. Sent again it would be the same bytes.
    if ctx.state.restarts > ctx.recipe.retries.restart:
        raise _does_not_run(ctx, f"it was started {ctx.state.restarts} times")
    ctx.state = ctx.state.checked(needs_activation=Step.ACTIVATE in ctx.recipe.steps)


def _does_not_run(ctx: FlashContext, why: str) -> ImageDoesNotRun:
    return ImageDoesNotRun(ctx.job.version, ctx.state.found_version, why)


async def check_dependencies(ctx: FlashContext) -> None:
    """31 01 FF01 (checkProgrammingDependencies): the ECU's parts fit together, and it would start them.

    ImageDoesNotRun when it says no of an image that it checked and that was started: it has seen it crash.
    """
    try:
        await _routine(ctx, ctx.recipe.routines.check_dependencies)
    except CheckFailed as failed:
        if not ctx.state.restarts:
            raise
        raise _does_not_run(ctx, str(failed)) from None


async def activate(ctx: FlashContext) -> None:
    """31 01 of the routine that makes the programmed bank the one to boot on trial."""
    await _routine(ctx, ctx.recipe.routines.activate)
    ctx.state = ctx.state.committed()


async def _routine(ctx: FlashContext, routine_id: int | None) -> None:
    assert routine_id is not None, "the recipe was checked: a step has its routine"
    check_status(routine_id, await ctx.client.call(start_routine(routine_id)), ctx.recipe.check)


# After programming ----------------------------------------------------------------------------------


async def verify_version(ctx: FlashContext) -> None:
    """22 F188 and F189 until the ordered version runs; VersionMismatch when something else stays."""

    async def runs_target() -> bool:
        seen = await identify(ctx.client, ctx.recipe)
        ctx.version = seen.version
        ctx.state = replace(ctx.state, found_version=seen.version)
        if (seen.software_id, seen.version) != (ctx.job.software_id, ctx.job.version):
            raise VersionMismatch(ctx.job.version, seen.version)
        return True

    await ctx.poll(runs_target)


async def communication_on(ctx: FlashContext) -> None:
    """28 00 01 to everybody."""
    await ctx.buses.restore(ctx, Step.COMMUNICATION_ON, functional_communication(ENABLE_RX_AND_TX))


async def dtc_on(ctx: FlashContext) -> None:
    """85 01 to everybody."""
    await ctx.buses.restore(ctx, Step.DTC_ON, functional_dtc_setting(DTC_SETTING_ON))


async def read_back(ctx: FlashContext) -> None:
    """22 of every identifier of `dids.read_back`, each an event of the report; one that is refused is noted too."""
    for name, did in ctx.recipe.dids.read_back.items():
        try:
            value = await ctx.client.call(read_did(did))
        except NegativeResponse as refusal:
            ctx.tally.note("read_back", identifier=name, did=f"0x{did:04X}", nrc=f"0x{refusal.nrc:02X}")
        else:
            ctx.tally.note("read_back", identifier=name, did=f"0x{did:04X}", value=value.hex())


async def default_session(ctx: FlashContext) -> None:
    """10 01 to everybody."""
    await ctx.buses.restore(ctx, Step.DEFAULT_SESSION, functional_session(ctx.recipe.sessions.default))


STEPS: dict[Step, StepFunction] = {
    Step.EXTENDED_SESSION: extended_session,
    Step.DTC_OFF: dtc_off,
    Step.COMMUNICATION_OFF: communication_off,
    Step.CHECK_PRECONDITIONS: check_preconditions,
    Step.PROGRAMMING_SESSION: programming_session,
    Step.SECURITY_ACCESS: security_access,
    Step.AUTHENTICATION: authenticate,
    Step.FINGERPRINT: fingerprint,
    Step.ERASE: erase,
    Step.DOWNLOAD_IMAGE: download_image,
    Step.PROGRAM_BLOCKS: program_blocks,
    Step.DOWNLOAD_HEADER: download_header,
    Step.CHECK_MEMORY: check_memory,
    Step.CHECK_DEPENDENCIES: check_dependencies,
    Step.ACTIVATE: activate,
    Step.RESET: reset,
    Step.VERIFY_VERSION: verify_version,
    Step.COMMUNICATION_ON: communication_on,
    Step.DTC_ON: dtc_on,
    Step.CLEAR_DTCS: clear_dtcs,
    Step.READ_BACK: read_back,
    Step.DEFAULT_SESSION: default_session,
}
