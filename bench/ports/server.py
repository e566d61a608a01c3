"""The DM server: what a vehicle is given, what an operator does, what anybody may read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from bench.core.records import ServerEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class VehicleAccount:
    """What a vehicle is given at the factory to talk to its server."""

    server_url: str
    dev_id: str
    vin: str
    factory_token: str


@dataclass(frozen=True, slots=True)
class Target:
    """One ECU of an order and the version it shall run."""

    ecu: str
    version: str


class ServerAdmin(Protocol):
    """What an operator does on a DM server."""

    async def add_vehicle(self, account: VehicleAccount, vehicle_public_key: bytes) -> None:
        """Make the server know a vehicle and its X25519 public key (32 bytes)."""

    async def upload_package(self, package: bytes) -> str:
        """Check and store a signed package; returns its package id. ValueError names why it was refused."""

    async def place_order(self, vin: str, package_id: str) -> str:
        """Order the package for the vehicle; returns the order id."""


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order as the server sees it; `status` is open, offered, accepted, success, failed or refused."""

    order: str
    package_id: str
    status: str
    targets: Sequence[Target]


@dataclass(frozen=True, slots=True)
class Twin:
    """What the server believes of a vehicle: a fold over its event log."""

    vin: str
    registered: bool
    ecus: Mapping[str, str]
    orders: Sequence[OrderView]


class ServerView(Protocol):
    """What anybody may read of a DM server."""

    async def events(self, vin: str) -> Sequence[ServerEvent]:
        """Return the vehicle's event log in order."""

    async def twin(self, vin: str) -> Twin:
        """Return what the server believes of the vehicle."""


WsgiApp = Callable[[dict[str, Any], Callable[..., Any]], Any]


@dataclass(frozen=True, slots=True)
class ServerPorts:
    """What an `otabench.server` factory returns."""

    wsgi_app: WsgiApp
    admin: ServerAdmin
    view: ServerView
    close: Callable[[], None]
