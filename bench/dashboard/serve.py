"""Serve the dashboard on loopback with cheroot until Ctrl-C."""

from __future__ import annotations

import ipaddress
import os
import sys
import threading
from typing import TextIO

from cheroot.wsgi import Server
from flask import Flask

from bench.core.errors import InputError
from bench.core.listening import try_to_bind
from bench.core.stop import STOP

STOP_WITHIN_S = 2


def serve(app: Flask, host: str, port: int, *, out: TextIO | None = None) -> None:
    """Serve `app` until Ctrl-C, which ends it cleanly; prints its URL. InputError when the port cannot be had.

    The web server has a thread of its own, so that nothing but the wait for Ctrl-C goes on in the main one.
    """
    server = listen(app, host, port)
    reader, writer = os.pipe()
    failures: list[BaseException] = []
    thread = threading.Thread(target=_serve, args=(server, writer, failures), name="dashboard")
    try:
        with STOP.telling(lambda: os.write(writer, b".")):
            thread.start()
            print(f"dashboard: {url_of(server)}  (Ctrl-C ends it)", file=out or sys.stderr, flush=True)
            os.read(reader, 1)
    except KeyboardInterrupt:
        pass
    finally:
        server.stop()
        thread.join()
        os.close(reader)
        os.close(writer)
    if failures:
        raise failures[0]


def _serve(server: Server, writer: int, failures: list[BaseException]) -> None:
    try:
        server.serve()
    except BaseException as error:
        failures.append(error)
    os.write(writer, b".")


def listen(app: Flask, host: str, port: int) -> Server:
    """Return a server that listens already; port 0 lets the system choose one. Its `serve()` answers."""
    _refuse_open_hosts(host)
    address = "127.0.0.1" if host == "localhost" else host
    server = Server((address, port), app, shutdown_timeout=STOP_WITHIN_S)
    try:
        try_to_bind(address, port)
        server.prepare()
    except (OSError, OverflowError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise InputError(
            "the dashboard cannot listen",
            key="--port",
            found=f"{host}:{port}: {reason}",
            allowed="a free port from 1024 to 65535, or 0 to have one chosen",
            hint=f"end what uses port {port}, or name another with --port",
        ) from error
    return server


def url_of(server: Server) -> str:
    """Return the URL under which a listening server is reached."""
    host, port = server.bind_addr[0], server.bind_addr[1]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _refuse_open_hosts(host: str) -> None:
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise InputError(
            "the dashboard serves this machine only",
            key="--host",
            found=host,
            allowed="localhost, 127.0.0.1, ::1",
            hint="to show it elsewhere, forward the port (ssh -L) or send report.html, which is one file",
        )
