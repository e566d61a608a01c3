"""An ECU that breaks the rules of UDS on order (`bench.wire.ecu_misbehave`), so that testers can be tested against it.

What it does stands in one table, `ACTS`. The orders and their counts belong to the bench, not to the ECU's memory: they
outlive every reset and power cut.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.wire.ecu_misbehave import ABOVE_P2, ABOVE_P2_STAR, AFTER, BELOW_P2, BELOW_P2_STAR, EcuMisbehaviour
from bench.wire.uds import NEGATIVE, POSITIVE, Nrc, negative
from ecu_sim.personality.sections import UdsServerTiming
from ecu_sim.uds.behaviour import Genuine, ServerBehaviour
from ecu_sim.uds.services import Answer, Refused

BELOW_MS, ABOVE_MS = 20, 100
"""How far before and after a limit "just" is; a tester adds some 50 ms to a limit for its transport."""
_HOUR_NS = 3_600 * NS_PER_S
_REFUSED: Final = Nrc.GENERAL_REJECT
"""Ends the exchange inside the server; `CHANGES` says what goes out instead."""


@dataclass(slots=True)
class _Counted:
    order: EcuMisbehaviour
    seen: int = 0


class Misbehaviours:
    """What one ECU was told to do wrong, over all its lives; `note` is told each time it strikes."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self._note = note
        self._orders: list[_Counted] = []

    def add(self, order: EcuMisbehaviour) -> None:
        """Follow one more order from the next request on (of the one under way when it has not begun to be served)."""
        self._orders.append(_Counted(order))

    def state(self, now_ns: int) -> State:
        """Return the orders, and how often each had its chance."""
        del now_ns
        return tuple((str(counted.order), counted.seen) for counted in self._orders)

    def due(self, pdu: bytes) -> EcuMisbehaviour | None:
        """Count a request; returns what it is struck by: of several orders the first."""
        struck = None
        for counted in self._orders:
            if counted.order.matches(pdu):
                counted.seen += 1
                if struck is None and counted.order.when.include(counted.seen):
                    struck = counted.order
        if struck is not None:
            self._note(str(struck))
        return struck


class FaultyBehaviour(ServerBehaviour):
    """How a server behaves in one life that was ordered to break rules."""

    def __init__(
        self, life: Incarnation, timing: UdsServerTiming, orders: Misbehaviours, reset: Callable[[], None]
    ) -> None:
        self.life, self.timing, self.reset = life, timing, reset
        self._orders = orders
        self._struck: EcuMisbehaviour | None = None
        self.began_ns = 0

    def state(self, now_ns: int) -> State:
        """Return what the request under way is struck by, and how long ago it came."""
        return () if self._struck is None else (str(self._struck), now_ns - self.began_ns)

    async def answer(self, pdu: bytes, genuine: Genuine) -> Answer:
        """See `ServerBehaviour`."""
        self.began_ns = self.life.now_ns()
        self._struck = self._orders.due(pdu)
        if self._struck is None:
            return await genuine(pdu)
        return await ACTS[self._struck.kind](self, self._struck.value, pdu, genuine)

    def says_pending(self, *, again: bool) -> bool:
        """See `ServerBehaviour`."""
        if self._struck is None or self._struck.kind not in ("late", "slow"):
            return True
        return self._struck.kind == "slow" and not (again and self._struck.value in (BELOW_P2_STAR, ABOVE_P2_STAR))

    def final_response(self, pdu: bytes | None) -> bytes | None:
        """See `ServerBehaviour`."""
        struck, self._struck = self._struck, None
        if struck is None or pdu is None:
            return pdu
        change = CHANGES.get(struck.kind)
        return pdu if change is None else change(struck.value, pdu)

    async def until(self, after_ms: int) -> None:
        """Wait until so long after the request came."""
        left_ns = self.began_ns + after_ms * NS_PER_MS - self.life.now_ns()
        if left_ns > 0:
            await self.life.sleep_ns(left_ns)

    async def for_ever(self) -> None:
        """Wait until this life ends."""
        while True:
            await self.life.sleep_ns(_HOUR_NS)


Value = int | str | None
Act = Callable[[FaultyBehaviour, Value, bytes, Genuine], Awaitable[Answer]]
Change = Callable[[Value, bytes], bytes | None]


def _int(value: Value) -> int:
    assert isinstance(value, int), "checked when the order was read"
    return value


async def _ignore(_by: FaultyBehaviour, _value: Value, _pdu: bytes, _genuine: Genuine) -> Answer:
    raise Refused(_REFUSED)


async def _serve(_by: FaultyBehaviour, _value: Value, pdu: bytes, genuine: Genuine) -> Answer:
    return await genuine(pdu)


async def _pend(by: FaultyBehaviour, _value: Value, _pdu: bytes, _genuine: Genuine) -> Answer:
    await by.for_ever()
    raise Refused(_REFUSED)


async def _serve_late(by: FaultyBehaviour, value: Value, pdu: bytes, genuine: Genuine) -> Answer:
    """Serve at once and keep the answer back."""
    timing = by.timing
    p2_star_ends_ms = timing.p2_ms - timing.pending_margin_ms + timing.p2_star_ms
    limits_ms: Mapping[Value, int] = {
        BELOW_P2: max(0, timing.p2_ms - BELOW_MS),
        ABOVE_P2: timing.p2_ms + ABOVE_MS,
        BELOW_P2_STAR: p2_star_ends_ms - BELOW_MS,
        ABOVE_P2_STAR: p2_star_ends_ms + ABOVE_MS,
    }
    after_ms = limits_ms[value] if value in limits_ms else _int(value)
    try:
        answer = await genuine(pdu)
    except Refused:
        await by.until(after_ms)
        raise
    await by.until(after_ms)
    return answer


async def _reset(by: FaultyBehaviour, value: Value, pdu: bytes, genuine: Genuine) -> Answer:
    if value == AFTER:
        return replace(await genuine(pdu), then=by.reset)
    by.life.call_at_ns(by.began_ns + _int(value) * NS_PER_MS, by.reset)
    if not value:
        await by.for_ever()
    return await genuine(pdu)


def _as_negative(value: Value, pdu: bytes) -> bytes:
    return negative(pdu[1] if pdu[0] == NEGATIVE else pdu[0] - POSITIVE, _int(value))


def _wrong_echo(value: Value, pdu: bytes) -> bytes:
    if pdu[0] == NEGATIVE or len(pdu) < 2:
        return pdu
    return pdu[:1] + bytes(((pdu[1] + _int(value)) & 0xFF,)) + pdu[2:]


def _wrong_service(value: Value, pdu: bytes) -> bytes:
    return pdu if pdu[0] == NEGATIVE else bytes(((pdu[0] + _int(value)) & 0xFF,)) + pdu[1:]


ACTS: Mapping[str, Act] = {
    "nrc": _ignore,
    "nrc_after": _serve,
    "silent": _ignore,
    "lost_answer": _serve,
    "pending": _pend,
    "slow": _serve_late,
    "late": _serve_late,
    "wrong_echo": _serve,
    "wrong_service": _serve,
    "truncated": _serve,
    "reset": _reset,
}
"""What is done about a request, by the kind of misbehaviour."""
CHANGES: Mapping[str, Change] = {
    "nrc": _as_negative,
    "nrc_after": _as_negative,
    "silent": lambda _value, _pdu: None,
    "lost_answer": lambda _value, _pdu: None,
    "wrong_echo": _wrong_echo,
    "wrong_service": _wrong_service,
    "truncated": lambda value, pdu: pdu[: _int(value)],
}
"""What becomes of its final answer; kinds that are not here leave it alone."""
