"""A simulated flash with the node that works on it, for the tests of memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.points import FaultPoint
from bench.core.world import World
from ecu_sim.memory.flash import Flash
from ecu_sim.personality.region import FlashRegion, SectorRun, equal_sectors

UNIT, SECTOR, PROGRAM_NS, ERASE_NS = 16, 64, 1_000, 50_000


def region(name: str, size_bytes: int = 256, **changed: Any) -> FlashRegion:
    given: dict[str, Any] = {
        "name": name, "base_address": 0, "size_bytes": size_bytes, "unit_bytes": UNIT, "program_ns": PROGRAM_NS,
        "runs": equal_sectors(size_bytes, SECTOR, ERASE_NS),
    }  # fmt: skip
    return FlashRegion(**(given | changed))


class Chip:
    """A flash with the node that works on it."""

    def __init__(self, world: World, regions: Sequence[FlashRegion] = (), code_partition: str = "") -> None:
        self.world = world
        chosen = regions or [region("app"), region("boot", protected=True)]
        self.flash = Flash(world, "ecu", chosen, code_partition=code_partition)
        self.node = Node(world, "ecu", lambda _life: self.flash.begin_boot())
        self.node.power_on()

    @property
    def life(self) -> Incarnation:
        assert self.node.incarnation is not None
        return self.node.incarnation

    def start(self, work: Callable[[Incarnation], Awaitable[None]]) -> None:
        """Run a driver call as a task of the node, so that a cut parks it."""
        life = self.life

        async def task() -> None:
            await work(life)

        life.spawn(task(), "driver")

    async def after_ns(self, duration_ns: int) -> None:
        await self.world.clock.sleep_ns(duration_ns)

    def arm_cut(self, point: str) -> None:
        self.world.points.arm(FaultPoint.parse(point), lambda: self.node.cut("test"))


def run(
    story: Callable[[Chip], Awaitable[Any]],
    seed: int = 1,
    regions: Sequence[FlashRegion] = (),
    code_partition: str = "",
) -> Any:
    loop = VirtualLoop()
    world = World(loop, seed)

    async def main() -> Any:
        return await story(Chip(world, regions, code_partition))

    try:
        return loop.run(main())
    finally:
        loop.discard()


def uneven(name: str = "app", **changed: Any) -> FlashRegion:
    """A region of two small sectors, a middle one and a large one."""
    runs = (SectorRun(2, SECTOR, ERASE_NS), SectorRun(1, 128, 2 * ERASE_NS), SectorRun(1, 512, 3 * ERASE_NS))
    return region(name, 768, runs=runs, **changed)
