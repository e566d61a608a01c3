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
        self._payload: bytes | None = None
        """The request under way."""
        self._on_the_bus = False
        self._until_ns = 0
        """When the request under way is given up, or once it is on the bus, when P3 is over."""

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them."""
        return self._payload, self._on_the_bus, max(0, self._until_ns - now_ns)

    async def send(self, payload: bytes, sent: Callable[[], object] = lambda: None) -> None:
        """Send, call `sent`, and wait P3; TransportError when the bus refuses or nobody acknowledges in time."""
        self._payload, self._on_the_bus = payload, False
        try:
            await self._send(payload)
            sent()
            # P3_Client_Func (ISO 14229-2): nobody answers, so only time tells that all servers have taken the request.
            self._on_the_bus, self._until_ns = True, self._clock.now_ns() + self._timing.p3_functional_ms * NS_PER_MS
            await self._clock.sleep_ns(self._timing.p3_functional_ms * NS_PER_MS)
        finally:
            self._payload, self._until_ns = None, 0

    async def _send(self, payload: bytes) -> None:
        limit_ms = self._timing.functional_send_limit_ms
        self._until_ns = self._clock.now_ns() + limit_ms * NS_PER_MS
        try:
            # On a bus without another node a frame is never acknowledged and its controller repeats it for ever (ISO
            # 11898-1): without a limit of its own this would wait as long.
            async with asyncio.timeout(limit_ms / 1000):
                await self.link.send(payload)
        except TimeoutError:
            raise TransportError("N_TIMEOUT_A", f"functional {payload.hex(' ')}: nobody acknowledged") from None
        except LinkError as error:
            raise TransportError(error.name, f"functional {payload.hex(' ')}: {error}") from None


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
