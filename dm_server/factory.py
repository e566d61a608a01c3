"""The `otabench.server` entry point: a DM server as the ports that the bench knows."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from bench.core.clock import Clock
from bench.core.entropy import Entropy
from bench.core.errors import InputError
from bench.core.records import ServerEvent
from bench.ports.server import ServerPorts
from bench.trust.keys import exchange_public_key, public_key, require_test_environment
from dm_server.admin import Admin, View
from dm_server.http import create_app
from dm_server.service import DmService, ServerSetup
from dm_server.store import Store


def build_server(
    *,
    clock: Clock,
    entropy: Entropy,
    base_url: str,
    store_url: str,
    package_public_key: bytes,
    image_public_key: bytes,
    server_private_key: X25519PrivateKey,
    server_certificate_pem: str,
    on_event: Callable[[ServerEvent], None],
) -> ServerPorts:
    """Return a DM server. In simulation `store_url` is `sqlite://`: memory, one connection, called inline.

    `base_url` is where vehicles reach it (its DM endpoint is `<base_url>/dm`); `entropy` is where tokens come
    from. Test keys are refused (`InputError`) unless the host is loopback or a `.test` name. `on_event` gets each event
    after it was stored.
    """
    host = urlsplit(base_url).hostname
    if not host or not base_url.startswith("https://"):  # tokens and VINs cross it
        raise InputError("base_url is no https URL", found=base_url, allowed="https://<host>[:port]")
    uses_test_keys = (
        server_private_key.public_key().public_bytes_raw() == exchange_public_key("server")
        or package_public_key == public_key("package")
        or image_public_key == public_key("image")
    )
    if uses_test_keys:
        require_test_environment(host)
    store = Store(store_url)
    setup = ServerSetup(
        clock=clock,
        entropy=entropy,
        base_url=base_url.rstrip("/"),
        key=server_private_key,
        certificate_pem=server_certificate_pem,
        on_event=on_event,
    )
    admin = Admin(store, clock, on_event, package_public_key=package_public_key, image_public_key=image_public_key)
    app = create_app(DmService(setup, store), propagate=clock.virtual)
    return ServerPorts(wsgi_app=app.wsgi_app, admin=admin, view=View(store), close=store.close)
