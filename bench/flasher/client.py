"""The UDS client: one request at a time over a `DiagLink`, with the time limits of ISO 14229-2.

udsoncan serves as codec only; its `Client` blocks and measures with the wall clock.
"""

from __future__ import annotations

from collections import deque
from typing import TypeVar

from bench.core.clock import NS_PER_MS, NS_PER_S, Clock
from bench.flasher.errors import PENDING_LIMIT, NegativeResponse, ProtocolViolation, TransportError
from bench.flasher.recipe import Recipe
from bench.flasher.services import NEGATIVE, POSITIVE, Call, SessionTiming
from bench.flasher.values import Tally
from bench.ports import AnswerTimeout, DiagLink, LinkError

T = TypeVar("T")

BUSY_REPEAT_REQUEST = 0x21
RESPONSE_PENDING = 0x78
HEAD_BYTES = 8
"""How much of a request an error shows."""
OWED_ANSWERS = 8
"""How many unanswered requests are remembered, so that their late answers are told from wrong ones."""


class UdsClient:
    """The tester's side of one ECU. Every failure is a `UdsError`, by blame."""

    def __init__(self, link: DiagLink, recipe: Recipe, clock: Clock, tally: Tally) -> None:
        self._link, self._clock, self._tally = link, clock, tally
        self._timing, self._retries = recipe.timing, recipe.retries
        self._told = SessionTiming(0, 0)
        self._owed: deque[bytes] = deque(maxlen=OWED_ANSWERS)
        self._outstanding = False
        self.pending = False
        """Whether the ECU has asked for patience (0x78) and has not answered yet."""

    def adopt(self, told: SessionTiming) -> None:
        """Use the time limits that the ECU told in its 0x10 answer where they are longer than the recipe's."""
        self._told = told

    async def call(self, call: Call[T]) -> T:
        """Send one request and return its decoded positive answer.

        0x21 is repeated after a pause, 0x78 waited out, both bounded by the recipe. TransportError,
        ProtocolViolation, NegativeResponse; RuntimeError when a request is outstanding already.
        """
        if self._outstanding:
            raise RuntimeError("one outstanding request per link")
        self._outstanding = True
        try:
            return call.decode(await self._answered(call))
        finally:
            self._outstanding = self.pending = False

    async def _answered(self, call: Call[T]) -> bytes:
        for tries_left in range(self._retries.busy, -1, -1):
            answer = await self._exchange(call)
            if answer[0] != NEGATIVE:
                return answer
            if answer[2] != BUSY_REPEAT_REQUEST or not tries_left:
                raise NegativeResponse(call.sid, answer[2], call.payload[:HEAD_BYTES])
            self._tally.count("busy_repeat", sid=f"0x{call.sid:02X}")
            await self._clock.sleep_ns(self._retries.busy_pause_ms * NS_PER_MS)
        raise AssertionError("the last try raises or returns")

    async def _exchange(self, call: Call[T]) -> bytes:
        """Send once and return the final answer: positive and matching, or negative other than 0x78."""
        for _ in range(self._link.discard()):
            self._tally.count("late_answer", before=f"0x{call.sid:02X}")
        try:
            await self._link.send(call.payload)
            return await self._final_answer(call)
        except LinkError as error:
            self._owed.append(call.expected)
            raise TransportError(error.name, f"{_named(call)}: {error}") from None

    async def _final_answer(self, call: Call[T]) -> bytes:
        p2_ns = (max(self._timing.p2_ms, self._told.p2_ms) + self._timing.delta_p2_ms) * NS_PER_MS
        p2_star_ns = (max(self._timing.p2_star_ms, self._told.p2_star_ms) + self._timing.delta_p2_ms) * NS_PER_MS
        sent_ns = self._clock.now_ns()
        limit_ns = sent_ns + self._timing.pending_limit_s * NS_PER_S
        deadline_ns = sent_ns + p2_ns
        while True:
            answer = await self._next_message(call, deadline_ns, limit_ns)
            if not self._is_answer(call, answer):
                continue
            if answer[0] != NEGATIVE or answer[2] != RESPONSE_PENDING:
                return answer
            self.pending = True
            self._tally.count("pending", sid=f"0x{call.sid:02X}")
            deadline_ns = min(self._clock.now_ns() + p2_star_ns, limit_ns)

    async def _next_message(self, call: Call[T], deadline_ns: int, limit_ns: int) -> bytes:
        left_ns = deadline_ns - self._clock.now_ns()
        try:
            return await self._link.receive(max(0, left_ns))
        except AnswerTimeout:
            self._owed.append(call.expected)
            if deadline_ns >= limit_ns:
                detail = f"{_named(call)}: still pending after {self._timing.pending_limit_s} s"
                raise TransportError(PENDING_LIMIT, detail) from None
            name = "P2*" if self.pending else "P2"
            raise TransportError(name, f"{_named(call)}: no answer began in time") from None

    def _is_answer(self, call: Call[T], answer: bytes) -> bool:
        """Tell the answer from late and foreign ones (counted); ProtocolViolation when it is ours but wrong."""
        if answer.startswith(call.expected):
            return True
        if answer[:2] == bytes((NEGATIVE, call.sid)):
            if len(answer) == 3:
                return True
            raise ProtocolViolation(f"{_named(call)}: negative answer of {len(answer)} bytes: {_shown(answer)}")
        owed = next((prefix for prefix in self._owed if answer.startswith(prefix)), None)
        if owed is not None:
            self._owed.remove(owed)
            self._tally.count("late_answer", answer=_shown(answer))
            return False
        if answer[:1] == bytes((call.sid + POSITIVE,)):
            raise ProtocolViolation(
                f"{_named(call)}: the answer must begin with {call.expected.hex(' ')}, it is {_shown(answer)}"
            )
        self._tally.count("foreign_answer", answer=_shown(answer))
        return False


def _named(call: Call[T]) -> str:
    return f"request {_shown(call.payload)}"


def _shown(payload: bytes) -> str:
    return f"{payload[:HEAD_BYTES].hex(' ')}{' ...' if len(payload) > HEAD_BYTES else ''}"
