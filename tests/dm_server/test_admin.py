"""Vehicles, packages, orders, and how the server is built."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.core.clock import Clock, Instant
from bench.core.entropy import SystemEntropy
from bench.core.errors import InputError
from bench.core.loop import VirtualLoop
from bench.core.realtime import run_on_clock
from bench.core.records import ServerEvent
from bench.core.seeds import Seeds
from bench.images.signing import demo_payload, sign_image
from bench.ports.server import ServerPorts, VehicleAccount
from bench.trust.keys import exchange_key, exchange_public_key, public_key, signing_key
from bench.trust.package import build_package
from dm_server.factory import build_server
from dm_server.store import Store

Builder = Callable[..., ServerPorts]
VIN = "ZZZ00TABENCH00001"


def image_file(ecu: str) -> bytes:
    return sign_image(
        demo_payload(1, ecu, "2.0.0", 900), hardware_id="HW", software_id="APP", version="2.0.0", release_counter=2,
        load_address=0, key=signing_key("image"),
    ).file  # fmt: skip


@pytest.fixture
def built() -> Iterator[Callable[..., ServerPorts]]:
    """Build servers on one virtual clock; all are closed at the end."""
    loop = VirtualLoop()
    made: list[ServerPorts] = []

    def build(**changed: Any) -> ServerPorts:
        values: dict[str, Any] = {
            "clock": loop,
            "entropy": Seeds(1),
            "base_url": "https://127.0.0.1:8443/",
            "store_url": "sqlite://",
            "package_public_key": public_key("package"),
            "image_public_key": public_key("image"),
            "server_private_key": exchange_key("server"),
            "server_certificate_pem": "",
            "on_event": lambda event: None,
        }
        made.append(build_server(**values | changed))
        return made[-1]

    yield build
    for ports in made:
        ports.close()
    loop.discard()


def test_added_vehicle_is_in_its_log_and_not_registered(bench: Any, car: Any) -> None:
    assert [(event.kind, event.data) for event in bench.events()] == [
        ("vehicle_added", {"dev_id": "IMEI:490154203237518"})
    ]
    assert not bench.twin().registered


def test_vehicle_added_twice_is_refused(bench: Any, car: Any, account: VehicleAccount) -> None:
    with pytest.raises(ValueError, match="is known already"):
        bench.run(bench.ports.admin.add_vehicle(account, exchange_public_key(VIN)))
    assert len(bench.announced) == 1


@pytest.mark.parametrize(
    ("account_change", "key", "reason"),
    [
        ({}, b"short", "has 32 bytes, got 5"),
        ({"vin": ""}, bytes(32), "the VIN is not 1 to 64"),
        ({"dev_id": "é"}, bytes(32), "the device id is not"),
    ],
)
def test_vehicle_with_an_impossible_value_is_refused(
    bench: Any, account_change: dict[str, str], key: bytes, reason: str
) -> None:
    values = {"server_url": "u", "dev_id": "IMEI:1", "vin": "V", "factory_token": "t"} | account_change
    with pytest.raises(ValueError, match=reason):
        bench.run(bench.ports.admin.add_vehicle(VehicleAccount(**values), key))


def test_uploaded_package_is_logged_with_its_images(bench: Any) -> None:
    assert bench.run(bench.ports.admin.upload_package(bench.package())) == "pkg-2"
    assert bench.run(bench.ports.admin.upload_package(bench.package())) == "pkg-2"
    (event,) = bench.events("")
    assert event.kind == "package_uploaded"
    assert event.data["images"] == [
        {"ecu": ecu, "version": "2.0.0", "software_id": "APP", "release_counter": 2} for ecu in ("body", "gateway")
    ]


def test_package_with_a_used_id_and_other_content_is_refused(bench: Any) -> None:
    bench.run(bench.ports.admin.upload_package(bench.package()))
    with pytest.raises(ValueError, match="another package has the id pkg-2"):
        bench.run(bench.ports.admin.upload_package(bench.package("pkg-2", "2.0.1")))


def test_package_that_is_not_genuine_is_refused_with_the_reason(bench: Any) -> None:
    upload = bench.ports.admin.upload_package
    with pytest.raises(ValueError, match=r"package refused \(corrupt\)"):
        bench.run(upload(b"no zip"))
    forged = build_package("p", [("body", bench.image_file("body"))], signing_key("stranger"))
    with pytest.raises(ValueError, match=r"package refused \(signature\): the package signature"):
        bench.run(upload(forged))
    image = build_package("p", [("body", bench.image_file("body", key="stranger"))], signing_key("package"))
    with pytest.raises(ValueError, match="the image signature of body is wrong"):
        bench.run(upload(image))
    assert bench.events("") == []


def test_package_for_hardware_that_no_vehicle_has_is_stored(bench: Any) -> None:
    assert bench.run(bench.ports.admin.upload_package(bench.package("p", ecus=("radio",)))) == "p"


def test_order_for_something_unknown_is_refused(bench: Any, car: Any) -> None:
    with pytest.raises(ValueError, match="vehicle X is not known"):
        bench.run(bench.ports.admin.place_order("X", "pkg-2"))
    with pytest.raises(ValueError, match="package pkg-2 is not known"):
        bench.run(bench.ports.admin.place_order(VIN, "pkg-2"))


def test_same_order_is_refused_while_the_first_is_unfinished(bench: Any, order: Callable[..., str]) -> None:
    assert order() == "order-1"
    with pytest.raises(ValueError, match="order-1 for package pkg-2 is open"):
        order()
    assert order("pkg-3") == "order-2"


def test_twin_of_an_unknown_vehicle_is_empty(bench: Any) -> None:
    twin = bench.twin()
    assert (twin.registered, twin.ecus, twin.orders) == (False, {}, ())


def test_server_with_test_keys_is_refused_on_a_public_host(built: Builder) -> None:
    with pytest.raises(InputError, match="test keys protect nothing"):
        built(base_url="https://dms.example.com")


def test_server_with_its_own_keys_may_be_public(built: Builder) -> None:
    built(
        base_url="https://dms.example.com",
        package_public_key=public_key("own package"),
        image_public_key=public_key("own image"),
        server_private_key=exchange_key("own server"),
    )


@pytest.mark.parametrize("base_url", ["", "dm.otabench.test", "ftp://localhost", "https://", "http://localhost"])
def test_server_without_a_base_url_is_refused(built: Builder, base_url: str) -> None:
    with pytest.raises(InputError, match="base_url is no https URL"):
        built(base_url=base_url)


@pytest.mark.parametrize("store_url", ["", "nonsense", "oracledb2://x", "sqlite:////no/such/folder/dm.sqlite"])
def test_server_without_a_usable_store_is_refused(built: Builder, store_url: str) -> None:
    with pytest.raises(InputError, match="store_url names no database"):
        built(store_url=store_url)


def test_file_that_is_no_database_is_refused(built: Builder, tmp_path: Path) -> None:
    (tmp_path / "dm.sqlite").write_text("something else " * 100)
    with pytest.raises(InputError, match="file is not a database"):
        built(store_url=f"sqlite:///{tmp_path / 'dm.sqlite'}")


def test_store_in_a_file_uses_a_write_ahead_log(built: Builder, tmp_path: Path) -> None:
    built(store_url=f"sqlite:///{tmp_path / 'dm.sqlite'}")
    assert (tmp_path / "dm.sqlite-wal").exists()


def test_event_is_stored_before_it_is_announced(built: Builder, tmp_path: Path, account: VehicleAccount) -> None:
    url = f"sqlite:///{tmp_path / 'dm.sqlite'}"
    seen: list[list[str]] = []

    def read_log(event: ServerEvent) -> None:
        reader = Store(url)
        with reader.reading() as unit:
            seen.append([stored.kind for stored in unit.log(event.vin)])
        reader.close()

    ports = built(store_url=url, on_event=read_log)
    with pytest.raises(StopIteration):
        ports.admin.add_vehicle(account, exchange_public_key(VIN)).__await__().__next__()
    assert seen == [["vehicle_added"]]


def test_threads_of_a_real_server_append_one_unbroken_log(built: Builder, tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'dm.sqlite'}")

    def append(thread: int) -> None:
        for n in range(10):
            with store.writing(Instant(0, 0)) as unit:
                unit.append("V", "message_refused", {"status": thread, "reason": str(n)})

    threads = [threading.Thread(target=append, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.reading() as unit:
        assert [event.seq for event in unit.log("V")] == list(range(1, 41))
    store.close()


def test_times_of_events_survive_a_restart(tmp_path: Path, account: VehicleAccount) -> None:
    """Each run's nanoseconds begin at 0; the date goes on."""

    def run(work: Callable[[ServerPorts], Any]) -> list[ServerEvent]:
        async def main(clock: Clock) -> list[ServerEvent]:
            ports = build_server(
                clock=clock, entropy=SystemEntropy(), base_url="https://127.0.0.1:8443",
                store_url=f"sqlite:///{tmp_path / 'dm.sqlite'}", package_public_key=public_key("package"),
                image_public_key=public_key("image"), server_private_key=exchange_key("server"),
                server_certificate_pem="", on_event=lambda event: None,
            )  # fmt: skip
            try:
                await work(ports)
                return list(await ports.view.events(VIN))
            finally:
                ports.close()

        return run_on_clock(main, virtual=False)

    async def uploaded(ports: ServerPorts) -> None:
        await ports.admin.add_vehicle(account, exchange_public_key(VIN))
        for name in ("p", "q"):
            image = ("body", image_file("body"))
            await ports.admin.upload_package(build_package(name, [image], signing_key("package")))
        await ports.admin.place_order(VIN, "p")

    run(uploaded)
    events = run(lambda ports: ports.admin.place_order(VIN, "q"))
    assert [event.kind for event in events] == ["vehicle_added", "order_placed", "order_placed"]
    assert events[2].t_ns < 1_000_000_000, "counted from the second server's start"
    walls = [event.wall_ns for event in events]
    assert walls == sorted(walls)
    assert walls[2] - walls[0] > events[2].t_ns - events[0].t_ns
    assert walls[0] > 1_700_000_000 * 1_000_000_000, "a date of this century"


def test_date_of_an_event_in_simulation_is_that_of_the_run(bench: Any, car: Any, order: Callable[..., str]) -> None:
    bench.run(bench.loop.sleep_ns(5_000_000))
    order()
    assert bench.events()[-1].wall_ns - bench.events()[0].wall_ns == 5_000_000
    assert bench.events()[0].wall_ns == 1_893_456_000 * 1_000_000_000, "2030-01-01, as whenever time is shown"


def test_store_of_another_version_is_refused(built: Builder, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "dm.sqlite") as old:
        old.execute("CREATE TABLE events (vin TEXT, seq INTEGER, t_ns INTEGER, kind TEXT, data TEXT)")
    old.close()
    with pytest.raises(InputError, match="another version"):
        built(store_url=f"sqlite:///{tmp_path / 'dm.sqlite'}")
