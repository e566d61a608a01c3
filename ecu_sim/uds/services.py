"""What a mode of an ECU offers, as a table: service x session x security (ISO 14229-1)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bench.wire.uds import DECODERS, Nrc, Session

ALL_SESSIONS = frozenset(Session)
ONLY_PROGRAMMING = frozenset((Session.PROGRAMMING,))
ONLY_EXTENDED = frozenset((Session.EXTENDED,))
NOT_DEFAULT = frozenset((Session.PROGRAMMING, Session.EXTENDED))


class Refused(Exception):
    """The server says no; the code is a field."""

    def __init__(self, nrc: Nrc) -> None:
        super().__init__(f"NRC 0x{nrc:02X} {nrc.name}")
        self.nrc = nrc


@dataclass(frozen=True, slots=True)
class Answer:
    """A positive response, and what the ECU does once it is on the wire (a reset)."""

    pdu: bytes
    then: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class SubFunction:
    """In which sessions a sub-function exists, and whether it needs security."""

    sessions: frozenset[Session] = ALL_SESSIONS
    unlocked: bool = False


Handler = Callable[[Any], Awaitable[Answer]]
"""Takes the decoded request (`bench.wire.uds`); raises `Refused`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One row of the table. `minimum_bytes` counts the service id; None as sub-functions: it has none."""

    handle: Handler
    decode: Callable[[bytes], Any]
    minimum_bytes: int
    sessions: frozenset[Session] = ALL_SESSIONS
    unlocked: bool = False
    sub_functions: Mapping[int, SubFunction] | None = None


ServiceTable = Mapping[int, Service]


def service(
    sid: int,
    handle: Handler,
    minimum_bytes: int,
    sessions: frozenset[Session] = ALL_SESSIONS,
    *,
    unlocked: bool = False,
    sub_functions: Mapping[int, SubFunction] | None = None,
) -> tuple[int, Service]:
    """Return one row with its service id, decoded by `bench.wire.uds`."""
    return sid, Service(
        handle=handle, decode=DECODERS[sid], minimum_bytes=minimum_bytes, sessions=sessions, unlocked=unlocked,
        sub_functions=sub_functions,
    )  # fmt: skip
