"""The UDS client: one request at a time over a `DiagLink`, with the time limits of ISO 14229-2.

udsoncan serves as codec only; its `Client` blocks and measures with the wall clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar

from bench.core.clock import NS_PER_MS, NS_PER_S, Clock
from bench.flasher.errors import PENDING_LIMIT, NegativeResponse, ProtocolViolation, TransportError
from bench.flasher.recipe import Recipe
from bench.flasher.services import NEGATIVE, POSITIVE, Call, SessionTiming
from bench.flasher.tries import Tries
from bench.flasher.values import Tally
from bench.ports.diagnostics import AnswerTimeout, DiagLink, LinkError
from bench.wire.uds import Nrc

T = TypeVar("T")

HEAD_BYTES = 8
"""How much of a request an error shows."""
UNANSWERED_MAX = 8
"""How many unanswered requests are remembered, so that late answers are recognised."""


@dataclass(frozen=True, slots=True)
class _Unanswered:
    """The answer that a given-up request may still get, until `until_ns`."""

    prefix: bytes
    until_ns: int

    def begins(self, answer: bytes) -> bool:
        """Return whether `answer` belongs to that request."""
        return answer.startswith(self.prefix) or answer[:2] == bytes((NEGATIVE, self.prefix[0] - POSITIVE))


class UdsClient:
    """The tester's side of one ECU. Every failure is a `UdsError`, by blame.

    What arrives and is not the answer is counted and logged by kind: `late_answer` (of a request that was given
    up), `unexpected_answer` (nothing was asked, or it was answered already), `foreign_answer` (of another service).
    """

    def __init__(self, link: DiagLink, recipe: Recipe, clock: Clock, tally: Tally) -> None:
        self._link, self._clock, self._tally = link, clock, tally
        self._timing, self._retries = recipe.timing, recipe.retries
        self._reported = SessionTiming(0, 0)
        self._unanswered: deque[_Unanswered] = deque(maxlen=UNANSWERED_MAX)
        self._answered_before = b""
        self._outstanding = False
        self.pending = False
        """Whether the ECU has asked for patience (0x78) and has not answered yet."""

    def adopt(self, reported: SessionTiming) -> None:
        """Use the time limits that the ECU reports in its 0x10 answer where they are longer than the recipe's."""
        self._reported = reported

    # Requests ---------------------------------------------------------------------------------------

    async def call(self, call: Call[T]) -> T:
        """Send one request and return its decoded positive answer.

        0x21 is repeated after a pause, 0x78 waited out, both bounded by the recipe. TransportError,
        ProtocolViolation, NegativeResponse; RuntimeError when a request is outstanding already.
        """
        with self.reserved():
            answer = await self._answered(call, call.payload)
            if answer is None:
                raise self._too_late(call)
            return call.decode(answer)

    async def call_newest(self, call: Call[T]) -> T:
        """Like `call`, for an answer that holds only once (a seed, a challenge).

        As long as an earlier request of the same kind is unanswered, the first one to come may be that one's: then
        another one is waited for, P2 long, and the last counts.
        """
        with self.reserved():
            answer = await self._answered(call, call.payload)
            if answer is None:
                raise self._too_late(call)
            while (earlier := self._unanswered_like(call)) is not None:
                self._unanswered.remove(earlier)
                answer = await self._newer_than(call, answer)
            return call.decode(answer)

    async def _newer_than(self, call: Call[T], answer: bytes) -> bytes:
        """Return the next answer of a kind, or `answer` when no other came; NegativeResponse when that one refuses."""
        self.pending = False
        try:
            newer = await self._final_answer(call)
        except LinkError as error:
            raise TransportError(error.name, f"{_named(call)}: {error}") from None
        if newer is None:
            if self.pending:
                raise self._too_late(call)
            return answer
        if newer[0] != NEGATIVE:
            self._tally.count("late_answer", answer=_shown(answer))
            return newer
        if newer[2] == Nrc.BUSY_REPEAT_REQUEST:
            return answer
        raise NegativeResponse(call.sid, newer[2], call.payload[:HEAD_BYTES])

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
            self._outstanding = self.pending = False

    # One exchange -----------------------------------------------------------------------------------

    async def _answered(self, call: Call[T], payload: bytes) -> bytes | None:
        """Return the final positive answer, or None when none began in time."""
        tries = Tries(self._retries.busy)
        while True:
            answer = await self._exchange(call, payload)
            if answer is None or answer[0] != NEGATIVE:
                return answer
            # 0x21 alone says that nothing was begun and the same request may come again (ISO 14229-1, annex A); after
            # any other code a repetition could do twice what must be done once.
            refusal = NegativeResponse(call.sid, answer[2], payload[:HEAD_BYTES])
            tries = tries.after(refusal, worth=refusal.nrc == Nrc.BUSY_REPEAT_REQUEST)
            self._tally.count("busy_repeat", sid=f"0x{call.sid:02X}")
            await self._clock.sleep_ns(self._retries.busy_pause_ms * NS_PER_MS)

    async def _exchange(self, call: Call[T], payload: bytes) -> bytes | None:
        """Send once and return the final answer: positive and matching, or negative other than 0x78."""
        self._discard(payload)
        self.pending = False
        try:
            await self._link.send(payload)
            return await self._final_answer(call)
        except LinkError as error:
            self._note_unanswered(call)
            raise TransportError(error.name, f"{_named(call)}: {error}") from None

    async def _final_answer(self, call: Call[T]) -> bytes | None:
        """Return the final answer to what was sent just now; None when none began within P2 or P2*."""
        # P2 and P2* end when an answer *begins* (ISO 14229-2): ISO-TP reports its first frame. Measured to its end, a
        # long answer on a slow bus would look like a dead ECU. Delta P2 is what gateways and transport may add.
        p2_ns = (max(self._timing.p2_ms, self._reported.p2_ms) + self._timing.delta_p2_ms) * NS_PER_MS
        p2_star_ns = (max(self._timing.p2_star_ms, self._reported.p2_star_ms) + self._timing.delta_p2_ms) * NS_PER_MS
        sent_ns = self._clock.now_ns()
        limit_ns = sent_ns + self._timing.pending_limit_s * NS_PER_S
        deadline_ns = sent_ns + p2_ns
        while True:
            try:
                answer = await self._link.receive(max(0, deadline_ns - self._clock.now_ns()))
            except AnswerTimeout:
                if not self.pending or deadline_ns < limit_ns:
                    return None
                self._note_unanswered(call)
                detail = f"{_named(call)}: still pending after {self._timing.pending_limit_s} s"
                raise TransportError(PENDING_LIMIT, detail) from None
            if not self._is_answer(call, answer):
                continue
            if answer[0] != NEGATIVE or answer[2] != Nrc.RESPONSE_PENDING:
                self._answered_before = call.expected
                return answer
            # After each 0x78 the server has P2* anew, without a limit to their number (ISO 14229-2, from memory): an
            # ECU that hangs in a loop would keep its tester for ever, hence the recipe's own limit over all of them.
            self.pending = True
            self._tally.count("pending", sid=f"0x{call.sid:02X}")
            deadline_ns = min(self._clock.now_ns() + p2_star_ns, limit_ns)

    def _too_late(self, call: Call[T]) -> TransportError:
        self._note_unanswered(call)
        return TransportError("P2*" if self.pending else "P2", f"{_named(call)}: no answer began in time")

    # Telling answers apart --------------------------------------------------------------------------

    def _is_answer(self, call: Call[T], answer: bytes) -> bool:
        """Tell the answer from any other message (counted); ProtocolViolation when it is ours but wrong."""
        if answer.startswith(call.expected):
            return True
        # A negative response is 7F, the service it is about, one code: exactly three bytes (ISO 14229-1, 8.4).
        if answer[:2] == bytes((NEGATIVE, call.sid)):
            if len(answer) == 3:
                return True
            raise ProtocolViolation(f"{_named(call)}: negative answer of {len(answer)} bytes: {_shown(answer)}")
        kind = self._kind(answer)
        if kind == "foreign_answer" and answer[:1] == bytes((call.sid + POSITIVE,)):
            raise ProtocolViolation(
                f"{_named(call)}: the answer must begin with {call.expected.hex(' ')}, it is {_shown(answer)}"
            )
        self._tally.count(kind, answer=_shown(answer))
        return False

    def _kind(self, answer: bytes) -> str:
        """Return what an answer to another request is; a late one is the last, unless it asks for patience."""
        self._forget_overdue()
        earlier = next((each for each in self._unanswered if each.begins(answer)), None)
        if earlier is not None:
            if answer[2:] != bytes((Nrc.RESPONSE_PENDING,)):
                self._unanswered.remove(earlier)
            return "late_answer"
        if self._answered_before and answer.startswith(self._answered_before):
            return "unexpected_answer"
        return "foreign_answer"

    def _note_unanswered(self, call: Call[T]) -> None:
        """Remember that a late answer may come: for one P2*, which is the longest that an ECU may let wait."""
        until_ns = self._clock.now_ns() + max(self._timing.p2_star_ms, self._reported.p2_star_ms) * NS_PER_MS
        self._unanswered.append(_Unanswered(call.expected, until_ns))

    def _unanswered_like(self, call: Call[T]) -> _Unanswered | None:
        """Return an earlier request of the same kind that is still unanswered."""
        self._forget_overdue()
        return next((each for each in self._unanswered if each.prefix == call.expected), None)

    def _forget_overdue(self) -> None:
        now_ns = self._clock.now_ns()
        while self._unanswered and self._unanswered[0].until_ns < now_ns:
            self._unanswered.popleft()

    def _discard(self, payload: bytes) -> None:
        """Drop what has arrived since the last request: late as long as requests are unanswered, else unexpected."""
        # What came before the request cannot be its answer, however well it fits: read afterwards, a late answer to the
        # request before would be believed.
        dropped = self._link.discard()
        if not dropped:
            return
        self._forget_overdue()
        for _ in range(dropped):
            if self._unanswered:
                self._tally.count("late_answer", of=_shown(self._unanswered.popleft().prefix), before=_shown(payload))
            else:
                self._tally.count("unexpected_answer", before=_shown(payload))


def _named(call: Call[T]) -> str:
    return f"request {_shown(call.payload)}"


def _shown(payload: bytes) -> str:
    return f"{payload[:HEAD_BYTES].hex(' ')}{' ...' if len(payload) > HEAD_BYTES else ''}"
