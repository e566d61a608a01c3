"""ECUs behind one functional link: what goes to all of them is sent once, and taken back once, by the last job.

A functional 10 01 or 10 03 while another ECU is being programmed would throw that one out of its session. So a job
that comes late, or tries again, prepares its ECU by its own address as long as others are at work; and what was
switched off is switched on when the last job ends, whichever way it ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

from bench.core.clock import NS_PER_MS, Clock
from bench.flasher.errors import UdsError
from bench.flasher.functional import FunctionalSender
from bench.flasher.recipe import Recipe, Step, TesterPresent
from bench.flasher.services import functional_session, functional_tester_present
from bench.flasher.values import Tally
from bench.ports.diagnostics import DiagLink, FunctionalLink, LinkError

UNDO_ORDER = (Step.COMMUNICATION_ON, Step.DTC_ON, Step.DEFAULT_SESSION)


class Member(Protocol):
    """What a group asks of a job (`bench.flasher.sequence.FlashRun`)."""

    @property
    def recipe(self) -> Recipe:
        """The job's recipe."""

    @property
    def clock(self) -> Clock:
        """The job's clock."""

    @property
    def tally(self) -> Tally:
        """Where the job's oddities are counted."""

    @property
    def try_started_ns(self) -> int:
        """When the job's try began."""

    @property
    def asking(self) -> bool:
        """Whether the job's ECU is being asked who it is, before anything is done to it."""

    @property
    def pending(self) -> bool:
        """Whether the job's ECU has asked for patience (0x78)."""


@dataclass(slots=True, eq=False)
class Order:
    """What a job has to send functionally, or wants nobody to send meanwhile: one after the other, as they came."""

    ecu: str
    left: tuple[bytes, ...]
    """What is still to be sent, the first of it now."""
    sender: FunctionalSender

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them."""
        return self.ecu, self.left, self.sender.state(now_ns)


@dataclass(slots=True)
class Beat:
    """The tester present of a bus: when the next one is due, whether one is under way."""

    clock: Clock
    next_ns: int = 0
    under_way: bool = False

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them."""
        return max(0, self.next_ns - now_ns), self.under_way


