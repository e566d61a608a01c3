"""A UDS server: one request at a time, the standard's order of refusals, response pending, S3 (ISO 14229-1, -2).

Clauses in comments are those of ISO 14229-1:2020, from memory.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.core.clock import NS_PER_MS
from bench.core.continuing import State, called
from bench.core.node import Effect, Incarnation
from bench.wire.isotp import Deadline
from bench.wire.uds import SUPPRESS, DecodeError, Nrc, Session, Sid, negative
from ecu_sim.personality.sections import UdsServerTiming
from ecu_sim.uds.behaviour import ServerBehaviour
from ecu_sim.uds.services import Answer, Refused, Service, ServiceRule, ServiceTable
from ecu_sim.uds.sessions import SessionState

Done = Callable[[str | None], None]
Send = Callable[[bytes, Done], None]
"""Carries a response out; calls back with None when its last frame is on the bus, else with the error's name."""

FUNCTIONALLY_SILENT = frozenset(
    (
        Nrc.SERVICE_NOT_SUPPORTED,
        Nrc.SUB_FUNCTION_NOT_SUPPORTED,
        Nrc.REQUEST_OUT_OF_RANGE,
        Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION,
        Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION,
    )
)
"""Negative responses that are not sent to a functional request."""
SILENT_TESTER_PRESENT = bytes((Sid.TESTER_PRESENT, SUPPRESS))
FIRST_TESTER = 0
REQUEST = "request"
"""The event whose points are the requests that a server takes."""


class _Outbox:
    """The way back to one tester: one response at a time."""

    def __init__(self, life: Incarnation, send: Send) -> None:
        self._life, self._send = life, send
        self._queue: deque[tuple[bytes, Done]] = deque()

    def put(self, pdu: bytes, done: Done) -> None:
        self._queue.append((pdu, done))
        if len(self._queue) == 1:
            self._send(pdu, self._sent)

    def state(self, now_ns: int) -> State:
        """Return what waits, the response on its way first, and what its end leads to."""
        return tuple((pdu, called(done, now_ns)) for pdu, done in self._queue)

    def _sent(self, error: str | None) -> None:
        _, done = self._queue.popleft()
        waiting = self._queue[0][0] if self._queue else None
        done(error)
        if waiting is not None and self._life.alive:
            self._send(waiting, self._sent)


@dataclass(slots=True)
class _Exchange:
    """A request being served."""

    pdu: bytes
    functional: bool
    tester: int
    effect: Effect | None = None
    """The fault point that it is, once it is being served."""
    pending_sent: bool = False
    """Whether a 0x78 went out: then the final answer is never left out."""

    @property
    def sid(self) -> int:
        return self.pdu[0]

    def state(self, now_ns: int) -> State:
        """Return the request and how far it is; where its service waits stands in the state of its task."""
        del now_ns
        return self.pdu, self.functional, self.tester, self.pending_sent, self.effect is not None


