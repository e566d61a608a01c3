"""The DM server on the bench: called inline in simulation, behind mutual TLS on loopback in real time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx

from bench.assembly.plugs import plug_in
from bench.core.world import World
from bench.description.bench_file import Server
from bench.link.http import InlineServer
from bench.link.tls_server import TlsServer, client_context
from bench.ports.server import ServerPorts
from bench.trust.keys import (
    certificate_authority,
    client_certificate,
    exchange_key,
    public_key,
    server_certificate,
)

SIM_BASE_URL = "https://dm.otabench.test"
SERVER_KEY = "server"


class BenchServer:
    """A running DM server: its ports, where it is, and how the agent's network reaches it."""

    def __init__(self, ports: ServerPorts, base_url: str, carrier: Callable[[], httpx.AsyncBaseTransport]) -> None:
        self.ports, self.base_url, self._carrier = ports, base_url, carrier
        self._closers: list[Callable[[], None]] = [ports.close]

    @property
    def dm_url(self) -> str:
        """Return the DM endpoint."""
        return f"{self.base_url}/dm"

    def carrier(self) -> httpx.AsyncBaseTransport:
        """Return a new connection of the agent's computer to the server."""
        return self._carrier()

    def close(self) -> None:
        """Stop serving and close the store."""
        for closer in reversed(self._closers):
            closer()

    @classmethod
    def simulated(cls, world: World, dev_id: str) -> BenchServer:
        """Return a server in this program: WSGI called inline, store in memory."""
        ports = _build(world, SIM_BASE_URL, "sqlite://")
        peer = {"SSL_CLIENT_CERT": client_certificate(dev_id).certificate_pem, "SSL_CLIENT_S_DN_CN": dev_id}
        return cls(ports, SIM_BASE_URL, lambda: InlineServer(ports.wsgi_app, peer))

    @classmethod
    def tls(cls, world: World, dev_id: str, config: Server, folder: Path) -> BenchServer:
        """Return a server behind mutual TLS on loopback; certificates and store lie in `folder`."""
        ca = _put(folder / "ca.pem", certificate_authority().certificate_pem)
        own, vehicle = server_certificate(), client_certificate(dev_id)
        server = TlsServer(
            port=config.port,
            certificate=_put(folder / "server.pem", own.certificate_pem),
            key=_put(folder / "server.key", own.key_pem),
            client_ca=ca,
        )
        try:
            ports = _build(world, server.base_url, f"sqlite:///{folder / 'server.db'}")
        except BaseException:
            server.stop()
            raise
        context = client_context(
            ca=ca,
            certificate=_put(folder / "client.pem", vehicle.certificate_pem),
            key=_put(folder / "client.key", vehicle.key_pem),
        )
        bench_server = cls(ports, server.base_url, lambda: httpx.AsyncHTTPTransport(verify=context))
        bench_server._closers.append(server.stop)
        server.start(ports.wsgi_app)
        return bench_server


def _build(world: World, base_url: str, store_url: str) -> ServerPorts:
    factory = plug_in("otabench.server", "sim")
    ports = factory(
        clock=world.clock,
        entropy=world.entropy,
        base_url=base_url,
        store_url=store_url,
        package_public_key=public_key("package"),
        image_public_key=public_key("image"),
        server_private_key=exchange_key(SERVER_KEY),
        server_certificate_pem=server_certificate().certificate_pem,
        on_event=world.server_event,
    )
    assert isinstance(ports, ServerPorts)
    return ports


def _put(path: Path, text: str) -> Path:
    path.touch(mode=0o600)
    path.write_text(text)
    return path