class BusGroup:
    """The jobs that share a functional link; a job alone is a group of one.

    Everything in it belongs to one life of the tester (D3): a power cut parks all its jobs together.
    """

    def __init__(self, link: FunctionalLink) -> None:
        self.link = link
        self.undo: dict[Step, bytes] = {}
        """What switches on again, by the step that would do it."""
        self.sending: dict[object, None] = {}
        """The links that are sending a request just now."""
        self.sent_ns = 0
        """When a link last ended to send."""
        self.quiet = False
        """Whether no tester present is sent: sessions on this bus shall run out."""
        self._active: list[Member] = []
        self._programming: list[Member] = []
        """Whose ECU has left its session for programming."""
        self._sent_ns: dict[bytes, int] = {}
        """When each functional request was sent last."""
        self._orders: list[Order] = []
        """In the order of `_turn`: the first one that stands there has it."""
        self._restoring: list[Order] = []
        """What jobs send that are alone: it waits for nobody."""
        self._turn = asyncio.Lock()
        self._waiting: list[asyncio.Future[None]] = []
        self._kept_alive: list[Member] = []
        self._beat: Beat | None = None
        self._beating: asyncio.Task[None] | None = None

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them: jobs by the names of their ECUs."""
        return (
            tuple(sorted(self.undo.items())),
            (len(self.sending), self.quiet),
            tuple(tuple(ctx.tally.ecu for ctx in each) for each in (self._active, self._programming, self._kept_alive)),
            tuple(sorted((payload, sent_ns - now_ns) for payload, sent_ns in self._sent_ns.items())),
            tuple(order.state(now_ns) for order in self._orders),
            tuple(order.state(now_ns) for order in self._restoring),
            None if self._beat is None else self._beat.state(now_ns),
        )

    # Who is at work ---------------------------------------------------------------------------------

    def join(self, ctx: Member) -> None:
        """Count a job as at work until it leaves."""
        self._active.append(ctx)

    def leave(self, ctx: Member) -> dict[Step, bytes]:
        """End a job; returns what it must switch on again: all of it when it was the last, else nothing."""
        for members in (self._active, self._programming):
            if ctx in members:
                members.remove(ctx)
        if self._active:
            return {}
        # The last one out switches on: an earlier job that failed must not do it under one that still works.
        undo, self.undo = self.undo, {}
        # Nobody is left who could have heard it: whoever comes later has a try that began later.
        self._sent_ns.clear()
        return {step: undo[step] for step in UNDO_ORDER if step in undo}

    def is_alone(self, ctx: Member) -> bool:
        """Return whether no other job is at work."""
        return all(other is ctx for other in self._active)

    def go_on(self) -> None:
        """Let functional requests look again whether anybody is still being asked something."""
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _nobody_asks(self, ctx: Member) -> None:
        while any(other.asking for other in self._active if other is not ctx):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def _others_program(self, ctx: Member) -> bool:
        return any(other is not ctx for other in self._programming)

    # Before and after programming -------------------------------------------------------------------

    async def prepare(self, ctx: Member, payload: bytes) -> bool:
        """Send a functional request once for all; returns False while others are being programmed: it would hurt them.

        TransportError when nobody acknowledges.
        """
        # One functional request at a time, P3 apart: two without a pause, and an ECU still at work on the first misses
        # the second.
        async with self._ordered(ctx, payload) as order:
            await self._nobody_asks(ctx)
            if self._was_heard(ctx, payload):
                return True
            # A functional 10 03 throws an ECU out of its programming session, and its download with it (ISO
            # 14229-1:2020, 10.2, from memory).
            if self._others_program(ctx):
                return False
            await order.sender.send(payload)
            self._sent_ns[payload] = ctx.clock.now_ns()
            return True

    def _order(self, ctx: Member, *payloads: bytes) -> Order:
        return Order(ctx.tally.ecu, payloads, FunctionalSender(self.link, ctx.recipe.timing, ctx.clock))

    @asynccontextmanager
    async def _ordered(self, ctx: Member, *payloads: bytes) -> AsyncIterator[Order]:
        """Wait for a job's turn, and have it until the end."""
        order = self._order(ctx, *payloads)
        self._orders.append(order)
        try:
            # The lock wakes in the order of `_orders`, and says nothing that does not stand there.
            async with self._turn:
                yield order
        finally:
            self._orders.remove(order)

    async def enter_programming(self, ctx: Member) -> None:
        """Note that a job's ECU leaves its session for programming: from now on functional requests would hurt it."""
        # Under the lock: a functional 10 03 under way must be through before this ECU leaves for 10 02.
        async with self._ordered(ctx):
            if ctx not in self._programming:
                self._programming.append(ctx)
            self.undo[Step.DEFAULT_SESSION] = functional_session(ctx.recipe.sessions.default)

    def _was_heard(self, ctx: Member, payload: bytes) -> bool:
        """Return whether another job sent it since this one's try began."""
        sent_ns = self._sent_ns.get(payload)
        return not self.is_alone(ctx) and sent_ns is not None and sent_ns >= ctx.try_started_ns

    async def switch_on_again(self, ctx: Member, undo: dict[Step, bytes]) -> None:
        """Send what a job that left must switch on again, best effort; failures are counted."""
        async with self._ordered(ctx, *undo.values()) as order:
            for step, payload in undo.items():
                try:
                    await order.sender.send(payload)
                except UdsError as error:
                    ctx.tally.count("undo_failed", step=step, error=error)
                order.left = order.left[1:]

    async def restore(self, ctx: Member, step: Step, payload: bytes) -> None:
        """Send what switches on again, unless others are at work: then the last of them will."""
        # 28 00 while another ECU is still being programmed would fill its bus with frames, and 85 01 store DTCs for its
        # silence.
        if not self.is_alone(ctx):
            return
        order = self._order(ctx, payload)
        self._restoring.append(order)
        try:
            await order.sender.send(payload, lambda: self.undo.pop(step, None))
        finally:
            self._restoring.remove(order)

    # Tester present ---------------------------------------------------------------------------------

    async def keep_alive(self, ctx: Member, *, wanted: bool) -> None:
        """Have functional, suppressed tester present sent for a job, or no longer; one beat serves all jobs."""
        if wanted is (ctx in self._kept_alive):
            return
        if wanted:
            self._kept_alive.append(ctx)
            if self._beating is None:
                self._beat = beat = Beat(ctx.clock)
                self._beating = asyncio.get_running_loop().create_task(self._beats(beat), name="tester present")
            return
        self._kept_alive.remove(ctx)
        if not self._kept_alive:
            beating, self._beating, self._beat = self._beating, None, None
            await _ended(beating)

    async def _beats(self, beat: Beat) -> None:
        """Beat for ever. A frame that nobody acknowledges yet is waited for, so that no second one queues behind it."""
        payload = functional_tester_present()
        while True:
            # The shortest interval counts: S3Server may differ between the ECUs of a bus (ISO 14229-2).
            interval_ms = min(ctx.recipe.timing.tester_present_interval_ms for ctx in self._kept_alive)
            beat.next_ns = beat.clock.now_ns() + interval_ms * NS_PER_MS
            await beat.clock.sleep_ns(interval_ms * NS_PER_MS)
            # One that must not hear it silences all: a functional frame cannot leave an ECU out.
            if self.quiet or any(_wants_silence(ctx) for ctx in self._kept_alive):
                continue
            beat.under_way = True
            try:
                await self.link.send(payload)
            except LinkError as error:
                for ctx in self._kept_alive:
                    ctx.tally.count("tester_present_failed", error=error.name)
            finally:
                beat.under_way = False


