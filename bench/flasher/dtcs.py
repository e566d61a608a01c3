"""DTCs over an update: what the update itself brought about is cleared, what was there before is the car's and stays.

A workshop reads a DTC that an update did not cause for as long as it is stored: with it go its snapshot and its
counters (ISO 14229-1, 0x14 clears them along). So the job reads the DTCs before it does anything (19 02), and clears
afterwards: all groups (14 FFFFFF) when there were none, else each new one by itself, for groupOfDTC may also be a
single DTC (ISO 14229-1:2020, clause 12.2, from memory). What nobody read is not cleared.
"""

from __future__ import annotations

from typing import TypeVar

from bench.flasher import services
from bench.flasher.context import FlashContext
from bench.flasher.errors import TransportError, UdsError
from bench.flasher.recipe import Step
from bench.flasher.services import Call

T = TypeVar("T")

FAILED_ONCE = 0x2D
"""testFailed, pendingDTC, confirmedDTC, testFailedSinceLastClear (ISO 14229-1, annex D.2). The other bits say whether a
test has run, and that an ECU has a DTC at all that it could set."""


async def note_dtcs(ctx: FlashContext) -> None:
    """Read which DTCs the ECU has, once for the job and before it is touched; best effort.

    Once the ECU was reset, silenced or erased, its own DTCs could not be told from the car's any more.
    """
    if ctx.state.touched or ctx.state.dtcs_before is not None or Step.CLEAR_DTCS not in ctx.recipe.steps:
        return
    ctx.state = ctx.state.knowing_dtcs(await _read_dtcs(ctx))


async def clear_dtcs(ctx: FlashContext) -> None:
    """14 of what the ECU noted in the course of the job, and of nothing else; best effort.

    The new software runs already, and an ECU that refuses or is silent just now must not be programmed again for that.
    """
    # After 85 01: cleared before, what the ECU still misses would be stored again at once.
    before = ctx.state.dtcs_before
    if before is None:
        ctx.tally.note("dtcs_kept", because="the ECU did not tell which ones it had before")
        return
    if not before:
        await _ask(ctx, services.clear_dtcs(), "dtcs_not_cleared")
        return
    for dtc in await _read_dtcs(ctx) or ():
        if dtc in before:
            ctx.tally.note("dtc_kept", dtc=f"{dtc:06X}", because="the ECU had it before")
        else:
            await _ask(ctx, services.clear_dtcs(dtc), "dtcs_not_cleared")


async def _read_dtcs(ctx: FlashContext) -> tuple[int, ...] | None:
    return await _ask(ctx, services.read_dtcs(FAILED_ONCE), "dtcs_not_read")


async def _ask(ctx: FlashContext, call: Call[T], otherwise: str) -> T | None:
    """Call, again when there was no answer; None, with an event named `otherwise`, when that is all in vain."""
    for tries_left in range(ctx.recipe.retries.step, -1, -1):
        try:
            return await ctx.client.call(call)
        except UdsError as error:
            if not tries_left or not isinstance(error, TransportError):
                ctx.tally.note(otherwise, error=error)
                break
    return None
