"""`ServerAdmin` and `ServerView` of this server."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from bench.core.canonical import sha256_hex
from bench.core.clock import Clock, instant
from bench.core.records import ServerEvent
from bench.ports.server import Target, Twin, VehicleAccount
from bench.trust.package import PackageRefused, VerifiedPackage, check_package
from dm_server.orders import read_targets, targets_json
from dm_server.service import new_vehicle
from dm_server.store import SERVER_LOG, PackageRow, Store, Unit, json_text
from dm_server.twin import fold

PUBLIC_KEY_BYTES = 32
MAX_ID_CHARACTERS = 64


class Admin:
    """What an operator does; every method is one transaction."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        on_event: Callable[[ServerEvent], None],
        *,
        package_public_key: bytes,
        image_public_key: bytes,
    ) -> None:
        self._store, self._clock, self._on_event = store, clock, on_event
        self._package_key, self._image_key = package_public_key, image_public_key

    async def add_vehicle(self, account: VehicleAccount, vehicle_public_key: bytes) -> None:
        """Make the server know a vehicle; ValueError when it knows its VIN or device id already."""
        if len(vehicle_public_key) != PUBLIC_KEY_BYTES:
            raise ValueError(f"an X25519 public key has {PUBLIC_KEY_BYTES} bytes, got {len(vehicle_public_key)}")
        for name, text in (("VIN", account.vin), ("device id", account.dev_id), ("token", account.factory_token)):
            if not text or len(text) > MAX_ID_CHARACTERS or not text.isascii() or not text.isprintable():
                raise ValueError(f"the {name} is not 1 to {MAX_ID_CHARACTERS} printable ASCII characters")
        row = new_vehicle(account.dev_id, account.vin, account.factory_token, vehicle_public_key)
        with self._store.writing(instant(self._clock)) as unit:
            if not unit.add_vehicle(row):
                raise ValueError(f"vehicle {row.vin} or device {row.dev_id} is known already")
            unit.append(row.vin, "vehicle_added", {"dev_id": row.dev_id})
        self._announce(unit)

    async def upload_package(self, package: bytes) -> str:
        """Check and store a signed package; the same package again is harmless. ValueError names why not."""
        try:
            checked = check_package(package, self._package_key, self._image_key)
        except PackageRefused as refusal:
            raise ValueError(f"package refused ({refusal.reason}): {refusal.sentence}") from None
        row = _package_row(checked, package)
        with self._store.writing(instant(self._clock)) as unit:
            if unit.add_package(row, package):
                unit.append(SERVER_LOG, "package_uploaded", _uploaded(checked, row))
            elif unit.package(row.package_id) != row:
                raise ValueError(f"another package has the id {row.package_id} already")
        self._announce(unit)
        return row.package_id

    async def place_order(self, vin: str, package_id: str) -> str:
        """Order a package for a vehicle; ValueError when one is unknown or the same order is still at work."""
        with self._store.writing(instant(self._clock)) as unit:
            if unit.vehicle(vin) is None:
                raise ValueError(f"vehicle {vin} is not known")
            package = unit.package(package_id)
            if package is None:
                raise ValueError(f"package {package_id} is not known")
            for order in unit.orders(vin).values():
                if order.package_id == package_id and not order.closed:
                    raise ValueError(f"{order.order} for package {package_id} is {order.status}")
            order_id = f"order-{unit.next_of('orders')}"
            targets = targets_json(_targets(package))
            unit.append(vin, "order_placed", {"order": order_id, "package_id": package_id, "targets": targets})
        self._announce(unit)
        return order_id

    def _announce(self, unit: Unit) -> None:
        for event in unit.events:
            self._on_event(event)


class View:
    """What anybody may read."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def events(self, vin: str) -> Sequence[ServerEvent]:
        """Return the vehicle's log in order; `""` is the server's own."""
        with self._store.reading() as unit:
            return tuple(unit.log(vin))

    async def twin(self, vin: str) -> Twin:
        """Return the fold of the vehicle's log."""
        with self._store.reading() as unit:
            return fold(vin, unit.log(vin))


def _package_row(checked: VerifiedPackage, package: bytes) -> PackageRow:
    targets = [Target(image.entry.ecu, image.entry.version) for image in checked.images]
    return PackageRow(checked.package_id, sha256_hex(package), len(package), json_text(targets_json(targets)))


def _targets(package: PackageRow) -> tuple[Target, ...]:
    return read_targets(json.loads(package.targets))


def _uploaded(checked: VerifiedPackage, row: PackageRow) -> dict[str, object]:
    images = [
        {
            "ecu": image.entry.ecu,
            "version": image.entry.version,
            "software_id": image.entry.software_id,
            "release_counter": image.entry.release_counter,
        }
        for image in checked.images
    ]
    return {"package_id": row.package_id, "sha256": row.sha256, "images": images}
