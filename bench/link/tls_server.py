"""A WSGI application behind mutual TLS on loopback, in a thread of its own (real time only)."""

from __future__ import annotations

import ssl
import threading
from pathlib import Path

from cheroot.ssl.builtin import BuiltinSSLAdapter
from cheroot.wsgi import Server

from bench.core.errors import InputError
from bench.core.listening import try_to_bind
from bench.ports.server import WsgiApp

LOOPBACK = "127.0.0.1"


class TlsServer:
    """Listens on a loopback port from construction (0: a free one); refuses clients without a certificate."""

    def __init__(self, *, port: int, certificate: Path, key: Path, client_ca: Path) -> None:
        self._server = Server((LOOPBACK, port), None, numthreads=4, server_name=LOOPBACK)
        adapter = BuiltinSSLAdapter(str(certificate), str(key), str(client_ca))
        adapter.context.verify_mode = ssl.CERT_REQUIRED
        adapter.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._server.ssl_adapter = adapter
        self._server.error_log = _quiet  # type: ignore[method-assign]  # cheroot's documented way to redirect it
        try:
            try_to_bind(LOOPBACK, port)
            self._server.prepare()
        except OSError:
            raise InputError(
                "the DM server's port is in use",
                key="server.port",
                found=f"{LOOPBACK}:{port}",
                allowed="a free port, or 0 for any",
                hint="end the program that listens there, or change server.port in the bench file",
            ) from None
        self._thread = threading.Thread(target=self._server.serve, name="dm-server", daemon=True)

    @property
    def base_url(self) -> str:
        """Return where it serves."""
        return f"https://{LOOPBACK}:{self._server.bind_addr[1]}"

    def start(self, app: WsgiApp) -> None:
        """Serve `app` until `stop`."""
        self._server.wsgi_app = app
        self._thread.start()

    def stop(self) -> None:
        """Finish running requests and stop listening."""
        self._server.stop()
        if self._thread.is_alive():
            self._thread.join(timeout=10)


def client_context(*, ca: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Return a client's TLS context that trusts one CA and shows one certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(str(ca))
    context.load_cert_chain(str(certificate), str(key))
    return context


def _quiet(msg: str = "", level: int = 20, traceback: bool = False) -> None:
    """Refused handshakes are what the server is for; its event log keeps what matters."""
