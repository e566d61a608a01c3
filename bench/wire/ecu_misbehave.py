"""Misbehaviour of an ECU's diagnostic server, ordered by text: `0x36:nrc=0x72@5`.

    SERVICE[.HEX]:DO[=VALUE][@WHEN]

SERVICE is a service id (or `any`), HEX what must follow it in the request (`0x31.01FF00` is the start of an erase).
DO is one of `KINDS`, WHEN as in `bench.wire.occasions`: it counts the requests that match, over all reboots.
What an ECU then does is the ECU's affair (`ecu_sim.misbehave`); this is the order alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from pydantic import Field, model_validator

from bench.config import FileModel
from bench.wire.occasions import ALWAYS, Occasions, split

GRAMMAR = "SERVICE[.HEX]:DO[=VALUE][@WHEN], for example 0x36:nrc=0x72@5"
ANY = "any"
BELOW_P2, ABOVE_P2, BELOW_P2_STAR, ABOVE_P2_STAR = "below_p2", "above_p2", "below_p2_star", "above_p2_star"
AFTER = "after"
MAX_MS = 86_400_000
WITHOUT_ECHO = (0x14, 0x34, 0x37)
"""Services whose positive response repeats nothing of the request."""
Value = int | str | None
_SERVICE = re.compile(r"any|0x[0-9A-Fa-f]{1,2}")
_HEAD = re.compile(r"(any|0x[0-9A-Fa-f]{1,2})(?:\.((?:[0-9A-Fa-f]{2}){1,16}))?\Z")


class WrongOrder(ValueError):
    """An order that cannot be carried out: what is wrong, what is allowed."""

    def __init__(self, problem: str, allowed: str) -> None:
        super().__init__(f"{problem}; allowed: {allowed}")
        self.problem, self.allowed = problem, allowed


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to misbehave: `value` says in words what may stand behind `=`, `read` checks it (ValueError)."""

    name: str
    value: str
    does: str
    tester_sees: str
    read: Callable[[Value], Value]


def _number(text: Value, low: int, high: int) -> int:
    try:
        number = int(text, 0) if isinstance(text, str) and text.isascii() else text
    except ValueError:
        number = None
    if not isinstance(number, int) or not low <= number <= high:
        raise ValueError
    return number


def _nothing(value: Value) -> Value:
    if value is not None:
        raise ValueError
    return None


def _numbered(low: int, high: int, *words: str, default: Value = None) -> Callable[[Value], Value]:
    """Return what reads a number, one of the words, or nothing where there is a default."""

    def read(value: Value) -> Value:
        if value in words or (value is None and default is not None):
            return default if value is None else value
        return _number(value, low, high)

    return read


_CODE, _MS = _numbered(1, 0xFF), f"milliseconds, 1 to {MAX_MS}"
_KINDS = (
    Kind("nrc", "a code, 0x01 to 0xFF", "refuses with this code and does nothing", "the code", _CODE),
    Kind("nrc_after", "a code, 0x01 to 0xFF", "does what was asked, then says this code", "the code; the state moved",
         _CODE),
    Kind("silent", "nothing", "does nothing and answers nothing", "P2 runs out", _nothing),
    Kind("lost_answer", "nothing", "does what was asked, its answer is lost", "P2 runs out; the state moved", _nothing),
    Kind("pending", "nothing", "says 0x78 for ever, until it is reset or loses power; others get 0x21",
         "0x78 without end", _nothing),
    Kind("slow", f"{BELOW_P2_STAR}, {ABOVE_P2_STAR}, or {_MS}",
         "answers late, 0x78 in time: just before or just after the P2* of its one 0x78, or after so long",
         "an answer, or P2* runs out", _numbered(1, MAX_MS, BELOW_P2_STAR, ABOVE_P2_STAR)),
    Kind("late", f"{BELOW_P2}, {ABOVE_P2}, or {_MS}",
         "answers late without any 0x78: just before or just after P2, or after so long", "an answer, or P2 runs out",
         _numbered(1, MAX_MS, BELOW_P2, ABOVE_P2)),
    Kind("wrong_echo", "what is added, 1 to 255 (1)",
         "repeats a wrong byte after the service id: of 0x36 the counter, of 0x10 the session",
         "an answer to something else", _numbered(1, 0xFF, default=1)),
    Kind("wrong_service", "what is added, 1 to 255 (1)", "answers positively for another service",
         "an answer to something else", _numbered(1, 0xFF, default=1)),
    Kind("truncated", "bytes that are left, 1 to 4095 (1)", "cuts its answer off", "an answer that is too short",
         _numbered(1, 4095, default=1)),
    Kind("reset", f"{AFTER}, or milliseconds, 0 to {MAX_MS} (0)",
         "resets: before it does anything, so long after the request came, or once its positive answer is out",
         "silence, then a rebooted ECU", _numbered(0, MAX_MS, AFTER, default=0)),
)  # fmt: skip
KINDS: Mapping[str, Kind] = {kind.name: kind for kind in _KINDS}
"""Every way to misbehave by its name."""


