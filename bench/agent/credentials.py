"""Whom the agent shows its credentials to: the server that gave them, over https, and nobody else."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from bench.agent.agent_log import Account
from bench.ports.http import TransportFailure
from bench.ports.server import VehicleAccount

HTTPS_PORT = 443
# Narrower than RFC 3986 on purpose: no user part and no backslash, about which URL parsers disagree. What one parser
# takes for the host and another for a password would send the token to whoever wrote the URL.
_HTTPS_URL = re.compile(r"https://([a-z0-9.-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?(?:[/?#][!-\[\]-~]*)?", re.IGNORECASE)


class Origin(NamedTuple):
    """Host and port of an https URL: what a token is bound to (RFC 6454; the scheme is always https)."""

    host: str
    port: int


def origin_of(url: str) -> Origin:
    """Return the origin of an https URL; TransportFailure for any other text: nothing may be sent there."""
    found = _HTTPS_URL.fullmatch(url)
    if found is None:
        raise TransportFailure(f"{url!r} is no https URL: nothing is sent there")
    return Origin(found[1].lower(), int(found[2] or HTTPS_PORT))


def is_https(url: str) -> bool:
    """Return whether anything may be asked of `url` at all."""
    return _HTTPS_URL.fullmatch(url) is not None


@dataclass(frozen=True, slots=True)
class Credentials:
    """Who the vehicle is, and the account that its server gave it (None before the registration)."""

    vehicle: VehicleAccount
    account: Account | None = field(repr=False)

    def headers_for(self, url: str) -> dict[str, str]:
        """Return what a GET of `url` carries: identity and token for the account's own server, nothing for others.

        A package may lie on any host, and the server's commands name it: whoever can write such a name, or runs that
        host, would otherwise collect a session token and act as the vehicle.
        """
        if self.account is None or not is_https(url) or origin_of(url) != origin_of(self.account.srv_uri):
            return {}
        return {"OMADM-DevID": self.vehicle.dev_id, "VIN": self.vehicle.vin, "Token": self.account.token}
