"""Calling a WSGI application inline, without a server (PEP 3333)."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from typing import Any

import httpx

from bench.ports.server import WsgiApp

Answer = tuple[int, list[tuple[str, str]], bytes]


def call_wsgi(app: WsgiApp, request: httpx.Request, peer: Mapping[str, str]) -> Answer:
    """Call `app` with a request whose body was read; returns status, headers and the whole body.

    `peer` is what a TLS server would put into the environ about the client's certificate.
    """
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        started.append((status, headers))
        return parts.append

    parts: list[bytes] = []
    result = app(_environ(request, peer), start_response)
    try:
        parts.extend(result)
    finally:
        if hasattr(result, "close"):
            result.close()
    status, headers = started[-1]
    return int(status.split(" ", 1)[0]), headers, b"".join(parts)


def _environ(request: httpx.Request, peer: Mapping[str, str]) -> dict[str, Any]:
    body = request.content
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": request.url.path,
        "QUERY_STRING": request.url.query.decode("ascii"),
        "SERVER_NAME": request.url.host,
        "SERVER_PORT": str(request.url.port or 443),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.url.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **peer,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}"] = value
    return environ