class UdsServer:
    """The server of one life of an ECU, in one mode (application or bootloader).

    `sends` are the ways back to the testers it knows: each has an address of its own, and they share one session.
    While a request is served, another tester gets 0x21, or nothing where `ignores_others`. A positive answer of more
    than `answer_limit_bytes`, what the transport carries, is refused with 0x14.
    """

    def __init__(
        self,
        life: Incarnation,
        timing: UdsServerTiming,
        state: SessionState,
        table: ServiceTable,
        sends: Sequence[Send],
        on_session_timeout: Callable[[], None],
        behaviour: ServerBehaviour | None = None,
        *,
        answer_limit_bytes: int,
        ignores_others: bool = False,
    ) -> None:
        self._answer_limit_bytes = answer_limit_bytes
        self._behaviour = behaviour or ServerBehaviour()
        self._life, self._timing, self._state, self._table = life, timing, state, table
        self._on_session_timeout, self._ignores_others = on_session_timeout, ignores_others
        self._outboxes = [_Outbox(life, send) for send in sends]
        self._exchange: _Exchange | None = None
        self._closing = False
        self._arriving = 0
        """Requests that have begun to arrive, of all testers."""
        self._s3 = Deadline(life, self._session_timed_out)
        self._pending = Deadline(life, self._answer_pending)
        self._restart_s3()

    def state(self, now_ns: int) -> State:
        """Return what later behaviour depends on, instants as what is left of them."""
        exchange = None if self._exchange is None else self._exchange.state(now_ns)
        outboxes = tuple(outbox.state(now_ns) for outbox in self._outboxes)
        timers = self._s3.state(now_ns), self._pending.state(now_ns)
        rest = self._closing, self._arriving, self._state.state(now_ns), self._behaviour.state(now_ns)
        return exchange, outboxes, timers, *rest

    # What the transport tells -----------------------------------------------------------------------

    def reception_began(self) -> None:
        """A request has begun to arrive: the session does not run out until it is complete or broke off."""
        # S3Server stops at the begin of a request (ISO 14229-2, 9.3, from memory), not at its end: a block of 4 KiB may
        # take longer on the wire than S3, and the session would end under it.
        self._arriving += 1
        self._s3.clear()

    def reception_broke_off(self) -> None:
        """A request never became complete."""
        self._arriving -= 1
        if self._exchange is None:
            self._restart_s3()

    def reception_completed(self, pdu: bytes, *, tester: int = FIRST_TESTER) -> None:
        """A request that had begun to arrive is complete: serve it."""
        self._arriving -= 1
        self.received(pdu, functional=False, tester=tester)

    @property
    def requester(self) -> int:
        """The tester whose request is being served."""
        return FIRST_TESTER if self._exchange is None else self._exchange.tester

    def received(self, pdu: bytes, *, functional: bool, tester: int = FIRST_TESTER) -> None:
        """Serve a complete request of the n-th tester; functional ones count as the first one's."""
        # Between the answer to a reset and the reset nothing is served: what was answered and then lost would be
        # believed done.
        if self._closing or not pdu:
            return
        if self._exchange is not None:
            self._received_while_busy(pdu, tester)
            return
        self._exchange = _Exchange(pdu, functional, tester)
        # No S3 while a request is served; it begins anew with the end of the answer.
        self._s3.clear()
        self._life.spawn(self._serve(self._exchange), "request")

    def close(self) -> None:
        """Serve nothing any more: a reset is due."""
        self._closing = True
        self._s3.clear()

    def owe(self, pdu: bytes, tester: int) -> None:
        """Send the final answer to a request that another life of the ECU answered with 0x78."""
        self._outboxes[tester].put(pdu, _ignore)

    def _received_while_busy(self, pdu: bytes, tester: int) -> None:
        """A silent tester present is served at once, anything else has to be repeated."""
        with self._life.effect(REQUEST):
            # One request at a time (ISO 14229-2): a second tester is told 0x21 to come again. Suppressed tester present
            # is the exception that 14229-2 makes, since testers send it beside their own requests.
            ignored = self._ignores_others and tester != self.requester
            if pdu != SILENT_TESTER_PRESENT and not ignored:
                self._outboxes[tester].put(negative(pdu[0], Nrc.BUSY_REPEAT_REQUEST), _ignore)

    # One request ------------------------------------------------------------------------------------

    async def _serve(self, exchange: _Exchange) -> None:
        exchange.effect = self._life.effect(REQUEST)
        self._pending.set(self._due_ns(self._timing.p2_ms))
        try:
            answer = await self._behaviour.answer(exchange.pdu, self._answer)
        except Refused as refused:
            self._conclude(exchange, self._negative(exchange, refused.nrc), None)
        else:
            if len(answer.pdu) > self._answer_limit_bytes:
                # The transport has no way to say so: without 0x14 the tester would see an ECU that fell silent.
                self._conclude(exchange, self._negative(exchange, Nrc.RESPONSE_TOO_LONG), None)
                return
            self._conclude(exchange, self._positive(exchange, answer), answer.then)

    async def _answer(self, pdu: bytes) -> Answer:
        # The order of ISO 14229-1:2020, figures 5 and 6: session before security before length before sub-function. A
        # tester that probes a locked ECU must not learn from the length of a request which services it has.
        service = self._supported(pdu)
        self._check_session(service.rule)
        self._check_security(service.rule.unlocked)
        self._check_minimum_length(service.rule, pdu)
        self._check_sub_function(service.rule, pdu)
        return await service.handle(self._decoded(service, pdu))

    def _supported(self, pdu: bytes) -> Service:
        service = self._table.get(pdu[0])
        if service is None:
            raise Refused(Nrc.SERVICE_NOT_SUPPORTED)
        return service

    def _check_session(self, service: ServiceRule) -> None:
        if self._state.session not in service.sessions:
            raise Refused(Nrc.SERVICE_NOT_SUPPORTED_IN_ACTIVE_SESSION)

    def _check_security(self, needs_unlocked: bool) -> None:
        if needs_unlocked and self._state.missing is not None:
            raise Refused(self._state.missing)

    def _check_minimum_length(self, service: ServiceRule, pdu: bytes) -> None:
        if len(pdu) < service.minimum_bytes:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)

    def _check_sub_function(self, service: ServiceRule, pdu: bytes) -> None:
        # 0x31 has an order of its own: routine before type (figure 7, from memory).
        if service.sub_functions is None or service.own_order:
            return
        # Bit 7 is suppressPosRspMsgIndicationBit and no part of the sub-function (8.2.2).
        rule = service.sub_functions.get(pdu[1] & ~SUPPRESS)
        if rule is None:
            raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED)
        if self._state.session not in rule.sessions:
            raise Refused(Nrc.SUB_FUNCTION_NOT_SUPPORTED_IN_ACTIVE_SESSION)
        self._check_security(rule.unlocked)

    def _decoded(self, service: Service, pdu: bytes) -> Any:
        try:
            return service.decode(pdu)
        except DecodeError:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT) from None

    # Its answer -------------------------------------------------------------------------------------

    def _positive(self, exchange: _Exchange, answer: Answer) -> bytes | None:
        """Return what is sent: nothing when suppressed, unless the tester was told to wait."""
        has_sub_function = self._table[exchange.sid].rule.sub_functions is not None
        # After a 0x78 the final answer must come, suppressed or not (8.7, table of suppressed answers): the tester is
        # waiting P2* for it.
        pending_before = exchange.pending_sent or answer.interim
        suppressed = has_sub_function and exchange.pdu[1] & SUPPRESS and not pending_before
        return None if suppressed else answer.pdu

    def _negative(self, exchange: _Exchange, nrc: Nrc) -> bytes | None:
        """Return what is sent: nothing for some codes when functional, unless the tester was told to wait."""
        # Everybody hears a functional request: if each ECU that does not know it said so, the bus would be full of
        # refusals (8.7: 0x11, 0x12, 0x31, 0x7E, 0x7F stay unsaid).
        silent = exchange.functional and nrc in FUNCTIONALLY_SILENT and not exchange.pending_sent
        return None if silent else negative(exchange.sid, nrc)

    def _conclude(self, exchange: _Exchange, pdu: bytes | None, then: Callable[[], None] | None) -> None:
        # First: a 0x78 behind the final answer would be taken for one of the next request.
        self._pending.drop()
        pdu = self._behaviour.final_response(pdu)
        if then is not None:
            # Before the answer is out: nothing may be served between it and the reset.
            self._closing = True

        def over(_error: str | None) -> None:
            self._exchange = None
            self._restart_s3()
            if exchange.effect is not None:
                exchange.effect.end()
            if then is not None and self._life.alive:
                then()

        if pdu is None:
            over(None)
        else:
            self._outboxes[exchange.tester].put(pdu, over)

    def _answer_pending(self) -> None:
        """Tell the tester to wait (0x78): once before P2, then before each P2* runs out."""
        exchange = self._exchange
        if exchange is not None and self._behaviour.says_pending(again=exchange.pending_sent):
            # The margin before P2 covers the way to the bus: 0x78 has to *begin* before P2Server is over (ISO 14229-2).
            exchange.pending_sent = True
            self._outboxes[exchange.tester].put(negative(exchange.sid, Nrc.RESPONSE_PENDING), _ignore)
            self._pending.set(self._due_ns(self._timing.p2_star_ms))

    def _due_ns(self, limit_ms: int) -> int:
        return self._life.now_ns() + (limit_ms - self._timing.pending_margin_ms) * NS_PER_MS

    # S3 ---------------------------------------------------------------------------------------------

    def _restart_s3(self) -> None:
        # The default session has no time-out, and none may run while a request is under way.
        if self._state.session is Session.DEFAULT or self._closing or self._arriving:
            self._s3.clear()
        else:
            self._s3.set(self._life.now_ns() + self._timing.s3_ms * NS_PER_MS)

    def _session_timed_out(self) -> None:
        self._on_session_timeout()


def _ignore(_error: str | None) -> None:
    """Nobody waits for the end of this response."""
