"""A server in virtual time, called inline, and a car that speaks DM 2.0 by hand."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import Any, TypeVar

import pytest
from werkzeug.test import Client, TestResponse

from bench.core.loop import VirtualLoop
from bench.core.records import ServerEvent
from bench.core.seeds import Seeds
from bench.images.signing import demo_payload, sign_image
from bench.ports.server import ServerPorts, Twin, VehicleAccount
from bench.trust.keys import exchange_key, exchange_public_key, public_key, signing_key
from bench.trust.package import build_package
from bench.trust.session import Freshness, decrypt_token, encrypt_vin
from bench.wire.dm import (
    INITIATION_TYPE,
    REQUEST_TYPE,
    RESPONSE_TYPE,
    Commands,
    DevInfo,
    DmAcc,
    Initiation,
    ManagementObject,
    MoData,
    Registration,
    Response,
    Status,
    bootstrap_complete,
)
from bench.wire.dm_alert import Alert, AlertType, OperationComplete
from bench.wire.dm_scomo import Component, Inventory
from bench.wire.dm_uri import ClientUri, Moid
from dm_server.factory import build_server
from dm_server.session import normalised_dev_id

T = TypeVar("T")
BASE = "https://dm.otabench.test"
VIN, DEV_ID, FACTORY_TOKEN = "ZZZ00TABENCH00001", "IMEI:490154203237518", "factory-token-1"
HARDWARE = {"body": "BCM-HW-03", "gateway": "GW-HW-02"}


def image_file(ecu: str, version: str = "2.0.0", key: str = "image") -> bytes:
    return sign_image(
        demo_payload(1, ecu, version, 900),
        hardware_id=HARDWARE.get(ecu, "HW"),
        software_id="APP",
        version=version,
        release_counter=2,
        load_address=0,
        key=signing_key(key),
    ).file


def package(package_id: str = "pkg-2", version: str = "2.0.0", ecus: tuple[str, ...] = ("body", "gateway")) -> bytes:
    return build_package(package_id, [(ecu, image_file(ecu, version)) for ecu in ecus], signing_key("package"))


class Bench:
    """A server with its clock and the events that it announced."""

    def __init__(self, loop: VirtualLoop, store_url: str) -> None:
        self.loop = loop
        self.announced: list[ServerEvent] = []
        self.store_url = store_url
        self.ports = self.start()
        self.package = package
        self.image_file = image_file

    def start(self) -> ServerPorts:
        return build_server(
            clock=self.loop,
            entropy=Seeds(1),
            base_url=BASE,
            store_url=self.store_url,
            package_public_key=public_key("package"),
            image_public_key=public_key("image"),
            server_private_key=exchange_key("server"),
            server_certificate_pem="PEM",
            on_event=self.announced.append,
        )

    def restart(self) -> None:
        self.ports.close()
        self.ports = self.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    def events(self, vin: str = VIN) -> list[ServerEvent]:
        return list(self.run(self.ports.view.events(vin)))

    def kinds(self, vin: str = VIN) -> list[str]:
        return [event.kind for event in self.events(vin)]

    def last(self, kind: str) -> dict[str, Any]:
        return dict([event for event in self.events() if event.kind == kind][-1].data)

    def twin(self) -> Twin:
        return self.run(self.ports.view.twin(VIN))

    def order(self) -> Any:
        return self.twin().orders[-1]


class Car:
    """The vehicle's side of the conversation; `peer` replaces what the environ says of its certificate."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.token = FACTORY_TOKEN
        self.peer: dict[str, str] | None = None
        self.vin, self.dev_id = VIN, DEV_ID
        self.ecus = {"body": "1.0.0", "gateway": "1.0.0"}
        self.secret_texts: list[str] = []
        self.registrations = 0

    def headers(self, content_type: str = INITIATION_TYPE) -> dict[str, str]:
        return {
            "Content-Type": content_type,
            "Accept": REQUEST_TYPE,
            "OMADM-DevID": self.dev_id,
            "VIN": self.vin,
            "Token": self.token,
        }

    def raw(self, body: bytes, **changed: str | None) -> TestResponse:
        merged: Mapping[str, str | None] = self.headers() | {k.replace("_", "-"): v for k, v in changed.items()}
        found = {name: value for name, value in merged.items() if value is not None}
        client = Client(self.bench.ports.wsgi_app)
        return client.post("/dm", data=body, headers=found, environ_overrides=self.certificate(found))

    def certificate(self, headers: Mapping[str, str]) -> dict[str, str]:
        """What a TLS server says of the client's certificate; by default it is that of the device in the header."""
        if self.peer is not None:
            return self.peer
        return {"SSL_CLIENT_CERT": "PEM", "SSL_CLIENT_S_DN_CN": normalised_dev_id(headers.get("OMADM-DevID", ""))}

    def get(self, path: str, **changed: str) -> TestResponse:
        found = self.headers() | {k.replace("_", "-"): v for k, v in changed.items()}
        found.pop("Content-Type")
        found["Accept"] = "*/*"
        return Client(self.bench.ports.wsgi_app).get(path, headers=found, environ_overrides=self.certificate(found))

    def send(self, message: Initiation | Response) -> Commands:
        kind = RESPONSE_TYPE if isinstance(message, Response) else INITIATION_TYPE
        answer = self.raw(message.encode(), Content_Type=kind)
        assert answer.status_code == 200, answer.text
        assert answer.mimetype == REQUEST_TYPE
        return Commands.decode(answer.data)

    def registration(self, vin: str = VIN, sealed: str = VIN, dev_id: str = DEV_ID) -> bytes:
        self.registrations += 1
        fresh = Freshness(bytes([self.registrations]) * 32, bytes([self.registrations]) * 12)
        text = encrypt_vin(sealed, exchange_public_key("server"), dev_id=DEV_ID, fresh=fresh)
        return Registration(DevInfo(dev_id=dev_id), vin, text).encode()

    def register(self) -> DmAcc:
        self.token = FACTORY_TOKEN
        answer = self.raw(self.registration())
        assert answer.status_code == 200, answer.text
        account = DmAcc.decode(answer.data)
        self.token = decrypt_token(account.secret, exchange_key(VIN), dev_id=DEV_ID)
        self.secret_texts += [self.token, account.secret]
        return account

    def enrol(self) -> None:
        self.register()
        assert self.send(bootstrap_complete()).ends

    def open(self, *reports: OperationComplete) -> Commands:
        start = Alert(alert_type=AlertType.CLIENT_INITIATED.value)
        mos = tuple(ManagementObject(moid.value) for moid in (Moid.DEVINFO, Moid.SCOMO))
        return self.send(Initiation(mos, (start, *(report.alert() for report in reports))))

    def data(self) -> Response:
        inventory = Inventory(tuple(Component(ecu, "APP", self.ecus[ecu]) for ecu in sorted(self.ecus)))
        roots = {Moid.DEVINFO: DevInfo(dev_id=DEV_ID).tree(), Moid.SCOMO: inventory.tree()}
        pairs = tuple(MoData(ClientUri(moid.value), tree) for moid, tree in roots.items())
        return Response((Status(200), Status(200)), pairs)

    def poll(self, *reports: OperationComplete) -> Commands:
        """A session up to what the server wants after the inventory."""
        self.open(*reports)
        return self.send(self.data())

    def answer(self, hget: int = 200, execute: int = 202) -> Commands:
        return self.send(Response((Status(hget), Status(execute))))

    def accept(self) -> None:
        assert not self.poll().ends
        assert self.answer().ends

    @staticmethod
    def report(ecu: str, code: int = 1200, package_id: str = "pkg-2", **more: str) -> OperationComplete:
        return OperationComplete(package_id=package_id, ecu=ecu, result_code=code, state="20", **more)


