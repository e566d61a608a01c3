"""The token goes to the server that gave it, over https, and to nobody else: no download host, no redirect."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

import httpx
import pytest

from bench.agent.agent_log import Account, AgentLog
from bench.agent.commands import CommandHandler
from bench.agent.credentials import Credentials
from bench.agent.dm_client import DmClient, DmFailed
from bench.agent.vehicle import AgentConfig
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.link.disk import DiskStorage, SimDisk
from bench.link.http import HttpxTransport
from bench.ports.http import HttpResponse, TransportFailure
from bench.ports.server import VehicleAccount
from bench.trust.keys import exchange_key
from bench.wire.dm import Command, DevInfo, DmAcc, MoData, Verb
from bench.wire.dm_scomo import Inventory, pkg_url_node

SERVER = "https://dm.otabench.test"
VEHICLE = VehicleAccount(server_url=f"{SERVER}/dm", dev_id="IMEI:1", vin="VIN1", factory_token="factory")
ACCOUNT = Account(f"{SERVER}/dm", "secret")
NODE = str(pkg_url_node("p"))
OTHER_ORIGINS = [
    "https://cdn.otabench.test/p", "https://dm.otabench.test:8443/p", "https://dm.otabench.test.evil.test/p",
]  # fmt: skip
NOT_HTTPS = [
    "http://dm.otabench.test/p", "ftp://dm.otabench.test/p", "https://dm.otabench.test\\@evil.test/p",
    "https://dm.otabench.test@evil.test/p", "https:///p", "",
]  # fmt: skip


class Web:
    """Every host there is: answers each request alike and keeps what it was sent."""

    def __init__(self, answer: HttpResponse) -> None:
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def post(self, url: str, headers: Mapping[str, str], body: bytes) -> HttpResponse:
        self.asked.append((url, dict(headers)))
        return self.answer

    async def get(self, url: str, headers: Mapping[str, str], limit_bytes: int) -> HttpResponse:
        self.asked.append((url, dict(headers)))
        return self.answer

    async def stream(
        self, url: str, headers: Mapping[str, str], sink: Callable[[bytes], Awaitable[None]]
    ) -> HttpResponse:
        self.asked.append((url, dict(headers)))
        return self.answer


async def no_inventory() -> Inventory:
    return Inventory(())


def hget(web: Web, server_uri: str) -> int:
    """Have an agent with an account execute an HGET; return the status that it answers."""
    loop = VirtualLoop()
    world = World(loop, seed=1)
    statuses: list[int] = []

    async def work(life: Incarnation) -> None:
        disk = SimDisk(world, "agent", capacity_bytes=10_000, sync_ms=1)
        log = AgentLog(DiskStorage(disk.mount(life)), life, world.points)
        await log.keep_account(ACCOUNT)
        config = AgentConfig(
            account=VEHICLE, dev_info=DevInfo(dev_id="IMEI:1"), server_public_key=b"", package_public_key=b"",
            image_public_key=b"", poll_interval_ns=1, factory_counters={}, private_key=exchange_key("vehicle"),
        )  # fmt: skip
        handler = CommandHandler(config, log, web, no_inventory)
        statuses.append((await handler.execute(Command(Verb.HGET, (server_uri, NODE)))).status.sc)

    async def main() -> None:
        node = Node(world, "agent", lambda life: None)
        node.power_on()
        assert node.incarnation is not None
        await work(node.incarnation)

    loop.run(main())
    return statuses[0]


def document(url: str) -> HttpResponse:
    return HttpResponse(200, {}, MoData(pkg_url_node("p"), {"PkgURL": url}).encode())


def test_server_gets_the_token_for_its_own_documents() -> None:
    web = Web(document(f"{SERVER}/packages/p.zip"))
    assert hget(web, f"{SERVER}/pkgurl/p") == 200
    assert web.asked == [(f"{SERVER}/pkgurl/p", {"OMADM-DevID": "IMEI:1", "VIN": "VIN1", "Token": "secret"})]


@pytest.mark.parametrize("url", OTHER_ORIGINS)
def test_another_origin_is_asked_without_token_and_vin(url: str) -> None:
    web = Web(document(f"{SERVER}/packages/p.zip"))
    assert hget(web, url) == 200
    assert web.asked == [(url, {})]


@pytest.mark.parametrize("url", NOT_HTTPS)
def test_uri_that_is_not_https_is_not_asked(url: str) -> None:
    web = Web(document(f"{SERVER}/packages/p.zip"))
    assert hget(web, url) == 400
    assert web.asked == []


@pytest.mark.parametrize("url", NOT_HTTPS)
def test_package_url_that_is_not_https_is_refused(url: str) -> None:
    assert hget(Web(document(url)), f"{SERVER}/pkgurl/p") == 400


@pytest.mark.parametrize("url", [*OTHER_ORIGINS, *NOT_HTTPS])
def test_download_host_gets_no_credentials(url: str) -> None:
    assert Credentials(VEHICLE, ACCOUNT).headers_for(url) == {}


def test_own_server_is_recognised_in_other_spellings() -> None:
    for url in ("https://DM.otabench.test/x", "https://dm.otabench.test:443/x", "HTTPS://dm.otabench.test"):
        assert Credentials(VEHICLE, ACCOUNT).headers_for(url)["Token"] == "secret"
    assert Credentials(VEHICLE, None).headers_for(f"{SERVER}/x") == {}


@pytest.mark.parametrize("url", NOT_HTTPS)
def test_registration_is_sent_nowhere_but_over_https(url: str) -> None:
    web = Web(HttpResponse(200, {}, b"{}"))
    vehicle = VehicleAccount(server_url=url, dev_id="IMEI:1", vin="VIN1", factory_token="factory")
    with pytest.raises(TransportFailure, match="https"):
        VirtualLoop().run(DmClient(web, vehicle).register(DevInfo(dev_id="IMEI:1"), "sealed"))
    assert web.asked == []


@pytest.mark.parametrize("url", NOT_HTTPS)
def test_account_at_a_server_that_is_not_https_is_refused(url: str) -> None:
    web = Web(HttpResponse(200, {}, DmAcc("s", url, "", "secret").encode()))
    with pytest.raises(DmFailed, match="https"):
        VirtualLoop().run(DmClient(web, VEHICLE).register(DevInfo(dev_id="IMEI:1"), "sealed"))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["http://evil.test/", "https://evil.test/"])
def test_redirect_is_an_answer_and_is_never_followed(status: int, where: str) -> None:
    asked: list[str] = []

    class Redirecting(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(str(request.url))
            return httpx.Response(status, headers={"location": where}, stream=httpx.ByteStream(b""))

    transport = HttpxTransport(Redirecting(), 1.0)
    headers = Credentials(VEHICLE, ACCOUNT).headers_for(f"{SERVER}/p.zip")

    async def nothing(part: bytes) -> None:
        raise AssertionError("a redirect has no body for us")

    loop = VirtualLoop()
    assert loop.run(transport.stream(f"{SERVER}/p.zip", headers, nothing)).status == status
    assert loop.run(transport.post(f"{SERVER}/dm", headers, b"{}")).status == status
    assert asked == [f"{SERVER}/p.zip", f"{SERVER}/dm"]
