"""The steps that a recipe names, each a small function over the job's context."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from bench.core.clock import date_of
from bench.flasher import services
from bench.flasher.authentication import authenticate
from bench.flasher.blocks import program_blocks
from bench.flasher.context import FlashContext
from bench.flasher.errors import (
    CheckFailed,
    NegativeResponse,
    PreconditionsNotMet,
    TransportError,
    UdsError,
    VersionMismatch,
)
from bench.flasher.identity import check_status, identify
from bench.flasher.key_maker import key_for
from bench.flasher.recipe import Step
from bench.flasher.resume import find_held
from bench.flasher.services import (
    DISABLE_RX_AND_TX,
    DTC_SETTING_OFF,
    DTC_SETTING_ON,
    ENABLE_RX_AND_TX,
    SessionTiming,
    ecu_reset,
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

EXCEEDED_ATTEMPTS, DELAY_NOT_EXPIRED = 0x36, 0x37
SUB_FUNCTION_NOT_IN_SESSION, SERVICE_NOT_IN_SESSION = 0x7E, 0x7F

StepFunction = Callable[[FlashContext], Awaitable[None]]


# Before programming: functional, so that a bootloader that knows none of it is not disturbed ----------


async def extended_session(ctx: FlashContext) -> None:
    """10 03 to everybody."""
    sessions = ctx.recipe.sessions
    undo = Step.DEFAULT_SESSION, functional_session(sessions.default)
    await ctx.buses.prepare(ctx, functional_session(sessions.extended), undo)


async def dtc_off(ctx: FlashContext) -> None:
    """85 02 to everybody: silence on the bus shall not become a fault memory entry."""
    undo = Step.DTC_ON, functional_dtc_setting(DTC_SETTING_ON)
    await ctx.buses.prepare(ctx, functional_dtc_setting(DTC_SETTING_OFF), undo)


async def communication_off(ctx: FlashContext) -> None:
    """28 03 01 to everybody: the bus belongs to the download."""
    undo = Step.COMMUNICATION_ON, functional_communication(ENABLE_RX_AND_TX)
    await ctx.buses.prepare(ctx, functional_communication(DISABLE_RX_AND_TX), undo)


async def check_preconditions(ctx: FlashContext) -> None:
    """31 01 of the routine that says whether the car may be programmed now; left out where the bootloader answers."""
    if ctx.in_bootloader:
        ctx.tally.note("preconditions_left_out", because="the bootloader answers")
        return
    rules = ctx.recipe.preconditions
    for tries_left in range(rules.tries - 1, -1, -1):
        unmet = await _unmet_conditions(ctx)
        if not unmet:
            return
        if not tries_left:
            raise PreconditionsNotMet(unmet, tuple(rules.meaning(condition) for condition in unmet))
        await ctx.pause_ms(rules.pause_ms)


async def _unmet_conditions(ctx: FlashContext) -> tuple[int, ...]:
    """Return the condition bytes of the answer: after the status, one for each condition that is not met."""
    routine_id = ctx.recipe.routines.check_preconditions
    assert routine_id is not None, "the recipe was checked: a step has its routine"
    call = start_routine(routine_id)
    try:
        record = await ctx.client.call(call)
    except NegativeResponse as refusal:
        if refusal.nrc != SERVICE_NOT_IN_SESSION:
            raise
        ctx.tally.count("extended_by_address")
        await ctx.client.call(session_control(ctx.recipe.sessions.extended))
        record = await ctx.client.call(call)
    if len(record) < 2:
        check_status(routine_id, record, ctx.recipe.check)
    return tuple(record[1:])


# Programming ----------------------------------------------------------------------------------------


async def programming_session(ctx: FlashContext) -> None:
    """10 02, then wait until the bootloader answers in the programming session (F186)."""
    await ctx.buses.enter_programming(ctx)
    ctx.client.adopt(await _ask_for_programming(ctx))
    await ctx.pause_ms(ctx.recipe.timing.reboot_settle_ms)
    await ctx.poll(partial(_in_programming, ctx))


async def _in_programming(ctx: FlashContext) -> bool:
    session = await ctx.client.call(read_did(ctx.recipe.dids.active_session))
    return session == bytes((ctx.recipe.sessions.programming,))


async def _ask_for_programming(ctx: FlashContext) -> SessionTiming:
    """10 02; an application that missed the functional 10 03 gets it by its own address first."""
    call = session_control(ctx.recipe.sessions.programming)
    try:
        return await ctx.client.call(call)
    except NegativeResponse as refusal:
        if refusal.nrc != SUB_FUNCTION_NOT_IN_SESSION:
            raise
    ctx.tally.count("extended_by_address")
    await ctx.client.call(session_control(ctx.recipe.sessions.extended))
    return await ctx.client.call(call)


async def security_access(ctx: FlashContext) -> None:
    """27: seed and key; 0x36 and 0x37 are waited out, bounded."""
    retries = ctx.recipe.retries
    for waits_left in range(retries.security, -1, -1):
        try:
            return await _seed_and_key(ctx)
        except NegativeResponse as refusal:
            if refusal.nrc not in (EXCEEDED_ATTEMPTS, DELAY_NOT_EXPIRED) or not waits_left:
                raise
            ctx.tally.count("security_wait", nrc=f"0x{refusal.nrc:02X}")
        await ctx.pause_ms(retries.security_wait_ms)
    raise AssertionError("the last try raises or returns")


async def _seed_and_key(ctx: FlashContext) -> None:
    security = ctx.recipe.security
    assert security is not None, "the recipe was checked: the step has its table"
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
    ctx.pass_bytes, ctx.committed = 0, False
    ctx.held = await find_held(ctx)


async def download_image(ctx: FlashContext) -> None:
    """34, 36 ..., 37 of the image at its linked address, from the first byte that the ECU does not hold."""
    held = ctx.held.image_bytes
    ctx.pass_bytes = held
    if held == len(ctx.job.image):
        return
    ctx.downloads += 1
    await download(ctx, ctx.header.load_address + held, ctx.job.image[held:], ctx.recipe.download)


async def download_header(ctx: FlashContext) -> None:
    """34, 36, 37 of the header into its slot, unless the ECU holds it."""
    if not ctx.held.header:
        await download(ctx, ctx.recipe.memory.header_address, ctx.job.header)


async def check_memory(ctx: FlashContext) -> None:
    """31 01 of the routine that verifies hash and signature and then marks the image valid."""
    try:
        await _routine(ctx, ctx.recipe.routines.check_memory)
    except CheckFailed:
        ctx.trust_held = False
        raise
    ctx.committed = Step.ACTIVATE not in ctx.recipe.steps


async def check_dependencies(ctx: FlashContext) -> None:
    """31 01 FF01: the ECU's parts fit together."""
    await _routine(ctx, ctx.recipe.routines.check_dependencies)


