"""One UDS request on its way to its final answer, as a value with one step: the client's timers of ISO 14229-2.

Nothing here waits or sends. `Exchange.begin` gives the first action; whoever performs it (`bench.flasher.client`) gives
what came of it to `next`, until an action is `Done`. All that decides how it goes on stands in the value: the request,
what it has left of tries, its deadlines, and what the connection remembers of earlier requests (`Memory`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.flasher.errors import PENDING_LIMIT, NegativeResponse, ProtocolViolation, TransportError, UdsError
from bench.flasher.notes import Note
from bench.flasher.recipe import Recipe
from bench.flasher.services import NEGATIVE, POSITIVE, SessionTiming
from bench.wire.uds import Nrc

HEAD_BYTES = 8
"""How much of a request an error shows."""
UNANSWERED_MAX = 8
"""How many unanswered requests are remembered, so that late answers are recognised."""
OCCUPIED_LIMIT_NS = 2 * NS_PER_S
"""How long an answer may be kept off the bus by other jobs: some blocks of 4,095 bytes, also at 125 kbit/s."""


# What is remembered from request to request -----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Limits:
    """The client's time limits of one connection, in nanoseconds: the recipe's, or what the ECU reported if longer."""

    p2_ns: int
    p2_star_ns: int
    late_ns: int
    """How long a late answer may come: the longest that an ECU may let wait, without what gateways add."""
    pending_ns: int
    busy_pause_ns: int
    busy_tries: int

    @classmethod
    def of(cls, recipe: Recipe, reported: SessionTiming) -> Limits:
        """Return the limits of a recipe, widened by what the ECU said in its answer to 0x10."""
        timing, retries = recipe.timing, recipe.retries
        p2_star_ms = max(timing.p2_star_ms, reported.p2_star_ms)
        # Delta P2 is what gateways and transport may add on the way to and fro (ISO 14229-2).
        return cls(
            p2_ns=(max(timing.p2_ms, reported.p2_ms) + timing.delta_p2_ms) * NS_PER_MS,
            p2_star_ns=(p2_star_ms + timing.delta_p2_ms) * NS_PER_MS,
            late_ns=p2_star_ms * NS_PER_MS,
            pending_ns=timing.pending_limit_s * NS_PER_S,
            busy_pause_ns=retries.busy_pause_ms * NS_PER_MS,
            busy_tries=retries.busy,
        )


@dataclass(frozen=True, slots=True)
class Unanswered:
    """The answer that a given-up request may still get, until `until_ns`."""

    prefix: bytes
    until_ns: int

    def begins(self, answer: bytes) -> bool:
        """Return whether `answer` belongs to that request."""
        return answer.startswith(self.prefix) or answer[:2] == bytes((NEGATIVE, self.prefix[0] - POSITIVE))


@dataclass(frozen=True, slots=True)
class Memory:
    """What a connection remembers: requests that were given up, and how the last answer began."""

    unanswered: tuple[Unanswered, ...] = ()
    answered_before: bytes = b""

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them."""
        late = tuple((each.prefix, each.until_ns - now_ns) for each in self.without_overdue(now_ns).unanswered)
        return late, self.answered_before

    def without_overdue(self, now_ns: int) -> Memory:
        """Return it without requests whose late answer can no longer come."""
        if not self.unanswered or self.unanswered[0].until_ns >= now_ns:
            return self
        return replace(self, unanswered=tuple(each for each in self.unanswered if each.until_ns >= now_ns))

    def given_up(self, prefix: bytes, until_ns: int) -> Memory:
        """Return it with one more request whose answer may come late."""
        return replace(self, unanswered=(*self.unanswered, Unanswered(prefix, until_ns))[-UNANSWERED_MAX:])

    def without(self, one: Unanswered) -> Memory:
        """Return it without a request that has its answer now."""
        return replace(self, unanswered=tuple(each for each in self.unanswered if each is not one))


NOTHING_REMEMBERED = Memory()

# What is to be done, and what came of it --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Send:
    """Drop what has arrived, then send a message."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Listen:
    """Wait for a message that begins until `until_ns`."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing until `until_ns`."""

    until_ns: int


@dataclass(frozen=True, slots=True)
class Done:
    """The exchange is over: the positive answer, or why there is none."""

    answer: bytes | None = None
    error: UdsError | None = None


Action = Send | Listen | Pause | Done


@dataclass(frozen=True, slots=True)
class Sent:
    """The last frame is on the bus; `dropped` messages had arrived before and were not waited for."""

    now_ns: int
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class Received:
    """A whole message came."""

    now_ns: int
    answer: bytes


@dataclass(frozen=True, slots=True)
class Silence:
    """No message began in time; `occupied` when other jobs were sending meanwhile."""

    now_ns: int
    occupied: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """The transport failed, sending or receiving; `name` is the standard's."""

    now_ns: int
    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class Waited:
    """A pause is over."""

    now_ns: int


Event = Sent | Received | Silence | Broken | Waited


