"""The functional keep-alive over a tester that leaves the bus, and over a bus on which nobody acknowledges."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from bench.config import data_root
from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.flasher.group import BusGroup
from bench.flasher.recipe import load_recipe
from bench.link.isotp_link import IsoTpFunctionalLink
from bench.link.sim_bus import SimCanBus
from bench.link.sim_port import SimCanPort
from bench.wire.can import CanFrame
from bench.wire.can_errors import Disturbance
from bench.wire.isotp import IsoTpAddress, IsoTpParams
from tests.flasher.test_affected_buses import Job

RECIPE = load_recipe(data_root() / "recipes" / "single_bank.toml")
PRESENT = b"\x02\x3e\x80"
Story = Callable[["Bench", Job], Awaitable[None]]


class Bench:
    """A tester and another node on a simulated bus."""

    def __init__(self, world: World) -> None:
        self.world, self.clock = world, world.clock
        self.bus = SimCanBus(world, "can0", 500_000)
        self.ports: dict[str, SimCanPort] = {}
        self.nodes = {name: Node(world, name, self._boot) for name in ("tester", "ecu")}
        for node in self.nodes.values():
            node.power_on()
        address = IsoTpAddress.normal(0x7DF, 0x7E8)
        self.group = BusGroup(IsoTpFunctionalLink(self.ports["tester"], address, IsoTpParams()))

    def _boot(self, life: Incarnation) -> None:
        self.ports[life.part] = self.bus.attach(life)

    def beats(self, since_ns: int = 0) -> list[int]:
        frames = self.world.journal.frames()
        return [each.t_ns for each in frames if each.data.startswith(PRESENT) and each.t_ns > since_ns]

    def shout_down(self, _frame: CanFrame, part: str) -> Disturbance | None:
        return Disturbance(at_bit=20) if part == "tester" else None


def played(story: Story) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)

    async def main() -> None:
        await story(Bench(world), Job("job", RECIPE, world.clock))

    try:
        loop.run(main())
    finally:
        loop.discard()


def test_tester_present_goes_on_after_the_tester_was_off_the_bus() -> None:
    async def story(bench: Bench, job: Job) -> None:
        await bench.group.keep_alive(job, wanted=True)
        await bench.clock.sleep_ns(3 * NS_PER_S)
        assert len(bench.beats()) == 1
        bench.bus.disturb = bench.shout_down
        await bench.clock.sleep_ns(2 * NS_PER_S)
        bench.bus.disturb = None
        well_ns = bench.clock.now_ns()
        await bench.clock.sleep_ns(10 * NS_PER_S)
        await bench.group.keep_alive(job, wanted=False)
        assert len(bench.beats(well_ns)) == 5
        assert job.tally.values()["tester_present_failed"] == 1

    played(story)


def test_tester_present_that_nobody_acknowledges_is_given_up_after_n_as_and_not_sent_late() -> None:
    async def story(bench: Bench, job: Job) -> None:
        await bench.group.keep_alive(job, wanted=True)
        bench.nodes["ecu"].cut("test")
        await bench.clock.sleep_ns(3_500 * NS_PER_MS)  # one beat, at 2 s, given up at 3 s
        bench.nodes["ecu"].power_on()
        back_ns = bench.clock.now_ns()
        await bench.clock.sleep_ns(1_000 * NS_PER_MS)
        assert bench.beats(back_ns) == []
        await bench.clock.sleep_ns(3_000 * NS_PER_MS)
        assert len(bench.beats(back_ns)) == 2
        await bench.group.keep_alive(job, wanted=False)
        assert job.tally.values()["tester_present_failed"] == 1

    played(story)
