"""Judges the answers to one request by rules of ISO 14229-1 and -2 alone; knows nothing of how the ECU decides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from tests.soak.lab import Heard, is_pending
from tests.soak.nrcs import FUNCTIONALLY_SILENT, KNOWN, WITH_SUB_FUNCTION, allowed, length_is_possible

NEGATIVE, POSITIVE, SUPPRESS = 0x7F, 0x40, 0x80
SLACK_NS = 3_000_000
"""What the bus may add to P2: a frame under way, the answer's own first frame."""


class Request(NamedTuple):
    """What was sent: physically or functionally, its last frame on the bus at `sent_ns`."""

    pdu: bytes
    functional: bool = False
    sent_ns: int = 0

    @property
    def sid(self) -> int:
        return self.pdu[0]

    @property
    def suppressed(self) -> bool:
        """Whether the tester asked for silence if all is well."""
        return self.sid in WITH_SUB_FUNCTION and len(self.pdu) > 1 and bool(self.pdu[1] & SUPPRESS)

    def __str__(self) -> str:
        return f"{'functional' if self.functional else 'physical'} {short(self.pdu)}"


class Timing(NamedTuple):
    """The server's times, in milliseconds."""

    p2_ms: int
    p2_star_ms: int
    s3_ms: int


def short(pdu: bytes) -> str:
    """Return a message in hexadecimal, its middle left out when it is long."""
    return pdu.hex(" ") if len(pdu) <= 24 else f"{pdu[:16].hex(' ')} .. ({len(pdu)} bytes)"


def nrc_of(pdu: bytes) -> int | None:
    """Return the code of a negative response."""
    return pdu[2] if len(pdu) == 3 and pdu[0] == NEGATIVE else None


def belongs(pdu: bytes, sid: int) -> bool:
    """Return whether a message can be an answer to that service."""
    return pdu[:2] == bytes((NEGATIVE, sid)) if pdu[:1] == b"\x7f" else pdu[:1] == bytes(((sid + POSITIVE) & 0xFF,))


def judge(request: Request, heard: Sequence[Heard], timing: Timing, *, may_be_lost: bool = False) -> list[str]:
    """Return what is wrong with the answers; `may_be_lost`: the ECU had a reason to fall silent."""
    finals = [each for each in heard if not is_pending(each.pdu)]
    waits = len(heard) - len(finals)
    found = [problem for each in heard for problem in _form(request, each.pdu, waited=waits > 0)]
    if len(finals) > 1:
        found.append(f"{len(finals)} final answers: {', '.join(short(each.pdu) for each in finals)}")
    if not finals and not may_be_lost and (waits or not _may_be_silent(request)):
        found.append(f"no {'final ' if waits else ''}answer")
    if finals and is_pending(heard[-1].pdu):
        found.append("0x78 after the final answer")
    return found + list(_late(request, heard, timing))


def _may_be_silent(request: Request) -> bool:
    return request.functional or request.suppressed


def _form(request: Request, pdu: bytes, *, waited: bool) -> Iterator[str]:
    if not belongs(pdu, request.sid):
        yield f"{short(pdu)} answers another service"
    elif pdu[0] == NEGATIVE:
        yield from _negative(request, pdu, waited=waited)
    else:
        yield from _positive(request, pdu, waited=waited)


def _negative(request: Request, pdu: bytes, *, waited: bool) -> Iterator[str]:
    if len(pdu) != 3:
        yield f"a negative response of {len(pdu)} bytes"
        return
    nrc = pdu[2]
    if nrc not in KNOWN:
        yield f"NRC 0x{nrc:02X} is reserved"
    elif nrc != 0x11 and nrc not in allowed(request.sid):
        yield f"NRC 0x{nrc:02X} is none of service 0x{request.sid:02X}"
    if request.functional and nrc in FUNCTIONALLY_SILENT and not waited:
        yield f"NRC 0x{nrc:02X} to a functional request"


def _positive(request: Request, pdu: bytes, *, waited: bool) -> Iterator[str]:
    if request.suppressed and not waited:
        yield "a positive response that was to be suppressed"
    if not allowed(request.sid):
        yield f"a positive response of service 0x{request.sid:02X}, which the standard does not have"
    if not length_is_possible(request.pdu):
        yield f"a positive response to a request of {len(request.pdu)} bytes"
    elif not _ECHOES.get(request.sid, _sub_function_echoed)(request.pdu, pdu):
        yield f"{short(pdu)} does not repeat what was asked"


# What a positive response repeats ------------------------------------------------------------------


def _sub_function_echoed(asked: bytes, pdu: bytes) -> bool:
    return asked[0] not in WITH_SUB_FUNCTION or pdu[1:2] == bytes((asked[1] & ~SUPPRESS,))


def _exactly(length: int) -> Callable[[bytes, bytes], bool]:
    def check(asked: bytes, pdu: bytes) -> bool:
        return len(pdu) == length and _sub_function_echoed(asked, pdu)

    return check


def _reset(asked: bytes, pdu: bytes) -> bool:
    return _sub_function_echoed(asked, pdu) and len(pdu) == (3 if asked[1] & ~SUPPRESS == 0x04 else 2)


def _dids(asked: bytes, pdu: bytes) -> bool:
    return len(pdu) > 3 and pdu[1:3] in [asked[at : at + 2] for at in range(1, len(asked), 2)]


def _routine(asked: bytes, pdu: bytes) -> bool:
    return _sub_function_echoed(asked, pdu) and pdu[2:4] == asked[2:4]


def _download(asked: bytes, pdu: bytes) -> bool:
    return len(pdu) > 2 and len(pdu) == 2 + (pdu[1] >> 4) and pdu[1] & 0xF == 0 and int.from_bytes(pdu[2:]) > 2


_ECHOES: dict[int, Callable[[bytes, bytes], bool]] = {
    0x10: _exactly(6), 0x11: _reset, 0x14: _exactly(1), 0x22: _dids, 0x28: _exactly(2), 0x31: _routine,
    0x2E: lambda asked, pdu: pdu[1:] == asked[1:3], 0x2F: lambda asked, pdu: pdu[1:3] == asked[1:3],
    0x34: _download, 0x35: _download, 0x36: lambda asked, pdu: pdu[1:2] == asked[1:2],
    0x3D: lambda asked, pdu: pdu[1:] == asked[1 : len(pdu)], 0x38: lambda asked, pdu: pdu[1:2] == asked[1:2],
    0x3E: _exactly(2), 0x85: _exactly(2), 0x23: lambda _asked, pdu: len(pdu) > 1,
}  # fmt: skip


# When -----------------------------------------------------------------------------------------------


def _late(request: Request, heard: Sequence[Heard], timing: Timing) -> Iterator[str]:
    """P2 runs from the request's last frame to the answer's first, P2* from each 0x78."""
    since_ns, limit_ms = request.sent_ns, timing.p2_ms
    for each in heard:
        took_ns = each.start_ns - since_ns
        if took_ns > limit_ms * 1_000_000 + SLACK_NS:
            yield f"{short(each.pdu)} began after {took_ns / 1e6:.1f} ms, {limit_ms} ms are allowed"
        since_ns, limit_ms = each.start_ns, timing.p2_star_ms
