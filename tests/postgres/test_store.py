"""The DM server on PostgreSQL: several processes may write to one store."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from bench.core.clock import Instant
from bench.core.errors import InputError
from bench.core.loop import VirtualLoop
from bench.core.seeds import Seeds
from bench.ports.server import ServerPorts, VehicleAccount
from bench.trust.keys import exchange_key, exchange_public_key, public_key
from dm_server.factory import build_server
from dm_server.store import Store
from tests.dm_server.conftest import BASE, DEV_ID, FACTORY_TOKEN, VIN, Bench, Car, package

pytestmark = pytest.mark.postgres
WRITERS, ROUNDS = 2, 100
ACCOUNT = VehicleAccount(server_url=f"{BASE}/dm", dev_id=DEV_ID, vin=VIN, factory_token=FACTORY_TOKEN)


def together(work: Callable[[int], None]) -> None:
    """Have both writers begin at once, each in a thread and with connections of its own; their failures are ours."""
    gate, failures = threading.Barrier(WRITERS), []

    def write(writer: int) -> None:
        gate.wait()
        try:
            work(writer)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def server(store_url: str, loop: VirtualLoop) -> ServerPorts:
    return build_server(
        clock=loop, entropy=Seeds(1), base_url=BASE, store_url=store_url, package_public_key=public_key("package"),
        image_public_key=public_key("image"), server_private_key=exchange_key("server"), server_certificate_pem="",
        on_event=lambda event: None,
    )  # fmt: skip


def done(work: Any) -> Any:
    """Run a coroutine that never waits to its end."""
    try:
        work.__await__().__next__()
    except StopIteration as end:
        return end.value
    raise AssertionError("it waited")


def test_two_writers_append_one_unbroken_log(store_url: str) -> None:
    stores = [Store(store_url) for _ in range(WRITERS)]

    def append(writer: int) -> None:
        for n in range(ROUNDS):
            with stores[writer].writing(Instant(n, n)) as unit:
                unit.append("V", "message_refused", {"status": writer, "reason": str(n)})
                unit.append(f"own {writer}", "message_refused", {"status": writer, "reason": str(n)})

    together(append)
    with stores[0].reading() as unit:
        log = list(unit.log("V"))
        assert [event.seq for event in log] == list(range(1, WRITERS * ROUNDS + 1))
        for writer in range(WRITERS):
            assert [event.data["reason"] for event in log if event.data["status"] == writer] == [
                *map(str, range(ROUNDS))
            ]
            assert [event.seq for event in unit.log(f"own {writer}")] == list(range(1, ROUNDS + 1))
    for store in stores:
        store.close()


def test_number_of_a_transaction_that_failed_is_given_again(store_url: str) -> None:
    store = Store(store_url)

    def fail() -> None:
        with store.writing(Instant(0, 0)) as unit:
            unit.append("V", "message_refused", {})
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    with store.writing(Instant(0, 0)) as unit:
        assert unit.append("V", "message_refused", {}).seq == 1
    store.close()


def test_two_operators_place_every_order_once_and_under_its_own_number(store_url: str) -> None:
    loop = VirtualLoop()
    servers = [server(store_url, loop) for _ in range(WRITERS)]
    vins = [f"VIN{n}" for n in range(10)]
    done(servers[0].admin.upload_package(package()))
    for n, vin in enumerate(vins):
        account = VehicleAccount(server_url=f"{BASE}/dm", dev_id=f"IMEI:{n}", vin=vin, factory_token="t")
        done(servers[0].admin.add_vehicle(account, exchange_public_key(vin)))
    placed: list[list[str]] = [[], []]
    refused: list[str] = []

    def place(writer: int) -> None:
        for vin in vins:
            try:
                placed[writer].append(done(servers[writer].admin.place_order(vin, "pkg-2")))
            except ValueError as error:
                refused.append(str(error))

    together(place)
    assert sorted(placed[0] + placed[1], key=lambda order: int(order[6:])) == [f"order-{n}" for n in range(1, 11)]
    assert len(refused) == len(vins), "the same order is placed once"
    assert all("is open" in reason for reason in refused)
    assert all(len(done(servers[0].view.twin(vin)).orders) == 1 for vin in vins)
    for one in servers:
        one.close()
    loop.discard()


def test_two_operators_who_do_the_same_at_once_add_a_vehicle_and_a_package_once(store_url: str) -> None:
    loop = VirtualLoop()
    servers = [server(store_url, loop) for _ in range(WRITERS)]
    refused: list[str] = []

    def add(writer: int) -> None:
        for n in range(20):
            account = VehicleAccount(server_url=f"{BASE}/dm", dev_id=f"IMEI:{n}", vin=f"VIN{n}", factory_token="t")
            try:
                done(servers[writer].admin.add_vehicle(account, exchange_public_key("v")))
            except ValueError as error:
                refused.append(str(error))
            assert done(servers[writer].admin.upload_package(package(f"pkg-{n}"))) == f"pkg-{n}"

    together(add)
    assert len(refused) == 20
    assert all("known already" in reason for reason in refused)
    uploads = [event.data["package_id"] for event in done(servers[0].view.events(""))]
    assert sorted(map(str, uploads)) == sorted(f"pkg-{n}" for n in range(20))
    for one in servers:
        one.close()
    loop.discard()


def test_update_from_registration_to_success_on_postgresql(store_url: str) -> None:
    loop = VirtualLoop()
    bench = Bench(loop, store_url)
    bench.run(bench.ports.admin.add_vehicle(ACCOUNT, exchange_public_key(VIN)))
    bench.run(bench.ports.admin.upload_package(package()))
    bench.run(bench.ports.admin.place_order(VIN, "pkg-2"))
    car = Car(bench)
    car.enrol()
    car.accept()
    assert car.get("/packages/pkg-2.zip", Range="bytes=100-").data == package()[100:]
    bench.restart()
    car.poll(car.report("body"), car.report("gateway"))
    assert bench.order().status == "success"
    assert [event.seq for event in bench.events()] == list(range(1, len(bench.events()) + 1))
    car.raw(b"{", Token="wrong")
    assert bench.last("stranger_refused")["count"] == 1
    bench.ports.close()
    loop.discard()


def test_database_that_does_not_answer_is_named_without_its_password(tmp_path: Any) -> None:
    with pytest.raises(InputError, match="store_url") as caught:
        Store(f"postgresql+psycopg://me:secret@/dm?host={tmp_path}")
    assert "secret" not in str(caught.value)
