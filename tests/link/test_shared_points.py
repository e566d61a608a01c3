"""Frames that an acceptance filter keeps away are counted from a list that all nodes share: the same points as one by
one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.points import FaultPoint
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.ports.can import CanPort
from bench.wire.can import CanFrame

PARTS = ("a", "b", "c", "d")
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("send", "send", "send", "phase", "reset", "second_bus", "listen")),
        st.sampled_from(PARTS),
        st.integers(0, 5),
        st.integers(0, 3),
    ),
    max_size=40,
)


class Crowd:
    """Four nodes on a bus, each wanting one identifier; some come to a second bus later."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.buses = [SimCanBus(world, f"can{n}", 500_000) for n in range(2)]
        self.heard: list[tuple[str, int, int]] = []
        self.ports: dict[str, list[CanPort]] = {}
        self.nodes = {part: Node(world, part, self._booter(part)) for part in PARTS}

    def _booter(self, part: str) -> Any:
        def boot(life: Incarnation) -> None:
            self.ports[part] = []
            self.join(part, life, 0)

        return boot

    def join(self, part: str, life: Incarnation, bus: int) -> None:
        port = self.buses[bus].attach(life)
        port.subscribe(lambda frame, t_ns: self.heard.append((part, frame.can_id, t_ns)), (PARTS.index(part),))
        self.ports[part].append(port)

    def act(self, kind: str, part: str, number: int) -> None:
        life = self.nodes[part].incarnation
        assert life is not None
        if kind == "send":
            self.ports[part][-1].send(CanFrame(number, bytes((number,))))
        elif kind == "phase":
            self.world.points.set_phase(part, f"phase{number}")
        elif kind == "reset":
            self.nodes[part].reset()
        elif kind == "second_bus" and len(self.ports[part]) == 1:
            self.join(part, life, 1)
        elif kind == "listen":
            self.ports[part][0].subscribe(lambda frame, t_ns: self.heard.append((part, -1, t_ns)), (number,))


def told(events: list[tuple[str, str, int, int]], *, one_by_one: bool) -> Any:
    loop = VirtualLoop()
    world = World(loop, 1)

    async def main() -> Any:
        crowd = Crowd(world)
        for node in crowd.nodes.values():
            node.power_on()
        for part in PARTS if one_by_one else ():
            world.points.arm(FaultPoint.parse(f"power.ecu:{part}:frame:100000"), lambda: None)
        for kind, part, number, pause in events:
            crowd.act(kind, part, number)
            await loop.sleep_ns(pause * 150_000)
        await loop.sleep_ns(50_000_000)
        return crowd.heard, {k: v for k, v in world.points.table().items() if k[1] == "frame"}, world.journal.sha256()

    try:
        return loop.run(main())
    finally:
        loop.discard()


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_points_of_all_nodes_are_those_of_counting_one_by_one(events: list[tuple[str, str, int, int]]) -> None:
    assert told(events, one_by_one=False) == told(events, one_by_one=True)


@pytest.mark.parametrize("armed_before", [0, 3])
def test_fault_armed_at_a_frame_strikes_there_although_other_frames_are_only_noted(armed_before: int) -> None:
    """Armed before the node boots, or once it runs."""
    loop = VirtualLoop()
    world = World(loop, 1)
    struck: list[int] = []

    async def main() -> None:
        crowd = Crowd(world)
        for number in range(6):
            if number == armed_before:
                world.points.arm(FaultPoint.parse("power.ecu:d:frame:5"), lambda: struck.append(loop.now_ns()))
            for node in crowd.nodes.values():
                node.power_on()
            crowd.act("send", "a", 1)
            await loop.sleep_ns(1_000_000)

    loop.run(main())
    instants = [occurrence.t_ns for occurrence in world.points.counter("d", "frame").occurrences]
    loop.discard()
    assert struck == [instants[4]]
    assert len(instants) == 6
