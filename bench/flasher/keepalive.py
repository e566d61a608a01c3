"""Tester present on a timer of its own, so that no session runs out (S3) whatever else is going on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.core.clock import NS_PER_MS, Clock
from bench.flasher.client import UdsClient
from bench.flasher.recipe import Timing
from bench.flasher.services import functional_tester_present
from bench.flasher.values import Tally
from bench.ports import FunctionalLink, LinkError


@asynccontextmanager
async def tester_present(
    link: FunctionalLink, client: UdsClient, timing: Timing, clock: Clock, tally: Tally
) -> AsyncIterator[None]:
    """Send functional, suppressed tester present every interval while the block runs; its task ends with the block."""
    beat = _beat(link, client, timing, clock, tally)
    task = asyncio.get_running_loop().create_task(beat, name=f"tester present for {tally.ecu}")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait((task,))
        error = None if task.cancelled() else task.exception()
        if error is not None:
            raise error


async def _beat(link: FunctionalLink, client: UdsClient, timing: Timing, clock: Clock, tally: Tally) -> None:
    """Beat for ever. A frame that nobody acknowledges yet is waited for, so that no second one queues behind it."""
    payload = functional_tester_present()
    while True:
        await clock.sleep_ns(timing.tester_present_interval_ms * NS_PER_MS)
        if client.pending and not timing.tester_present_while_pending:
            continue
        try:
            await link.send(payload)
        except LinkError as error:
            tally.count("tester_present_failed", error=error.name)