@dataclass(frozen=True, slots=True)
class Turn:
    """What one event led to: the value after it, what is to be done, and what is worth counting."""

    exchange: Exchange
    action: Action
    notes: tuple[Note, ...] = ()


# The exchange itself ----------------------------------------------------------------------------------


class Wanted(StrEnum):
    """Which answer ends an exchange."""

    FIRST = "first"
    NEWEST = "newest"
    """As long as an earlier request of the same kind is unanswered, the first answer may be that one's: the last
    counts (a seed, a challenge)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request under way. `expected` is how its positive answer begins; times are the run's."""

    payload: bytes
    expected: bytes
    limits: Limits
    memory: Memory = NOTHING_REMEMBERED
    wanted: Wanted = Wanted.FIRST
    busy_left: int = 0
    pending: bool = False
    """Whether the ECU asked for patience (0x78) and has not answered yet."""
    deadline_ns: int = 0
    pending_until_ns: int = 0
    occupied_until_ns: int = 0
    older: bytes = b""
    """An answer that holds unless a newer one comes."""

    @classmethod
    def of(cls, payload: bytes, expected: bytes, limits: Limits, memory: Memory, wanted: Wanted) -> Exchange:
        """Return a request that was not sent yet."""
        return cls(payload, expected, limits, memory, wanted, busy_left=limits.busy_tries)

    @property
    def sid(self) -> int:
        """Return the service id."""
        return self.payload[0]

    def state(self, now_ns: int) -> tuple[object, ...]:
        """Return what later behaviour depends on, instants as what is left of them: equal states go on equally."""
        left = tuple(
            max(0, each - now_ns) for each in (self.deadline_ns, self.pending_until_ns, self.occupied_until_ns)
        )
        # Both may be over when somebody looks late: which of them ends the wait still decides what the error is.
        patience_over = self.deadline_ns >= self.pending_until_ns
        rest = (self.payload, self.expected, self.limits, str(self.wanted), self.busy_left, self.pending, self.older)
        return *rest, left, patience_over, self.memory.state(now_ns)

    def begin(self) -> Turn:
        """Return the first turn: the request is sent."""
        return Turn(self, Send(self.payload))

    def listening(self, now_ns: int) -> Turn:
        """Return the turn in which a request that somebody sent is answered: P2 runs from now."""
        limits = self.limits
        # P2 and P2* end when an answer *begins* (ISO 14229-2): ISO-TP reports its first frame. Measured to its end, a
        # long answer on a slow bus would look like a dead ECU.
        return _listen(
            replace(
                self,
                pending=False,
                deadline_ns=now_ns + limits.p2_ns,
                pending_until_ns=now_ns + limits.pending_ns,
                occupied_until_ns=now_ns + OCCUPIED_LIMIT_NS,
            )
        )

    def next(self, event: Event) -> Turn:
        """Return what an event leads to."""
        match event:
            case Received(now_ns, answer):
                return self._received(answer, now_ns)
            case Sent(now_ns, dropped):
                memory, notes = dropped_before(self.memory.without_overdue(now_ns), dropped, self.payload)
                turn = replace(self, memory=memory).listening(now_ns)
                return replace(turn, notes=notes)
            case Silence(now_ns, occupied):
                return self._silence(now_ns, occupied=occupied)
            case Broken(now_ns, name, detail):
                return self._ended(TransportError(name, f"{named(self.payload)}: {detail}"), now_ns)
            case Waited():
                return Turn(self, Send(self.payload))

    # Silence ----------------------------------------------------------------------------------------

    def _silence(self, now_ns: int, *, occupied: bool) -> Turn:
        # Requests have lower identifiers than answers: while another job sends a block, an ECU that wants to answer
        # loses every arbitration (ISO 11898-1). So P2 begins anew when others occupied the bus meanwhile, bounded.
        if occupied and now_ns < self.occupied_until_ns:
            wait_ns = self.limits.p2_star_ns if self.pending else self.limits.p2_ns
            again = replace(self, deadline_ns=now_ns + wait_ns)
            return Turn(again, Listen(again.deadline_ns), (Note("bus_occupied", (("by", "another job"),), False),))
        if self.pending:
            if self.deadline_ns >= self.pending_until_ns:
                patience_s = self.limits.pending_ns // NS_PER_S
                late = TransportError(PENDING_LIMIT, f"{named(self.payload)}: still pending after {patience_s} s")
                return self._ended(late, now_ns)
            return self._ended(TransportError("P2*", f"{named(self.payload)}: no answer began in time"), now_ns)
        if self.older:
            return self._answered(self.older)
        return self._ended(TransportError("P2", f"{named(self.payload)}: no answer began in time"), now_ns)

    def _ended(self, error: UdsError, now_ns: int) -> Turn:
        """Give up; a request that nobody answered may still be: for one P2*, the longest that an ECU may let wait."""
        memory = self.memory
        if isinstance(error, TransportError):
            memory = memory.without_overdue(now_ns).given_up(self.expected, now_ns + self.limits.late_ns)
        return Turn(replace(self, memory=memory, pending=False), Done(error=error))

    # Answers ----------------------------------------------------------------------------------------

    def _received(self, answer: bytes, now_ns: int) -> Turn:
        if answer.startswith(self.expected):
            return self._positive(answer, now_ns)
        # A negative response is 7F, the service it is about, one code: exactly three bytes (ISO 14229-1, 8.4).
        if answer[:2] == bytes((NEGATIVE, self.sid)):
            if len(answer) != 3:
                what = f"{named(self.payload)}: negative answer of {len(answer)} bytes: {shown(answer)}"
                return self._ended(ProtocolViolation(what), now_ns)
            return self._negative(answer[2], now_ns)
        return self._other(answer, now_ns)

    def _positive(self, answer: bytes, now_ns: int) -> Turn:
        notes = (Note("late_answer", (("answer", shown(self.older)),)),) if self.older else ()
        turn = replace(self, memory=replace(self.memory, answered_before=self.expected))._newest(answer, now_ns)
        return replace(turn, notes=notes)

    def _newest(self, answer: bytes, now_ns: int) -> Turn:
        """Take the answer, or wait for one that is newer: P2 long for every earlier request of the same kind."""
        memory = self.memory.without_overdue(now_ns)
        earlier = next((each for each in memory.unanswered if each.prefix == self.expected), None)
        if self.wanted is not Wanted.NEWEST or earlier is None:
            return replace(self, memory=memory)._answered(answer)
        return replace(self, memory=memory.without(earlier), older=answer).listening(now_ns)

    def _answered(self, answer: bytes) -> Turn:
        return Turn(replace(self, pending=False), Done(answer))

    def _negative(self, nrc: int, now_ns: int) -> Turn:
        if nrc == Nrc.RESPONSE_PENDING:
            # After each 0x78 the server has P2* anew, without a limit to their number (ISO 14229-2, from memory): an
            # ECU that hangs in a loop would keep its tester for ever, hence the recipe's own limit over all of them.
            deadline_ns = min(now_ns + self.limits.p2_star_ns, self.pending_until_ns)
            turn = _listen(replace(self, pending=True, deadline_ns=deadline_ns))
            return replace(turn, notes=(Note("pending", (("sid", f"0x{self.sid:02X}"),)),))
        known = replace(self, memory=replace(self.memory, answered_before=self.expected))
        # 0x21 alone says that nothing was begun and the same request may come again (ISO 14229-1, annex A); after any
        # other code a repetition could do twice what must be done once.
        if nrc != Nrc.BUSY_REPEAT_REQUEST:
            return known._ended(NegativeResponse(self.sid, nrc, self.payload[:HEAD_BYTES]), now_ns)
        if self.older:
            return known._newest(self.older, now_ns)
        if not self.busy_left:
            return known._ended(NegativeResponse(self.sid, nrc, self.payload[:HEAD_BYTES]), now_ns)
        again = replace(known, busy_left=self.busy_left - 1, pending=False)
        pause = Pause(now_ns + self.limits.busy_pause_ns)
        return Turn(again, pause, (Note("busy_repeat", (("sid", f"0x{self.sid:02X}"),)),))

    def _other(self, answer: bytes, now_ns: int) -> Turn:
        """Count what is no answer to this request, by kind; ProtocolViolation when it is ours but wrong."""
        memory = self.memory.without_overdue(now_ns)
        earlier = next((each for each in memory.unanswered if each.begins(answer)), None)
        if earlier is not None:
            if answer[2:] != bytes((Nrc.RESPONSE_PENDING,)):
                memory = memory.without(earlier)
            kind = "late_answer"
        elif memory.answered_before and answer.startswith(memory.answered_before):
            kind = "unexpected_answer"
        elif answer[:1] == bytes((self.sid + POSITIVE,)):
            begin = self.expected.hex(" ")
            what = f"{named(self.payload)}: the answer must begin with {begin}, it is {shown(answer)}"
            return self._ended(ProtocolViolation(what), now_ns)
        else:
            kind = "foreign_answer"
        turn = _listen(replace(self, memory=memory))
        return replace(turn, notes=(Note(kind, (("answer", shown(answer)),)),))


def _listen(exchange: Exchange) -> Turn:
    return Turn(exchange, Listen(exchange.deadline_ns))


def dropped_before(memory: Memory, dropped: int, before: bytes) -> tuple[Memory, tuple[Note, ...]]:
    """Count messages that arrived since the last request: late as long as requests are unanswered, else unexpected."""
    notes: list[Note] = []
    for _ in range(dropped):
        if memory.unanswered:
            late = memory.unanswered[0]
            memory = memory.without(late)
            notes.append(Note("late_answer", (("of", shown(late.prefix)), ("before", shown(before)))))
        else:
            notes.append(Note("unexpected_answer", (("before", shown(before)),)))
    return memory, tuple(notes)


def named(payload: bytes) -> str:
    """Return a request as errors name it."""
    return f"request {shown(payload)}"


def shown(payload: bytes) -> str:
    """Return the first bytes of a message."""
    return f"{payload[:HEAD_BYTES].hex(' ')}{' ...' if len(payload) > HEAD_BYTES else ''}"
