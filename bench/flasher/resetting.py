"""The reset that starts what was programmed, by the means that the recipe names, until the ECU obeys one of them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial

from bench.flasher.context import FlashContext
from bench.flasher.errors import NegativeResponse, TransportError, UdsError
from bench.flasher.recipe import ResetMeans
from bench.flasher.services import SessionTiming, ecu_reset, read_did, session_control
from bench.wire.uds import ResetType

NO_MEANS_LEFT = "NO_RESET"
"""Name of the TransportError when no means of the recipe can be used here."""


class _NotHere(Exception):
    """This means cannot be used on this bench, or not now."""


async def reset(ctx: FlashContext) -> None:
    """11 01, or the next means of the recipe when the ECU refuses; the last refusal but one is not the last word.

    An ECU may refuse a reset for reasons of the moment (ISO 14229-1, 0x11: conditionsNotCorrect), while what it was
    given stands checked in its flash: to send that again would only wear it. Without an answer a reset is believed
    unless the ECU is seen to be in the programming session still: it may well have restarted before it could answer.
    NegativeResponse, the first one, when every means was refused; TransportError.
    """
    # Believed before the request goes out: without an answer the ECU may have booted the image, and it must not be
    # erased for that.
    ctx.state = ctx.state.committed()
    unanswered = await _first_obeyed(ctx)
    # The default session has no P2* of its own: what 10 02 reported held for the bootloader's session only.
    ctx.client.adopt(SessionTiming(0, 0))
    await ctx.pause_ms(ctx.recipe.timing.reboot_settle_ms)
    if unanswered is not None and await still_in_programming(ctx):
        raise unanswered
    ctx.state = ctx.state.restarted()


async def _first_obeyed(ctx: FlashContext) -> TransportError | None:
    """Go through the means that are left; returns the time-out of one that was not answered, None when one was."""
    refused: NegativeResponse | None = None
    for means in ctx.recipe.reset.means[ctx.state.resets_used :]:
        try:
            await _BY_MEANS[means](ctx)
        except NegativeResponse as refusal:
            refused = refused or refusal
            ctx.state = replace(ctx.state, reset_nrc=refusal.nrc)
            ctx.tally.count("reset_refused", means=means, nrc=f"0x{refusal.nrc:02X}")
        except TransportError as error:
            ctx.tally.note("reset_unanswered", means=means, error=error.name)
            return error
        except _NotHere as reason:
            ctx.tally.note("reset_left_out", means=means, because=reason)
        else:
            return None
        ctx.state = replace(ctx.state, resets_used=ctx.state.resets_used + 1)
    ctx.state = replace(ctx.state, resets_used=0)  # another try begins with the first means again
    raise refused or TransportError(NO_MEANS_LEFT, "no means of a reset can be used here")


async def _by_request(ctx: FlashContext, kind: ResetType) -> None:
    await ctx.client.call(ecu_reset(kind))


async def _by_default_session(ctx: FlashContext) -> None:
    """10 01 by the ECU's own address: who leaves the programming session starts the application (ISO 14229-1, 0x10)."""
    await ctx.client.call(session_control(ctx.recipe.sessions.default))


async def _by_session_timeout(ctx: FlashContext) -> None:
    """Keep silent until S3Server has run out (ISO 14229-2): the server then leaves its session by itself.

    Tester present goes to every ECU of the bus: others lose their sessions too, and with them what 0x85 switched off,
    which is why this comes last and only where no other job is at work.
    """
    bus = ctx.buses.home
    # Tester present is functional: to withhold it from one ECU is to withhold it from all.
    if not bus.is_alone(ctx):
        raise _NotHere("other jobs on this bus need tester present")
    bus.quiet = True
    try:
        await ctx.pause_ms(ctx.recipe.reset.s3_ms + ctx.recipe.timing.tester_present_interval_ms)
    finally:
        bus.quiet = False


async def _by_power_cycle(ctx: FlashContext) -> None:
    """Have the bench switch the ECU's supply off and on, where it can."""
    if ctx.supply is None:
        raise _NotHere("this bench does not switch the ECU's supply")
    await ctx.supply.power_cycle(ctx.job.ecu, ctx.recipe.reset.off_ms)


_BY_MEANS: Mapping[ResetMeans, Callable[[FlashContext], Awaitable[None]]] = {
    ResetMeans.HARD_RESET: partial(_by_request, kind=ResetType.HARD),
    ResetMeans.KEY_OFF_ON_RESET: partial(_by_request, kind=ResetType.KEY_OFF_ON),
    ResetMeans.SOFT_RESET: partial(_by_request, kind=ResetType.SOFT),
    ResetMeans.DEFAULT_SESSION: _by_default_session,
    ResetMeans.SESSION_TIMEOUT: _by_session_timeout,
    ResetMeans.POWER_CYCLE: _by_power_cycle,
}


async def was_not_made(ctx: FlashContext) -> bool:
    """Return whether a reset that the ECU answered, and after which its bootloader answers, was never made.

    No boot begins in the programming session, so who is found in it was not reset. Who left it by 10 01 or by time-out
    may have stayed in the bootloader without a boot: ISO 14229-1 does not ask for one, so that proves nothing.
    """
    means = ctx.recipe.reset.means[ctx.state.resets_used]
    return means in _WITHOUT_PROOF or await still_in_programming(ctx)


_WITHOUT_PROOF = (ResetMeans.DEFAULT_SESSION, ResetMeans.SESSION_TIMEOUT)


async def in_programming(ctx: FlashContext) -> bool:
    """Return whether the ECU answers F186 with the programming session. UdsError."""
    session = await ctx.client.call(read_did(ctx.recipe.dids.active_session))
    return session == bytes((ctx.recipe.sessions.programming,))


async def still_in_programming(ctx: FlashContext) -> bool:
    """Return whether the ECU is seen in the programming session, which no boot begins in: it was not reset."""
    try:
        return await in_programming(ctx)
    except UdsError:
        return False
