"""The agent's HTTP: httpx over a network of ours, simulated (WSGI called inline) or real (TLS sockets).

`Network` is what both have in common: numbered fault points, the record of each exchange as it crossed the
wire, and the place where an attacker may change a body on the way.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import httpx

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.node import Effect, Incarnation
from bench.core.records import HttpRecord
from bench.core.world import World
from bench.link.wsgi import call_wsgi
from bench.ports.http import HttpResponse, TransportFailure
from bench.ports.server import WsgiApp

PARTIAL_CONTENT = 206
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-")
CHUNK_BYTES = 16_384
BODY_LIMIT_BYTES = 256 * 1024 * 1024

BodyChange = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkModel:
    """How a simulated network behaves: one-way latency and payload rate."""

    latency_ms: float = 20.0
    rate_bytes_s: int = 1_000_000


class Tamper:
    """What lies between server and agent: it may change a downloaded body or lose a message; harmless by itself."""

    def __init__(self) -> None:
        self._change: BodyChange | None = None
        self._left: int | None = None
        self._loss: str | None = None
        self._over: Callable[[], None] | None = None

    def lose(self, what: str, over: Callable[[], None]) -> None:
        """Lose the `request` or the `answer` of one exchange, the next to cross the network or the one that begins.

        `over` is called when it is lost: what the agent learns of it, it learns then.
        """
        self.loss_is_over()
        self._loss, self._over = what, over

    def take_loss(self) -> str | None:
        """Return what the exchange that begins now loses; the one after it loses nothing."""
        loss, self._loss = self._loss, None
        if loss is None:  # an exchange that ended with its computer's power before it lost anything
            self.loss_is_over()
        return loss

    def loss_is_over(self) -> None:
        """Say that the message is lost, once."""
        over, self._over = self._over, None
        if over is not None:
            over()

    def set(self, change: BodyChange, times: int | None = None) -> None:
        """Change the bodies of the next `times` packages, or of every one from now on."""
        self._change, self._left = change, times

    def apply(self, request: httpx.Request, response: httpx.Response, body: bytes) -> tuple[httpx.Response, bytes]:
        """Return the response as the attacker lets it through (a changed body is always sent whole)."""
        if self._change is None or not request.url.path.endswith(".zip") or response.status_code != 200:
            return response, body
        changed = self._change(body)
        if self._left is not None:
            self._left -= 1
            self._change = self._change if self._left else None
        headers = {**dict(response.headers), "content-length": str(len(changed))}
        return httpx.Response(200, headers=headers), changed

    @property
    def active(self) -> bool:
        """Whether bodies are being changed."""
        return self._change is not None


class Network(httpx.AsyncBaseTransport):
    """One life's network: `inner` carries the request; time passes as `model` says (None: as it really does)."""

    def __init__(
        self,
        world: World,
        life: Incarnation,
        inner: httpx.AsyncBaseTransport,
        model: NetworkModel | None,
        tamper: Tamper,
    ) -> None:
        self._world, self._life, self._inner, self._model, self._tamper = world, life, inner, model, tamper

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Carry one exchange; the body then streams at the modelled rate."""
        effect = self._life.effect("http")
        sent = await request.aread()
        await self._pass_time(len(sent))
        lost = self._tamper.take_loss()
        if lost == "request":  # the server never learns of it
            self._lose(lost, request)
        # A changed body is sent whole: of a part of it nobody could say which change it holds.
        if self._tamper.active and "range" in request.headers:
            del request.headers["range"]
        response = await self._inner.handle_async_request(request)
        body = await _read_limited(response)
        # The agent may have lost power while the server worked: a dead life takes no answer, the server has done its
        # part.
        self._life.check()
        if lost == "answer":  # the server has done its part, and the agent cannot tell that from a lost request
            self._lose(lost, request)
        response, body = self._tamper.apply(request, response, body)
        noted = self._world.http(_record_of(self._life, request, response, sent, body))
        await self._pass_time(0)
        # Both speak of one hop (RFC 9110, 7.6.1): the body is whole and decoded here, httpx would decode it again.
        headers = [(k, v) for k, v in response.headers.items() if k not in ("transfer-encoding", "content-encoding")]
        came = partial(self._world.http_delivered, noted)
        stream = _PacedBody(self._life, body, self._model, came, effect)
        return httpx.Response(response.status_code, headers=headers, stream=stream)

    async def aclose(self) -> None:
        """Close the connections beneath."""
        await self._inner.aclose()

    def _lose(self, what: str, request: httpx.Request) -> NoReturn:
        """Break the connection off, as TCP tells it when nothing comes back."""
        self._life.note("http.lost", f"{what} of {request.method} {request.url}")
        self._tamper.loss_is_over()
        raise httpx.ReadError(f"the {what} was lost")

    async def _pass_time(self, size_bytes: int) -> None:
        if self._model is not None:
            latency_ns = round(self._model.latency_ms * NS_PER_MS)
            await self._life.sleep_ns(latency_ns + size_bytes * NS_PER_S // self._model.rate_bytes_s)


def _record_of(
    life: Incarnation, request: httpx.Request, response: httpx.Response, sent: bytes, body: bytes
) -> HttpRecord:
    """Return the exchange as it stands with its head: nothing of the body has come yet."""
    now_ns, status = life.now_ns(), response.status_code
    offset = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
    return HttpRecord(
        now_ns, life.part, request.method, str(request.url), status, sent, body, 0, now_ns,
        int(offset[1]) if offset is not None and status == PARTIAL_CONTENT else None,
    )  # fmt: skip


async def _read_limited(response: httpx.Response) -> bytes:
    parts, size = [], 0
    assert isinstance(response.stream, httpx.AsyncByteStream)
    async for part in response.stream:
        size += len(part)
        # A server that never ends its answer would fill the memory: no length in a header is believed.
        if size > BODY_LIMIT_BYTES:
            raise httpx.RemoteProtocolError(f"the answer is longer than {BODY_LIMIT_BYTES} bytes")
        parts.append(part)
    await response.aclose()
    return b"".join(parts)


class _PacedBody(httpx.AsyncByteStream):
    """A body that arrives in pieces, each after its time."""

    def __init__(
        self,
        life: Incarnation,
        body: bytes,
        model: NetworkModel | None,
        came: Callable[[int], None],
        exchange: Effect,
    ) -> None:
        self._life, self._body, self._model, self._came, self._exchange = life, body, model, came, exchange

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for start in range(0, len(self._body), CHUNK_BYTES):
            chunk = self._body[start : start + CHUNK_BYTES]
            if self._model is not None:
                await self._life.sleep_ns(len(chunk) * NS_PER_S // self._model.rate_bytes_s)
            self._life.check()
            self._came(start + len(chunk))
            yield chunk
        self._exchange.end()


class InlineServer(httpx.AsyncBaseTransport):
    """The DM server in the same program: its WSGI app called inline, with the client's identity in the environ."""

    def __init__(self, app: WsgiApp, peer: Mapping[str, str]) -> None:
        self._app, self._peer = app, peer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Call the app; no thread, no socket."""
        status, headers, body = call_wsgi(self._app, request, self._peer)
        return httpx.Response(status, headers=headers, stream=_WholeBody(body))


class _WholeBody(httpx.AsyncByteStream):
    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


class HttpxTransport:
    """`bench.ports.http.DmTransport` over httpx."""

    def __init__(self, network: httpx.AsyncBaseTransport, timeout_s: float) -> None:
        self._client = httpx.AsyncClient(
            transport=network, timeout=timeout_s, follow_redirects=False, headers={"user-agent": "otabench-agent"}
        )

    async def aclose(self) -> None:
        """Close the connections: in real time they are sockets, which nobody else would close."""
        await self._client.aclose()

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        """POST and return the whole answer."""
        with _translated():
            return _plain(await self._client.post(url, headers=dict(headers), content=body))

    async def get(self, url: str, headers: Mapping[str, str], limit_bytes: int) -> HttpResponse:
        """GET and return the whole answer, of at most `limit_bytes`."""
        parts: list[bytes] = []

        async def keep(part: bytes) -> None:
            if sum(map(len, parts)) + len(part) > limit_bytes:
                raise TransportFailure(f"{url} answered more than {limit_bytes} bytes")
            parts.append(part)

        answer = await self.stream(url, headers, keep)
        return HttpResponse(answer.status, answer.headers, b"".join(parts))

    async def stream(
        self, url: str, headers: Mapping[str, str], sink: Callable[[bytes], Awaitable[None]]
    ) -> HttpResponse:
        """GET and hand the body to `sink` piece by piece (`bench.ports.http.DmTransport`)."""
        # Only bytes of the wanted kind reach the file: appended to half a download, a whole body (200) or an error page
        # would be a package that no hash fits.
        wanted = 206 if any(name.lower() == "range" for name in headers) else 200
        with _translated():
            async with self._client.stream("GET", url, headers=dict(headers)) as answer:
                async for part in answer.aiter_raw():
                    if answer.status_code == wanted:
                        await sink(part)
        return HttpResponse(answer.status_code, dict(answer.headers), b"")


def _plain(answer: httpx.Response) -> HttpResponse:
    return HttpResponse(answer.status_code, dict(answer.headers), answer.content)


class _translated:  # noqa: N801  # reads as a verb at its place of use
    """Turns httpx's errors into TransportFailure, at this border and nowhere else."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, httpx.HTTPError | httpx.InvalidURL):
            raise TransportFailure(f"{type(error).__name__}: {error}") from error
