"""The UDS client: one request at a time over a `DiagLink`; what `bench.flasher.exchange` decides is done here.

udsoncan serves as codec only; its `Client` blocks and measures with the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bench.core.clock import Clock
from bench.flasher.exchange import (
    Broken,
    Done,
    Event,
    Exchange,
    Limits,
    Listen,
    Memory,
    Pause,
    Received,
    Send,
    Sent,
    Silence,
    Turn,
    Waited,
    Wanted,
)
from bench.flasher.notes import Note
from bench.flasher.recipe import Recipe
from bench.flasher.services import Call, SessionTiming
from bench.flasher.values import Tally
from bench.ports.diagnostics import AnswerTimeout, DiagLink, LinkError

T = TypeVar("T")


def _never_occupied(since_ns: int) -> bool:
    """A bus that no other job uses."""
    del since_ns
    return False


class UdsClient:
    """The tester's side of one ECU. Every failure is a `UdsError`, by blame.

    What arrives and is not the answer is counted and logged by kind: `late_answer` (of a request that was given
    up), `unexpected_answer` (nothing was asked, or it was answered already), `foreign_answer` (of another service).
    `occupied` says whether other jobs sent on the ECU's bus since an instant: then an answer may take longer.
    """

    def __init__(
        self,
        link: DiagLink,
        recipe: Recipe,
        clock: Clock,
        tally: Tally,
        occupied: Callable[[int], bool] = _never_occupied,
    ) -> None:
        self._link, self._recipe, self._clock, self._tally = link, recipe, clock, tally
        self._occupied = occupied
        self._limits = Limits.of(recipe, SessionTiming(0, 0))
        self._memory = Memory()
        self._exchange: Exchange | None = None
        self._outstanding = False

    @property
    def pending(self) -> bool:
        """Whether the ECU has asked for patience (0x78) and has not answered yet."""
        return self._exchange is not None and self._exchange.pending

    def adopt(self, reported: SessionTiming) -> None:
        """Use the time limits that the ECU reports in its 0x10 answer where they are longer than the recipe's."""
        self._limits = Limits.of(self._recipe, reported)

    # Requests ---------------------------------------------------------------------------------------

    async def call(self, call: Call[T]) -> T:
        """Send one request and return its decoded positive answer.

        0x21 is repeated after a pause, 0x78 waited out, both bounded by the recipe. TransportError,
        ProtocolViolation, NegativeResponse; RuntimeError when a request is outstanding already.
        """
        return call.decode(await self._positive(call, Wanted.FIRST))

    async def call_newest(self, call: Call[T]) -> T:
        """Like `call`, for an answer that holds only once (a seed, a challenge); see `Wanted.NEWEST`."""
        return call.decode(await self._positive(call, Wanted.NEWEST))

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Hold the link for one request; RuntimeError when one is outstanding already."""
        # ISO 14229-2: one request at a time on a connection; two would leave it open to which of them an answer
        # belongs.
        if self._outstanding:
            raise RuntimeError("one outstanding request per link")
        self._outstanding = True
        try:
            yield
        finally:
            self._outstanding, self._exchange = False, None

    # One exchange -----------------------------------------------------------------------------------

    def _new(self, call: Call[T], wanted: Wanted, payload: bytes) -> Exchange:
        return Exchange.of(payload, call.expected, self._limits, self._memory, wanted)

    async def _positive(self, call: Call[T], wanted: Wanted) -> bytes:
        with self.reserved():
            answer = await self._done(self._new(call, wanted, call.payload).begin())
        assert answer is not None, "an exchange without an error has an answer"
        return answer

    async def _done(self, turn: Turn) -> bytes | None:
        """Do what each turn asks for until the exchange is over; the positive answer, or the error is raised."""
        while True:
            self._exchange, self._memory = turn.exchange, turn.exchange.memory
            self._count(turn.notes)
            if isinstance(turn.action, Done):
                if turn.action.error is not None:
                    raise turn.action.error
                return turn.action.answer
            turn = turn.exchange.next(await perform(turn.action, self._link, self._clock, self._occupied))

    def _count(self, notes: tuple[Note, ...]) -> None:
        for note in notes:
            (self._tally.count if note.counted else self._tally.note)(note.name, **dict(note.details))


async def perform(
    action: Send | Listen | Pause, link: DiagLink, clock: Clock, occupied: Callable[[int], bool] = _never_occupied
) -> Event:
    """Do one thing that an exchange asks for, and say what came of it."""
    begun_ns = clock.now_ns()
    try:
        if isinstance(action, Send):
            # What came before the request cannot be its answer, however well it fits: read afterwards, a late answer to
            # the request before would be believed.
            dropped = link.discard()
            await link.send(action.payload)
            return Sent(clock.now_ns(), dropped)
        if isinstance(action, Listen):
            answer = await link.receive(max(0, action.until_ns - begun_ns))
            return Received(clock.now_ns(), answer)
    except AnswerTimeout:
        return Silence(clock.now_ns(), occupied=occupied(begun_ns))
    except LinkError as error:
        return Broken(clock.now_ns(), error.name, str(error))
    await clock.sleep_ns(action.until_ns - begun_ns)
    return Waited(clock.now_ns())
