"""The UDS client: one request at a time over a `DiagLink`; what `bench.flasher.exchange` decides is done here.

udsoncan serves as codec only; its `Client` blocks and measures with the wall clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from bench.core.clock import Clock
from bench.flasher.errors import TransportError
from bench.flasher.exchange import (
    Broken,
    Done,
    Event,
    Exchange,
    Limits,
    Listen,
    Memory,
    Note,
    Pause,
    Received,
    Send,
    Sent,
    Silence,
    Turn,
    Waited,
    Wanted,
    dropped_before,
    named,
)
from bench.flasher.recipe import Recipe
from bench.flasher.services import Call, SessionTiming
from bench.flasher.values import Tally
from bench.ports.diagnostics import AnswerTimeout, DiagLink, LinkError
from bench.wire.uds import SUPPRESS, Sid

T = TypeVar("T")

WITH_SUB_FUNCTION = frozenset(
    (
        Sid.DIAGNOSTIC_SESSION_CONTROL,
        Sid.ECU_RESET,
        Sid.SECURITY_ACCESS,
        Sid.COMMUNICATION_CONTROL,
        Sid.AUTHENTICATION,
        Sid.ROUTINE_CONTROL,
        Sid.TESTER_PRESENT,
        Sid.CONTROL_DTC_SETTING,
    )
)
"""Services of ours whose second byte is a sub-function."""


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

    async def call_suppressed(self, call: Call[T]) -> T | None:
        """Send one request with the suppress bit; None when the ECU is silent, which means that it obeyed.

        After a 0x78 the final answer comes all the same and is returned. A positive answer without one is counted
        as unexpected and taken. Raises like `call`, and ValueError for a service without sub-function.
        """
        if call.sid not in WITH_SUB_FUNCTION:
            raise ValueError(f"service 0x{call.sid:02X} has no sub-function: its answer cannot be suppressed")
        payload = bytes((call.sid, call.payload[1] | SUPPRESS)) + call.payload[2:]
        with self.reserved():
            answer = await self._done(self._new(call, Wanted.SUPPRESSED, payload).begin())
        return None if answer is None else call.decode(answer)

    async def tell(self, payload: bytes) -> None:
        """Send one request and do not wait: no answer is expected, one that comes is counted. TransportError."""
        with self.reserved():
            self._drop(payload)
            try:
                await self._link.send(payload)
            except LinkError as error:
                raise TransportError(error.name, f"{named(payload)}: {error}") from None

    async def heard(self, call: Call[T]) -> tuple[T, ...]:
        """Return this ECU's answer to a request that has just been sent functionally; () when it keeps silent.

        To be used inside `reserved`. Raises like `call`; 0x21 is not repeated, since others would obey twice.
        """
        turn = self._new(call, Wanted.IF_ANY, call.payload).listening(self._clock.now_ns())
        answer = await self._done(turn)
        return () if answer is None else (call.decode(answer),)

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Hold the link for one request; RuntimeError when one is outstanding already."""
        if self._outstanding:
            raise RuntimeError("one outstanding request per link")
        self._outstanding = True
        try:
            yield
        finally:
            self._outstanding, self._exchange = False, None

    def drop_arrived(self, call: Call[T]) -> None:
        """Count and drop what has arrived before `call` is sent functionally."""
        self._drop(call.payload)

    # One exchange -----------------------------------------------------------------------------------

    def _new(self, call: Call[T], wanted: Wanted, payload: bytes) -> Exchange:
        return Exchange.of(payload, call.expected, self._limits, self._memory, wanted)

    async def _positive(self, call: Call[T], wanted: Wanted) -> bytes:
        with self.reserved():
            answer = await self._done(self._new(call, wanted, call.payload).begin())
        assert answer is not None, "silence is an error unless the answer was suppressed"
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
            turn = turn.exchange.next(await self._do(turn.action))

    async def _do(self, action: Send | Listen | Pause) -> Event:
        """Do one thing and say what came of it."""
        asked_ns = self._clock.now_ns()
        try:
            if isinstance(action, Send):
                dropped = self._link.discard()
                await self._link.send(action.payload)
                return Sent(self._clock.now_ns(), dropped)
            if isinstance(action, Listen):
                answer = await self._link.receive(max(0, action.until_ns - asked_ns))
                return Received(self._clock.now_ns(), answer)
        except AnswerTimeout:
            return Silence(self._clock.now_ns(), occupied=self._occupied(asked_ns))
        except LinkError as error:
            return Broken(self._clock.now_ns(), error.name, str(error))
        await self._clock.sleep_ns(action.until_ns - asked_ns)
        return Waited(self._clock.now_ns())

    def _drop(self, payload: bytes) -> None:
        """Drop what has arrived since the last request."""
        memory = self._memory.without_overdue(self._clock.now_ns())
        self._memory, notes = dropped_before(memory, self._link.discard(), payload)
        self._count(notes)

    def _count(self, notes: tuple[Note, ...]) -> None:
        for note in notes:
            (self._tally.count if note.counted else self._tally.note)(note.name, **dict(note.details))
