"""One ECU that is dead takes nothing from another: what runs there is confirmed and reported."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import pytest

from bench.agent.agent_log import WHOLE_PACKAGE, AgentLog, EcuResult, OrderState
from bench.agent.install import Installer
from bench.agent.states import State
from bench.agent.vehicle import AgentConfig
from bench.core.loop import VirtualLoop
from bench.core.node import Node
from bench.core.world import World
from bench.flasher.access import EcuAccess
from bench.images.signing import demo_payload, sign_image
from bench.link.disk import DiskStorage, SimDisk
from bench.ports.server import VehicleAccount
from bench.trust.keys import exchange_key, public_key, signing_key
from bench.trust.package import build_package
from bench.wire.dm import DevInfo
from tests.flasher.fake_ecu import REGION_BYTES, Bank, FakeEcu, FakeFunctional, FakeLink
from tests.recipes import recipe_named

INSTALLED = EcuResult(1200, "1.1.0", "1 download(s), 5000 bytes", 2)


class Car(NamedTuple):
    """Two ECUs that run 1.1.0, and the agent's part that touches them."""

    ecus: dict[str, FakeEcu]
    log: AgentLog
    storage: DiskStorage
    installer: Installer


def in_a_car(work: Callable[[Car], Coroutine[Any, Any, None]]) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)

    async def main() -> None:
        node = Node(world, "agent", lambda life: None)
        node.power_on()
        life = node.incarnation
        assert life is not None
        storage = DiskStorage(SimDisk(world, "agent", capacity_bytes=100_000, sync_ms=1).mount(life))
        ecus = {name: running_ecu(loop) for name in ("body", "gateway")}
        log = AgentLog(storage, life, world.points)
        recipe = recipe_named("dual_bank")
        access = {
            name: EcuAccess(name, "BCM-APP", recipe, FakeLink(ecu, loop), FakeFunctional(ecu, loop))
            for name, ecu in ecus.items()
        }
        account = VehicleAccount(server_url="https://x.test/dm", dev_id="IMEI:1", vin="VIN1", factory_token="factory")
        config = AgentConfig(
            account=account, dev_info=DevInfo(dev_id="IMEI:1"), server_public_key=b"",
            package_public_key=public_key("package"), image_public_key=public_key("image"), poll_interval_ns=1,
            factory_counters={}, private_key=exchange_key("vehicle"),
        )  # fmt: skip
        installer = Installer(world, life, config, log, storage, access, lambda _progress: None)
        await work(Car(ecus, log, storage, installer))

    loop.run(main())
    loop.discard()


def running_ecu(loop: VirtualLoop) -> FakeEcu:
    ecu = FakeEcu(loop, "gateway", dual=True)
    image = image_of("body")
    ecu.banks[0] = Bank({0: image.data}, REGION_BYTES, image.header.encode(), mark=True)
    ecu.start_life(programming=False)
    return ecu


def image_of(ecu: str) -> Any:
    ids: dict[str, Any] = {"hardware_id": "BCM-HW-03", "software_id": "BCM-APP", "release_counter": 2}
    payload = demo_payload(1, ecu, "1.1.0", 5000)
    return sign_image(payload, version="1.1.0", load_address=0, key=signing_key("image"), **ids)


async def order(car: Car, state: State, results: dict[str, EcuResult], *, package: bool = True) -> None:
    """Store an order that is so far, and perhaps its package."""
    if package:
        files = [(name, image_of(name).file) for name in car.ecus]
        await car.storage.replace("p.zip", build_package("p", files, signing_key("package")))
    await car.log.keep(OrderState(state, "p", "https://x.test/p.zip", "order-1", results=results))


@pytest.mark.parametrize("dead", ["body", "gateway"])
def test_ecu_that_runs_what_it_was_given_is_confirmed_although_another_one_is_dead(dead: str) -> None:
    async def work(car: Car) -> None:
        await order(car, State.CONFIRMING, {"body": INSTALLED, "gateway": INSTALLED})
        car.ecus[dead].powered = False
        await car.installer.confirm()
        alive = "gateway" if dead == "body" else "body"
        assert (car.ecus[alive].confirms, car.log.order.confirmed) == (1, (alive,))
        assert {ecu: result.result_code for ecu, result in car.log.order.results.items()} == {alive: 1200, dead: 1409}
        assert car.log.installed == {alive: 2}
        assert car.log.order.state is State.REPORTING

    in_a_car(work)


def test_ecu_is_confirmed_although_the_package_is_gone_by_then() -> None:
    async def work(car: Car) -> None:
        await order(car, State.CONFIRMING, {"body": INSTALLED}, package=False)
        await car.installer.confirm()
        assert (car.ecus["body"].confirms, car.log.order.results) == (1, {"body": INSTALLED})

    in_a_car(work)


def test_ecu_that_was_done_before_a_power_loss_is_confirmed_although_the_other_one_is_dead_since() -> None:
    async def work(car: Car) -> None:
        await order(car, State.INSTALLING, {"body": INSTALLED})
        car.ecus["gateway"].powered = False
        await car.installer.install()
        assert car.log.order.state is State.CONFIRMING
        await car.installer.confirm()
        assert car.ecus["body"].confirms == 1
        codes = {ecu: result.result_code for ecu, result in car.log.order.results.items()}
        assert codes == {"body": 1200, WHOLE_PACKAGE: 1405}

    in_a_car(work)