class SharedLink:
    """An ECU's link on a bus that other jobs use too.

    Requests have lower identifiers than answers: while another job sends a block, an ECU that wants to answer loses
    every arbitration. So P2 does not run out for one job while another one is sending.
    """

    def __init__(self, link: DiagLink, group: BusGroup, clock: Clock) -> None:
        self._link, self._group, self._clock = link, group, clock

    async def send(self, payload: bytes) -> None:
        """See `DiagLink`."""
        sending = self._group.sending
        sending[self] = None
        try:
            await self._link.send(payload)
        finally:
            del sending[self]
            self._group.sent_ns = self._clock.now_ns()

    async def receive(self, start_within_ns: int) -> bytes:
        """See `DiagLink`."""
        return await self._link.receive(start_within_ns)

    def occupied_since(self, instant_ns: int) -> bool:
        """Return whether other jobs sent on the bus after that instant."""
        # Only time during which another job sent is forgiven: an ECU that is dead is still noticed.
        return bool(self._group.sending) or self._group.sent_ns > instant_ns

    def discard(self) -> int:
        """See `DiagLink`."""
        return self._link.discard()

    def state(self, begun_ns: int) -> tuple[object, ...]:
        """Return what of the bus decides how a wait goes on that began then."""
        return self in self._group.sending, self._group.sent_ns > begun_ns


def _wants_silence(ctx: Member) -> bool:
    """Return whether a job's ECU must hear no functional tester present now."""
    timing = ctx.recipe.timing
    match timing.tester_present:
        case TesterPresent.FUNCTIONAL:
            # Some ECUs take a tester present during 0x78 for a new request and answer 0x21; the recipe knows which.
            return ctx.pending and not timing.tester_present_while_pending
        case TesterPresent.PENDING:
            return not ctx.pending
        case _:
            return True


async def _ended(beat: asyncio.Task[None] | None) -> None:
    if beat is None:
        return
    beat.cancel()
    await asyncio.wait((beat,))
    error = None if beat.cancelled() else beat.exception()
    if error is not None:
        raise error
