"""What the agent knows of its order over a boot, and what it reports of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from bench.agent.agent_log import ORDER_FILE, WHOLE_PACKAGE, AgentLog, EcuResult, OrderState
from bench.agent.install import Installer
from bench.agent.states import State
from bench.agent.vehicle import AgentConfig
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.flasher.state import DurableState, Stage
from bench.link.disk import DiskStorage, SimDisk
from bench.ports.server import VehicleAccount
from bench.trust.keys import exchange_key
from bench.wire.dm import DevInfo
from bench.wire.dm_alert import OperationComplete

Work = Callable[[World, Incarnation, DiskStorage], Coroutine[Any, Any, None]]
DONE = EcuResult(1200, "2.0.0", "installed")
GONE = EcuResult(1405, "", "the downloaded package is gone")


def on_a_disk(work: Work) -> None:
    """Run `work` in a life of an agent with a disk of its own."""
    loop = VirtualLoop()
    world = World(loop, seed=1)

    async def main() -> None:
        node = Node(world, "agent", lambda life: None)
        node.power_on()
        assert node.incarnation is not None
        disk = SimDisk(world, "agent", capacity_bytes=10_000, sync_ms=1)
        await work(world, node.incarnation, DiskStorage(disk.mount(node.incarnation)))

    loop.run(main())


@pytest.mark.parametrize("correlator", ["order-7", ""])
def test_correlator_outlives_a_boot_and_goes_back_with_every_result(correlator: str) -> None:
    async def work(world: World, life: Incarnation, storage: DiskStorage) -> None:
        before = AgentLog(storage, life, world.points)
        await before.keep(OrderState(State.REPORTING, "p", "https://x.test/p.zip", correlator, results={"body": DONE}))
        after = AgentLog(storage, life, world.points)
        await after.load()
        assert after.order == before.order
        (alert,) = installer(world, life, after, storage).alerts()
        assert OperationComplete.of(alert).correlator == correlator
        assert ("Correlator" in alert.data) == bool(correlator)

    on_a_disk(work)


def test_order_that_an_older_agent_stored_has_no_correlator() -> None:
    async def work(world: World, life: Incarnation, storage: DiskStorage) -> None:
        old = {"state": "downloading", "package_id": "p", "package_url": "https://x.test/p.zip"}
        await storage.replace(ORDER_FILE, json.dumps({**old, "confirmed": [], "results": {}}).encode())
        log = AgentLog(storage, life, world.points)
        await log.load()
        assert log.order == OrderState(State.DOWNLOADING, "p", "https://x.test/p.zip")

    on_a_disk(work)


def test_package_that_fails_whole_leaves_the_results_of_ecus_that_are_done() -> None:
    """After a power loss the package may be gone, and one ECU runs its new software all the same."""

    async def work(world: World, life: Incarnation, storage: DiskStorage) -> None:
        log = AgentLog(storage, life, world.points)
        await log.keep(OrderState(State.INSTALLING, "p", results={"body": DONE}))
        failed = installer(world, life, log, storage).failed_whole(GONE)
        assert failed.results == {"body": DONE, WHOLE_PACKAGE: GONE}
        await log.keep(failed)
        reports = [OperationComplete.of(alert) for alert in installer(world, life, log, storage).alerts()]
        assert [(report.ecu, report.result_code) for report in reports] == [("body", 1200), ("", 1405)]

    on_a_disk(work)


def test_full_disk_costs_the_state_of_a_job_and_not_the_job() -> None:
    """An agent that died of it would leave the ECU erased, in its programming session."""

    async def work(world: World, life: Incarnation, storage: DiskStorage) -> None:
        log = AgentLog(storage, life, world.points)
        await log.keep(OrderState(State.INSTALLING, "p"))
        await storage.append("other", bytes(9_700))
        await installer(world, life, log, storage)._keep_job("body", DurableState(stage=Stage.CHECKED))
        assert log.order.jobs == {}
        assert any(b"job_state_not_kept" in line for line in world.journal.lines())
        await storage.delete("other")
        await installer(world, life, log, storage)._keep_job("body", DurableState(stage=Stage.CHECKED))
        after = AgentLog(storage, life, world.points)
        await after.load()
        assert after.order.jobs == {"body": DurableState(stage=Stage.CHECKED)}

    on_a_disk(work)


def installer(world: World, life: Incarnation, log: AgentLog, storage: DiskStorage) -> Installer:
    vehicle = VehicleAccount(server_url="https://x.test/dm", dev_id="IMEI:1", vin="VIN1", factory_token="factory")
    config = AgentConfig(
        account=vehicle, dev_info=DevInfo(dev_id="IMEI:1"), server_public_key=b"", package_public_key=b"",
        image_public_key=b"", poll_interval_ns=1, factory_counters={}, private_key=exchange_key("vehicle"),
    )  # fmt: skip
    return Installer(world, life, config, log, storage, {}, lambda progress: None)