@dataclass(frozen=True, slots=True)
class EcuMisbehaviour:
    """What an ECU does to which requests (their first bytes), and at which of them."""

    starts_with: bytes
    """Service id and what follows; empty: any request."""
    kind: str
    value: Value
    when: Occasions = ALWAYS

    def matches(self, pdu: bytes) -> bool:
        """Return whether a request is one of those that count."""
        return pdu.startswith(self.starts_with)

    def __str__(self) -> str:
        head, more = self.starts_with[:1], self.starts_with[1:]
        service = f"0x{head[0]:02X}" + (f".{more.hex().upper()}" if more else "") if head else ANY
        code = self.kind in ("nrc", "nrc_after") and isinstance(self.value, int)
        value = "" if self.value is None else f"=0x{self.value:02X}" if code else f"={self.value}"
        return f"{service}:{self.kind}{value}{self.when}"


def checked(starts_with: bytes, kind: str, value: Value, when: Occasions) -> EcuMisbehaviour:
    """Return the order; `WrongOrder` when it makes no sense."""
    known = KINDS.get(kind)
    if known is None:
        raise WrongOrder(f"no such way to misbehave: {kind!r}", ", ".join(KINDS))
    try:
        read = known.read(value)
    except ValueError:
        problem = f"{kind} needs a value" if value is None else f"{kind} cannot take {value!r}"
        raise WrongOrder(problem, known.value) from None
    if kind == "wrong_echo" and starts_with[:1] and starts_with[0] in WITHOUT_ECHO:
        raise WrongOrder(f"the answer to 0x{starts_with[0]:02X} repeats nothing", "wrong_echo of another service")
    return EcuMisbehaviour(starts_with, kind, read, when)


def names_service(text: str) -> bool:
    """Return whether an order begins with a service: it is meant for the diagnostic server, not for ISO-TP."""
    return ":" in text or _SERVICE.fullmatch(text.partition("@")[0].partition(".")[0]) is not None


def parse(text: str) -> EcuMisbehaviour:
    """Read `SERVICE[.HEX]:DO[=VALUE][@WHEN]`; `WrongOrder` says what is wrong."""
    try:
        order, when = split(text)
    except ValueError as error:
        raise WrongOrder(f"when it strikes is not readable: @{text.partition('@')[2]}", str(error)) from None
    head, separator, do = order.partition(":")
    found = _HEAD.match(head)
    if not separator:
        raise WrongOrder(":DO is missing", f"{head}:DO, DO one of {', '.join(KINDS)}")
    if not found:
        service, dot, follows = head.partition(".")
        if dot and _SERVICE.fullmatch(service):
            raise WrongOrder(
                f".HEX is wrong: {follows!r}", "1 to 16 bytes, each of two hexadecimal digits, as 0x22.F190"
            )
        raise WrongOrder(f"no service in front of the colon: {head!r}", GRAMMAR)
    service, more = found[1], bytes.fromhex(found[2] or "")
    if service == ANY and more:
        raise WrongOrder(f"bytes of a request whose service is {ANY}", GRAMMAR)
    kind, given, value = do.partition("=")
    starts_with = b"" if service == ANY else bytes((int(service, 16),)) + more
    return checked(starts_with, kind, value if given else None, when)


class EcuMisbehaviourParameters(FileModel):
    """The same order as parameters of the fault class `ecu`; counted from its point on, by default it strikes once."""

    service: int | None = Field(default=None, ge=0, le=0xFF, description="None: any")
    follows: str = Field(default="", pattern=r"^([0-9A-Fa-f]{2}){0,16}$", description="bytes that must follow, in hex")
    do: Literal[
        "nrc", "nrc_after", "silent", "lost_answer", "pending", "slow", "late", "wrong_echo", "wrong_service",
        "truncated", "reset",
    ]  # fmt: skip
    nrc: int | None = Field(default=None, ge=1, le=0xFF, description="of nrc and nrc_after")
    value: int | str | None = Field(default=None, description="of the others: what stands behind = in --misbehave")
    times: int = Field(default=1, ge=1, description="how many matching requests, one after the other")

    @model_validator(mode="after")
    def _makes_sense(self) -> EcuMisbehaviourParameters:
        if self.follows and self.service is None:
            raise ValueError("follows needs a service")
        if (self.nrc is not None) != (self.do in ("nrc", "nrc_after")):
            raise ValueError("nrc belongs to do = 'nrc' and 'nrc_after', which need it")
        self.order()
        return self

    def order(self) -> EcuMisbehaviour:
        """Return the order that these parameters mean."""
        service = b"" if self.service is None else bytes((self.service,))
        value = self.nrc if self.nrc is not None else self.value
        return checked(service + bytes.fromhex(self.follows), self.do, value, Occasions(1, self.times))
