"""Functional requests: to every ECU of the bus, answers suppressed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from bench.core.clock import NS_PER_MS, Clock
from bench.flasher.errors import TransportError
from bench.flasher.recipe import Recipe, Step, Timing
from bench.flasher.services import (
    DTC_SETTING_ON,
    ENABLE_RX_AND_TX,
    functional_communication,
    functional_dtc_setting,
    functional_session,
)
from bench.ports.diagnostics import FunctionalLink, LinkError


class FunctionalSender:
    """Sends one functional request after the other, P3_Client_Func apart (ISO 14229-2)."""

    def __init__(self, link: FunctionalLink, timing: Timing, clock: Clock) -> None:
        self.link = link
        self._timing, self._clock = timing, clock

    async def send(self, payload: bytes, sent: Callable[[], object] = lambda: None) -> None:
        """Send, call `sent`, and wait P3; TransportError when the bus refuses or nobody acknowledges in time."""
        try:
            # On a bus without another node a frame is never acknowledged and its controller repeats it for ever (ISO
            # 11898-1): without a limit of its own this would wait as long.
            async with asyncio.timeout(self._timing.functional_send_limit_ms / 1000):
                await self.link.send(payload)
        except TimeoutError:
            raise TransportError("N_TIMEOUT_A", f"functional {payload.hex(' ')}: nobody acknowledged") from None
        except LinkError as error:
            raise TransportError(error.name, f"functional {payload.hex(' ')}: {error}") from None
        sent()
        # P3_Client_Func (ISO 14229-2): nobody answers, so only time tells that all servers have taken the request.
        await self._clock.sleep_ns(self._timing.p3_functional_ms * NS_PER_MS)


async def restore_normal_operation(links: Sequence[FunctionalLink], recipe: Recipe, clock: Clock) -> None:
    """Switch on what an interrupted job may have left off on any of its buses: communication, DTC setting, session.

    For an agent that finds its work done after a power loss: whoever switched off is gone. Best effort, since a bus
    on which nobody acknowledges has nothing to restore.
    """
    for link in links:
        with suppress(TransportError):
            await _restore(FunctionalSender(link, recipe.timing, clock), recipe)


async def _restore(sender: FunctionalSender, recipe: Recipe) -> None:
    # 10 01 last: it would itself undo 0x28 and 0x85 (ISO 14229-1), but only where a session was entered before.
    for step, payload in (
        (Step.COMMUNICATION_ON, functional_communication(ENABLE_RX_AND_TX)),
        (Step.DTC_ON, functional_dtc_setting(DTC_SETTING_ON)),
        (Step.DEFAULT_SESSION, functional_session(recipe.sessions.default)),
    ):
        # What the recipe does not switch off was not ours to switch on.
        if step in recipe.steps:
            await sender.send(payload)
