"""What a mode of an ECU offers, as a table: service x session x security (ISO 14229-1).

A rule is data (`ecu_sim.uds.tables` has them all); a `Service` is a rule with what decodes and serves it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.wire.uds import Nrc, Session, negative
from bench.wire.uds_services import ALL_DECODERS

ALL_SESSIONS = frozenset(Session)
ONLY_PROGRAMMING = frozenset((Session.PROGRAMMING,))
ONLY_EXTENDED = frozenset((Session.EXTENDED,))
NOT_DEFAULT = ALL_SESSIONS - {Session.DEFAULT}


class Refused(Exception):
    """The server says no; the code is a field."""

    def __init__(self, nrc: Nrc) -> None:
        super().__init__(f"NRC 0x{nrc:02X} {nrc.name}")
        self.nrc = nrc


@dataclass(frozen=True, slots=True)
class Answer:
    """A response, and what the ECU does once it is on the wire (a reset).

    `interim`: only 0x78; who boots next owes the final answer, so the suppress bit counts no more.
    """

    pdu: bytes
    then: Callable[[], None] | None = None
    interim: bool = False


def pending_answer(sid: int, then: Callable[[], None]) -> Answer:
    """Return an answer that only asks the tester to wait."""
    return Answer(negative(sid, Nrc.RESPONSE_PENDING), then, interim=True)


@dataclass(frozen=True, slots=True)
class SubFunction:
    """In which sessions a sub-function exists, and whether it needs security."""

    sessions: frozenset[Session] = ALL_SESSIONS
    unlocked: bool = False


def each(values: Iterable[int]) -> dict[int, SubFunction]:
    """Return a rule for each sub-function: in every session of the service, without security."""
    return {int(value): SubFunction() for value in values}


Handler = Callable[[Any], Awaitable[Answer]]
"""Takes the decoded request (`bench.wire.uds`); raises `Refused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRule:
    """One row of a mode's table. `minimum_bytes` counts the service id; None as sub-functions: it has none.

    `own_order`: whether a sub-function exists depends on what follows it (0x31: on the routine), so that the service
    itself refuses with 0x12. `served`: False where the mode knows the service, but never is in one of its sessions.
    """

    sid: int
    minimum_bytes: int
    sessions: frozenset[Session] = ALL_SESSIONS
    unlocked: bool = False
    sub_functions: Mapping[int, SubFunction] | None = field(default=None, hash=False)
    own_order: bool = False
    served: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A rule with its codec and its handler."""

    rule: ServiceRule
    decode: Callable[[bytes], Any]
    handle: Handler


ServiceTable = Mapping[int, Service]


async def _never(_request: object) -> Answer:
    """Stand for a service that this mode knows but has in none of the sessions it can be in."""
    raise Refused(Nrc.CONDITIONS_NOT_CORRECT)


def bound(rules: Iterable[ServiceRule], handlers: Mapping[int, Handler]) -> ServiceTable:
    """Return the table of a mode; KeyError when a served rule has no handler."""
    return {
        rule.sid: Service(
            rule=rule, decode=ALL_DECODERS[rule.sid], handle=handlers[rule.sid] if rule.served else _never
        )
        for rule in rules
    }
