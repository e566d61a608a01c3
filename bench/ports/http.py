"""The agent's HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """Status, headers (names in lower case) and body."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class DmTransport(Protocol):
    """The agent's HTTP, over a network that may fail in every way (`TransportFailure`)."""

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """POST and return the whole answer."""

    async def get(self, url: str, headers: Mapping[str, str], limit_bytes: int) -> HttpResponse:
        """GET and return the whole answer; TransportFailure when it is longer than `limit_bytes`."""

    async def stream(
        self, url: str, headers: Mapping[str, str], sink: Callable[[bytes], Awaitable[None]]
    ) -> HttpResponse:
        """GET and hand the body to `sink` piece by piece; the answer returned has an empty body.

        Only the body that was asked for is handed over: status 206 with a Range header, else 200.
        """


class TransportFailure(Exception):
    """The network or TLS failed; no HTTP answer that could be used."""
