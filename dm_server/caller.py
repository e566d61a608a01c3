"""Who calls: the headers of the seed slides and the peer's certificate, read once, checked in one place."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from werkzeug.datastructures import Headers

from dm_server.refusal import Refused
from dm_server.session import normalised_dev_id

_NO_TOKEN_SHA256 = "0" * 64


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says of its sender, whose certificate has the device id as its common name."""

    dev_id: str
    vin: str
    token: str = field(repr=False)


def read_caller(headers: Headers, environ: Mapping[str, object]) -> Caller:
    """Read OMADM-DevID, VIN, Token (or Authorization: Bearer) and the peer's certificate; `Refused` 400 or 403."""
    dev_id = normalised_dev_id(headers.get("OMADM-DevID", "").strip())
    vin = headers.get("VIN", "").strip()
    for name, value in (("OMADM-DevID", dev_id), ("VIN", vin)):
        if not value:
            raise Refused(400, f"header {name} is missing")
    # A server that listens without asking for certificates (a proxy in front, a mistake in its setup) lets nobody in:
    # DM 2.0 demands mutual authentication (OMA-TS-DM_Protocol-V2_0, bootstrap and transport security, from memory).
    peer = _peer(environ)
    if peer is None:
        raise Refused(403, "a client certificate is demanded, none was shown")
    if peer != dev_id:
        raise Refused(403, f"the certificate is that of {peer or 'nobody'}, the header names {dev_id}")
    return Caller(dev_id, vin, _token(headers))


def token_sha256(token: str) -> str:
    """Return what the store keeps of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def same_token(token: str, kept_sha256: str | None) -> bool:
    """Return whether `token` is the kept one; takes equally long for every wrong token."""
    return hmac.compare_digest(token_sha256(token), kept_sha256 or _NO_TOKEN_SHA256)


def _token(headers: Headers) -> str:
    plain = headers.get("Token", "").strip()
    scheme, _, bearer = headers.get("Authorization", "").strip().partition(" ")
    bearer = bearer.strip() if scheme.lower() == "bearer" else ""
    if plain and bearer and not same_token(plain, token_sha256(bearer)):
        raise Refused(400, "headers Token and Authorization differ")
    return plain or bearer


def _peer(environ: Mapping[str, object]) -> str | None:
    name = environ.get("SSL_CLIENT_S_DN_CN")
    if name is None and environ.get("SSL_CLIENT_CERT") is None:
        return None
    return str(name or "")
