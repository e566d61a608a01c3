"""The agent's network in simulation: modelled time, fault points, the record of what crossed the wire, tampering."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.link.http import HttpxTransport, InlineServer, Network, NetworkModel, Tamper
from bench.ports.http import TransportFailure

T = TypeVar("T")
BODY = bytes(range(256)) * 200
POSTED: list[bytes] = []
"""What the little server was sent at /count."""


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
    """A little server: /echo, /count, /p.zip with Range, /cn, everything else 404."""
    path = environ["PATH_INFO"]
    if path == "/count":
        POSTED.append(environ["wsgi.input"].read())
        body = b"".join(POSTED)
    elif path == "/echo":
        body = environ["REQUEST_METHOD"].encode() + b" " + environ["wsgi.input"].read()
    elif path == "/cn":
        body = environ["SSL_CLIENT_S_DN_CN"].encode()
    elif path == "/p.zip":
        start = int(environ.get("HTTP_RANGE", "bytes=0-")[6:-1])
        status = "206 Partial Content" if "HTTP_RANGE" in environ else "200 OK"
        start_response(status, [("Content-Length", str(len(BODY) - start))])
        return [BODY[start:]]
    else:
        start_response("404 Not Found", [("Content-Length", "4")])
        return [b"none"]
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


class Net:
    """A computer on a modelled network before the little server."""

    def __init__(self, latency_ms: float = 20, rate_bytes_s: int = 100_000) -> None:
        POSTED.clear()
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.model = NetworkModel(latency_ms=latency_ms, rate_bytes_s=rate_bytes_s)
        self.tamper = Tamper()
        self.node = Node(self.world, "agent", lambda life: None)
        self.node.power_on()

    def transport(self) -> HttpxTransport:
        life = self.node.incarnation
        assert isinstance(life, Incarnation)
        inner = InlineServer(app, {"SSL_CLIENT_S_DN_CN": "IMEI:1"})
        return HttpxTransport(Network(self.world, life, inner, self.model, self.tamper), 30.0)

    def run(self, work: Callable[[HttpxTransport], Awaitable[T]]) -> T:
        async def main() -> T:
            return await work(self.transport())

        return self.loop.run(main())


def test_post_reaches_the_app_and_takes_two_latencies_and_the_bytes_time() -> None:
    net = Net(latency_ms=20, rate_bytes_s=1000)
    answer = net.run(lambda t: t.post("https://x.test/echo", {}, b"0123456789"))
    assert (answer.status, answer.body) == (200, b"POST 0123456789")
    assert net.loop.now_ns() == 2 * 20_000_000 + 10 * 1_000_000 + 15 * 1_000_000


def test_download_takes_its_size_at_the_rate() -> None:
    net = Net(latency_ms=0, rate_bytes_s=len(BODY))
    answer = net.run(lambda t: t.get("https://x.test/p.zip", {}, len(BODY)))
    assert answer.body == BODY
    assert abs(net.loop.now_ns() - 10**9) < 10


def test_each_exchange_is_recorded_and_is_a_fault_point() -> None:
    net = Net()
    net.run(lambda t: t.post("https://x.test/echo", {}, b"a"))
    net.run(lambda t: t.get("https://x.test/nothing", {}, 100))
    records = net.world.recorder.http
    assert [(r.method, r.status, r.request_body, r.response_body) for r in records] == [
        ("POST", 200, b"a", b"POST a"),
        ("GET", 404, b"", b"none"),
    ]
    assert [o.n for o in net.world.points.table()["agent", "http"]] == [1, 2]


def test_identity_of_the_client_certificate_reaches_the_app() -> None:
    assert Net().run(lambda t: t.get("https://x.test/cn", {}, 100)).body == b"IMEI:1"


def test_body_over_the_limit_is_a_transport_failure() -> None:
    with pytest.raises(TransportFailure, match="more than 100 bytes"):
        Net().run(lambda t: t.get("https://x.test/p.zip", {}, 100))


def test_stream_hands_over_only_the_body_that_was_asked_for() -> None:
    net, pieces = Net(), bytearray()

    async def keep(part: bytes) -> None:
        pieces.extend(part)

    missing = net.run(lambda t: t.stream("https://x.test/nothing", {}, keep))
    assert (missing.status, bytes(pieces)) == (404, b"")
    part = net.run(lambda t: t.stream("https://x.test/p.zip", {"Range": "bytes=100-"}, keep))
    assert (part.status, bytes(pieces)) == (206, BODY[100:])


def test_tampered_package_is_sent_changed_and_whole_even_when_a_part_is_asked_for() -> None:
    net = Net()
    net.tamper.set(lambda body: b"forged")
    answer = net.run(lambda t: t.get("https://x.test/p.zip", {"Range": "bytes=100-"}, 10_000))
    assert answer.status == 200
    assert net.world.recorder.http[0].response_body == b"forged"
    assert net.run(lambda t: t.get("https://x.test/cn", {}, 100)).body == b"IMEI:1"


def test_package_is_tampered_with_as_often_as_told_and_then_genuine() -> None:
    net = Net()
    net.tamper.set(lambda body: b"forged", 2)
    bodies = [net.run(lambda t: t.get("https://x.test/p.zip", {}, 100_000)).body for _ in range(3)]
    assert bodies == [b"forged", b"forged", BODY]
    assert not net.tamper.active


@pytest.mark.parametrize("lost", ["request", "answer"])
def test_lost_message_breaks_one_exchange_and_the_server_learns_of_it_only_when_the_answer_is_lost(lost: str) -> None:
    net = Net()
    over: list[int] = []
    net.tamper.lose(lost, lambda: over.append(net.loop.now_ns()))
    with pytest.raises(TransportFailure, match=f"the {lost} was lost"):
        net.run(lambda t: t.post("https://x.test/count", {}, b"a"))
    assert net.world.recorder.http == [], "nothing was delivered"
    assert over == [net.loop.now_ns()], "it is over when the agent learns of it"
    answer = net.run(lambda t: t.post("https://x.test/count", {}, b"b"))
    assert answer.body == (b"b" if lost == "request" else b"ab")
    assert len(net.world.recorder.http) == 1


def test_power_cut_in_mid_download_delivers_a_prefix_and_no_more() -> None:
    net, pieces = Net(latency_ms=0, rate_bytes_s=len(BODY)), bytearray()

    async def keep(part: bytes) -> None:
        pieces.extend(part)

    async def main() -> None:
        life = net.node.incarnation
        assert life is not None
        transport = net.transport()

        async def work() -> None:
            await transport.stream("https://x.test/p.zip", {}, keep)

        life.spawn(work(), "download")
        await net.loop.sleep_ns(500_000_000)
        net.node.cut("test")
        await net.loop.sleep_ns(5_000_000_000)

    net.loop.run(main())
    assert 0 < len(pieces) < len(BODY)
    assert BODY.startswith(bytes(pieces))


def test_network_error_of_httpx_becomes_a_transport_failure() -> None:
    class Broken(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            raise httpx.ConnectError("refused")

    with pytest.raises(TransportFailure, match="refused"):
        VirtualLoop().run(HttpxTransport(Broken(), 1.0).post("https://x.test/", {}, b""))


def test_record_tells_how_much_of_a_body_came_and_when() -> None:
    net = Net(latency_ms=0, rate_bytes_s=len(BODY))
    net.run(lambda t: t.get("https://x.test/p.zip", {}, len(BODY)))
    (record,) = net.world.recorder.http
    assert (record.t_ns, record.delivered) == (0, BODY)
    assert abs(record.last_byte_ns - 10**9) < 10


def test_body_that_a_power_cut_broke_off_is_recorded_as_far_as_it_came() -> None:
    net = Net(latency_ms=0, rate_bytes_s=len(BODY))
    net.loop.call_at_ns(5 * 10**8, net.node.cut, "test")

    async def main() -> None:
        life = net.node.incarnation
        assert life is not None
        transport = net.transport()

        async def download() -> None:
            await transport.get("https://x.test/p.zip", {}, len(BODY))

        life.spawn(download(), "download")
        await net.loop.sleep_ns(2 * 10**9)

    net.loop.run(main())
    (record,) = net.world.recorder.http
    assert 0 < len(record.delivered) < len(record.response_body) == len(BODY)
    assert 0 < record.last_byte_ns < 5 * 10**8