@pytest.fixture(params=["memory"])
def bench(request: pytest.FixtureRequest, tmp_path: Any) -> Iterator[Bench]:
    loop = VirtualLoop()
    made = Bench(loop, "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'dm.sqlite'}")
    yield made
    made.ports.close()
    loop.discard()


@pytest.fixture
def account() -> VehicleAccount:
    return VehicleAccount(server_url=f"{BASE}/dm", dev_id=DEV_ID, vin=VIN, factory_token=FACTORY_TOKEN)


@pytest.fixture
def car(bench: Bench, account: VehicleAccount) -> Car:
    """A car that the server knows and that has not registered."""
    bench.run(bench.ports.admin.add_vehicle(account, exchange_public_key(VIN)))
    return Car(bench)


@pytest.fixture
def order(bench: Bench, car: Car) -> Callable[..., str]:
    """Upload a package and order it."""

    def place(package_id: str = "pkg-2", version: str = "2.0.0", ecus: tuple[str, ...] = ("body", "gateway")) -> str:
        bench.run(bench.ports.admin.upload_package(package(package_id, version, ecus)))
        return bench.run(bench.ports.admin.place_order(VIN, package_id))

    return place


@pytest.fixture
def ordered(car: Car, order: Callable[..., str]) -> Car:
    """A registered car for which pkg-2 is ordered."""
    order()
    car.enrol()
    return car
