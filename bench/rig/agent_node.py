"""The agent's computer on the bench: a node with a disk, a network and CAN ports; each boot builds a new agent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from bench.agent.agent import Agent
from bench.agent.vehicle import AgentConfig
from bench.assembly.links import ecu_links
from bench.core.node import Incarnation, Node
from bench.core.records import StoredFile
from bench.core.world import World
from bench.description.bench_file import AgentEquipment
from bench.description.load import BenchFiles
from bench.flasher.access import accesses
from bench.flasher.values import Progress
from bench.link.disk import Disk, DiskStorage, OsDisk, SimDisk, folder_files
from bench.link.http import HttpxTransport, Network, NetworkModel, Tamper
from bench.ports.can import CanBus
from bench.ports.faults import HTTP_PATH, PACKAGE_PATH, POWER, UNSYNCED_DATA
from bench.wire.disk_loss import DiskLoss

HTTP_TIMEOUT_S = 30.0
REAL_DISK_LIMITS = (
    "the agent's disk is a folder of this machine, whose power was not cut: it lost nothing that was not synced"
)


class AgentNode:
    """Owns the persistent part (the disk) and boots agents."""

    def __init__(
        self,
        world: World,
        files: BenchFiles,
        config: AgentConfig,
        buses: Mapping[str, CanBus],
        carrier: Callable[[], httpx.AsyncBaseTransport],
        folder: Path | None,
        progress: Callable[[Progress], None],
    ) -> None:
        self._world, self._files, self._config, self._buses = world, files, config, buses
        self._carrier, self._folder, self._progress = carrier, folder, progress
        equipment: AgentEquipment = files.bench.agent
        self._disk = SimDisk(world, "agent", capacity_bytes=equipment.disk_bytes, sync_ms=equipment.sync_ms)
        server = files.bench.server
        self._model = NetworkModel(latency_ms=server.latency_ms, rate_bytes_s=server.rate_bytes_s)
        self.tamper = Tamper()
        self.node = Node(world, "agent", self._boot)
        self._cuts = 0
        world.offers.offer(POWER, self, "agent")
        world.offers.offer(UNSYNCED_DATA, self, "agent")
        world.offers.offer(PACKAGE_PATH, self.tamper, "agent")
        world.offers.offer(HTTP_PATH, self.tamper, "agent")

    def cut(self, cause: str) -> None:
        """Take the power away: the disk keeps what was synced. Cuts may overlap (`bench.ports.faults.PowerSwitch`)."""
        self._cuts += 1
        if self.node.powered:
            self.node.cut(cause)
            if self._folder is None:
                self._disk.lose_power()

    def restore(self, cause: str) -> None:
        """End one cut; after the last the agent boots."""
        self._cuts -= 1
        if not self._cuts:
            self.node.power_on(cause)

    def lose_as(self, loss: DiskLoss) -> str:
        """Say what the next cut leaves of what was not synced; returns what of that cannot be done here."""
        self._disk.loss = loss
        return "" if self._folder is None else REAL_DISK_LIMITS

    def files(self) -> tuple[StoredFile, ...]:
        """Return what lies on the disk now."""
        return self._disk.files() if self._folder is None else folder_files(self._folder)

    def _boot(self, life: Incarnation) -> None:
        disk: Disk = self._disk.mount(life) if self._folder is None else OsDisk(life, self._folder)
        model = self._model if self._files.bench.server.driver == "sim" else None
        network = Network(self._world, life, self._carrier(), model, self.tamper)
        ecus = accesses(ecu_links(self._files, self._buses, life), self._files.recipes, self._files.software_ids)
        transport = HttpxTransport(network, HTTP_TIMEOUT_S)
        agent = Agent(self._world, life, self._config, transport, DiskStorage(disk), ecus, self._progress)
        life.spawn(_run(agent, transport), "agent")


async def _run(agent: Agent, transport: HttpxTransport) -> None:
    """Run the agent until its life ends or the run does; its sockets go with it."""
    try:
        await agent.run()
    finally:
        await transport.aclose()
