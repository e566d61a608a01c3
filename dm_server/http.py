"""The Flask application: headers and bodies in, `DmService` in the middle, statuses and JSON out."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask, Request, Response, request
from werkzeug.exceptions import HTTPException

from bench.core.canonical import canonical_json
from bench.wire.dm import INITIATION_TYPE, REQUEST_TYPE, RESPONSE_TYPE
from dm_server.caller import Caller, read_caller
from dm_server.ranges import Span, Unsatisfiable, read_range
from dm_server.refusal import Refused
from dm_server.service import DmService

MAX_BODY_BYTES = 1024 * 1024
CHALLENGE = 'Bearer realm="otabench"'
JSON_TYPE = "application/json"


def create_app(service: DmService, *, propagate: bool) -> Flask:
    """Return the application; with `propagate` a failure of its own leaves it as the exception that it is."""
    app = Flask("dm_server", static_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY_BYTES, PROPAGATE_EXCEPTIONS=propagate)
    app.register_error_handler(Refused, _refusal_handler(service))
    app.register_error_handler(HTTPException, _http_handler(service))

    @app.post("/dm")
    def dm() -> Response:
        _check_types(request)
        return _answer(service.post(_caller(), request.get_data(cache=False)), REQUEST_TYPE)

    @app.get("/pkgurl/<package_id>")
    def package_url(package_id: str) -> Response:
        return _answer(service.package_url(_caller(), package_id, request.args.get("order")), JSON_TYPE)

    @app.get("/packages/<package_id>.zip")
    def package(package_id: str) -> Response:
        return _package(service, package_id)

    return app


def _caller() -> Caller:
    return read_caller(request.headers, request.environ)


def _answer(body: bytes, media_type: str) -> Response:
    return Response(body, content_type=media_type, headers={"Cache-Control": "no-store"})


def _check_types(message: Request) -> None:
    """Refuse what this server cannot read (415) or the client does not accept (406)."""
    if message.mimetype not in (INITIATION_TYPE, RESPONSE_TYPE):
        raise Refused(415, f"Content-Type is {message.mimetype or 'missing'}, expected {INITIATION_TYPE}")
    # No Accept means that the client takes anything (RFC 9110, 12.5.1).
    if message.accept_mimetypes and message.accept_mimetypes.best_match([REQUEST_TYPE]) is None:
        raise Refused(406, f"Accept does not allow {REQUEST_TYPE}")


def _package(service: DmService, package_id: str) -> Response:
    found = service.package(_caller(), package_id)
    etag = f'"{found.sha256}"'
    condition = request.headers.get("If-Range")
    # If-Range (RFC 9110, 13.1.5): another package under the same name must not be appended to the first half of the old
    # one.
    wanted = request.headers.get("Range") if condition in (None, etag) else None
    headers = {"Accept-Ranges": "bytes", "ETag": etag, "Cache-Control": "private"}
    try:
        span = read_range(wanted, found.size_bytes)
    except Unsatisfiable:
        refusal = Refused(416, f"the package has {found.size_bytes} bytes, none of them in {wanted}")
        _note(service, refusal)
        return _error(refusal, headers | {"Content-Range": f"bytes */{found.size_bytes}"})
    whole = Span(0, found.size_bytes - 1)
    part = span or whole
    if span is not None:
        headers["Content-Range"] = f"bytes {span.first}-{span.last}/{found.size_bytes}"
    data = service.package_bytes(package_id, part.first, part.length)
    return Response(data, 200 if span is None else 206, headers, content_type="application/zip")


def _note(service: DmService, refusal: Refused) -> None:
    """Log a refusal; who is refused before anybody looked at the headers is looked at now."""
    try:
        caller = _caller()
    except Refused:
        caller = None
    service.note_refusal(caller, request.headers.get("OMADM-DevID", "").strip(), refusal)


def _refusal_handler(service: DmService) -> Callable[[Refused], Response]:
    def handle(refusal: Refused) -> Response:
        _note(service, refusal)
        return _error(refusal, {"WWW-Authenticate": CHALLENGE} if refusal.status == 401 else {})

    return handle


def _http_handler(service: DmService) -> Callable[[HTTPException], Response]:
    def handle(error: HTTPException) -> Response:
        refusal = Refused(error.code or 500, error.description or error.name)
        _note(service, refusal)
        return _error(refusal, dict(error.get_headers()) if error.code == 405 else {})

    return handle


def _error(refusal: Refused, headers: dict[str, str]) -> Response:
    body = canonical_json({"Responsecode": str(refusal.status), "Description": refusal.reason})
    headers.pop("Content-Type", None)
    return Response(body, refusal.status, headers, content_type=JSON_TYPE)