async def activate(ctx: FlashContext) -> None:
    """31 01 of the routine that makes the programmed bank the one to boot on trial."""
    await _routine(ctx, ctx.recipe.routines.activate)
    ctx.committed = True


async def _routine(ctx: FlashContext, routine_id: int | None) -> None:
    assert routine_id is not None, "the recipe was checked: a step has its routine"
    check_status(routine_id, await ctx.client.call(start_routine(routine_id)), ctx.recipe.check)


# After programming ----------------------------------------------------------------------------------


async def reset(ctx: FlashContext) -> None:
    """11 01; without an answer it is believed unless the ECU is seen to be in the programming session still."""
    ctx.committed = True
    unanswered: TransportError | None = None
    try:
        await ctx.client.call(ecu_reset())
    except TransportError as error:
        unanswered = error
        ctx.tally.note("reset_unanswered", error=error.name)
    ctx.client.adopt(SessionTiming(0, 0))
    await ctx.pause_ms(ctx.recipe.timing.reboot_settle_ms)
    if unanswered is not None and await _still_in_programming(ctx):
        raise unanswered


async def _still_in_programming(ctx: FlashContext) -> bool:
    try:
        return await _in_programming(ctx)
    except UdsError:
        return False


async def verify_version(ctx: FlashContext) -> None:
    """22 F188 and F189 until the ordered version runs; VersionMismatch when something else stays."""

    async def runs_target() -> bool:
        seen = await identify(ctx.client, ctx.recipe)
        ctx.version = seen.version
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


async def clear_dtcs(ctx: FlashContext) -> None:
    """14 FFFFFF: what the update itself made the ECU note is no fault of the car."""
    await ctx.client.call(services.clear_dtcs())


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
