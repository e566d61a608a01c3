"""Power loss: a cut life runs no further code, and what its teardown does reaches nothing (D3)."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncGenerator, Callable, Coroutine
from types import TracebackType
from typing import Any

import pytest

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.loop import Deadlock, PowerLost, VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import PartCrashed, World

CUT_NS = 50 * NS_PER_MS


class Disk:
    """A port and a storage at once: every effect asks first whether the life still lives."""

    def __init__(self, world: World, life: Incarnation) -> None:
        self._world, self._life = world, life

    def write(self, text: str) -> None:
        self._life.check()
        self._world.journal.add(self._life.part, "write", text)

    async def __aenter__(self) -> Disk:
        self.write("opened")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, e: BaseException | None, t: TracebackType | None
    ) -> None:
        await self._life.sleep_ns(NS_PER_MS)
        self.write("closed")


Work = Callable[[Incarnation, Disk], Coroutine[Any, Any, None]]


async def in_try_finally(life: Incarnation, disk: Disk) -> None:
    try:
        await life.sleep_ns(NS_PER_S)
    finally:
        disk.write("finally")


async def in_finally_that_waits(life: Incarnation, disk: Disk) -> None:
    try:
        await life.sleep_ns(NS_PER_S)
    finally:
        await life.sleep_ns(NS_PER_MS)
        disk.write("finally")


async def in_async_with(life: Incarnation, disk: Disk) -> None:
    async with disk:
        await life.sleep_ns(NS_PER_S)


async def in_task_group(life: Incarnation, disk: Disk) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(in_try_finally(life, disk))
            group.create_task(in_async_with(life, disk))
    finally:
        disk.write("group")


async def in_timeout(life: Incarnation, disk: Disk) -> None:
    try:
        async with asyncio.timeout(0.2):
            await life.sleep_ns(NS_PER_S)
    except TimeoutError:
        disk.write("timed out")
    finally:
        disk.write("finally")


async def in_async_generator(life: Incarnation, disk: Disk) -> None:
    async def blocks() -> AsyncGenerator[int, None]:
        try:
            for block in range(3):
                yield block
                await life.sleep_ns(NS_PER_S)
        finally:
            disk.write("generator")

    async for block in blocks():
        disk.write(f"block {block}")


async def catching_everything(life: Incarnation, disk: Disk) -> None:
    while True:
        try:
            await life.sleep_ns(NS_PER_S)
        except Exception:
            disk.write("caught")


WORKS: list[tuple[Work, list[str]]] = [
    (in_try_finally, []),
    (in_finally_that_waits, []),
    (in_async_with, ["opened"]),
    (in_task_group, ["opened"]),
    (in_timeout, []),
    (in_async_generator, ["block 0"]),
    (catching_everything, []),
]


def spawning(work: Callable[[Incarnation], Coroutine[Any, Any, None]]) -> Callable[[Incarnation], None]:
    def boot(life: Incarnation) -> None:
        life.spawn(work(life), "uds")

    return boot


def written(world: World) -> list[str]:
    return [str(entry.payload) for entry in world.journal.entries() if entry.kind == "write"]


def finish(loop: VirtualLoop, world: World) -> None:
    """End a run as the runner does: seal, close, and let the collector take what was parked."""
    world.journal.seal()
    loop.discard()
    gc.collect()


@pytest.mark.parametrize(("work", "before_the_cut"), WORKS, ids=[work.__name__ for work, _ in WORKS])
def test_nothing_is_written_after_a_cut_while_waiting(work: Work, before_the_cut: list[str]) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    node = Node(world, "body", spawning(lambda life: work(life, Disk(world, life))))

    async def main() -> None:
        node.power_on()
        loop.call_at_ns(CUT_NS, node.cut, "test")
        await loop.sleep_ns(10 * NS_PER_S)

    loop.run(main())
    assert written(world) == before_the_cut
    loop.discard()  # not sealed: teardown itself must be refused
    gc.collect()
    assert written(world) == before_the_cut
    assert world.crash is None


@pytest.mark.parametrize("work", [work for work, _ in WORKS], ids=[work.__name__ for work, _ in WORKS])
def test_the_same_work_does_write_when_the_power_stays(work: Work) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    node = Node(world, "body", spawning(lambda life: work(life, Disk(world, life))))

    async def main() -> None:
        node.power_on()
        await loop.sleep_ns(10 * NS_PER_S)

    loop.run(main())
    expected = work is not catching_everything
    assert bool(written(world)) is expected
    finish(loop, world)


@pytest.mark.parametrize("where", ["before", "torn", "after"])
def test_a_cut_inside_synchronous_code_refuses_every_later_effect(where: str) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    counter = world.points.counter("body", "program")
    nodes: list[Node] = []

    async def program(life: Incarnation) -> None:
        disk = Disk(world, life)
        try:
            for _ in range(3):
                n = counter.begin(4)
                disk.write(f"begin {n}")
                counter.inside(n, 2)
                disk.write(f"inside {n}")
                counter.end(n)
                disk.write(f"end {n}")
        finally:
            disk.write("finally")

    nodes.append(Node(world, "body", spawning(program)))
    counter.arm(2, where, 2 if where == "torn" else None, lambda: nodes[0].cut("fault"))

    async def main() -> None:
        nodes[0].power_on()
        await loop.sleep_ns(NS_PER_S)

    loop.run(main())
    done = {"before": 0, "torn": 1, "after": 2}[where]
    assert written(world) == ["begin 1", "inside 1", "end 1", "begin 2", "inside 2"][: 3 + done]
    assert world.crash is None
    finish(loop, world)


def test_code_of_a_cut_node_does_not_run_on_even_where_it_touches_no_port() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    steps: list[tuple[int, int]] = []

    async def count(life: Incarnation) -> None:
        while True:
            steps.append((life.number, life.now_ns()))
            await asyncio.sleep(0.02)

    node = Node(world, "body", spawning(count))

    async def main() -> None:
        node.power_on()
        loop.call_at_ns(CUT_NS, node.cut, "test")
        await loop.sleep_ns(NS_PER_S)

    loop.run(main())
    assert steps == [(1, 0), (1, 20 * NS_PER_MS), (1, 40 * NS_PER_MS)]
    finish(loop, world)


def test_timers_of_a_cut_life_are_skipped_and_those_of_the_next_life_run() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    fired: list[tuple[int, int]] = []

    def boot(life: Incarnation) -> None:
        life.call_at_ns(life.now_ns() + NS_PER_S, lambda: fired.append((life.number, life.now_ns())))

    node = Node(world, "body", boot)

    async def main() -> None:
        node.power_on()
        await loop.sleep_ns(CUT_NS)
        node.cut("test")
        await loop.sleep_ns(CUT_NS)
        node.power_on()
        await loop.sleep_ns(5 * NS_PER_S)

    loop.run(main())
    assert fired == [(2, 2 * CUT_NS + NS_PER_S)]
    finish(loop, world)


def test_power_records_tell_each_cut_and_return_but_no_reset() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    lives: list[int] = []
    node = Node(world, "body", lambda life: lives.append(life.number))

    async def main() -> None:
        node.cut("nothing to cut")
        node.power_on("first")
        node.power_on("already on")
        node.reset()
        node.cut("supply off")
        node.reset()
        node.power_on("back")

    loop.run(main())
    assert lives == [1, 2, 3]
    assert [(record.on, record.cause) for record in world.recorder.power] == [
        (True, "first"),
        (False, "supply off"),
        (True, "back"),
    ]
    finish(loop, world)


def test_a_retired_life_refuses_and_the_new_one_does_not() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    lives: list[Incarnation] = []
    node = Node(world, "body", lives.append)
    node.power_on()
    node.reset()
    with pytest.raises(PowerLost, match="body lost power in its life 1"):
        lives[0].check()
    lives[1].check()
    assert [node.powered, node.incarnation is lives[1]] == [True, True]
    node.cut("test")
    assert [node.powered, node.incarnation is None] == [False, True]
    loop.discard()


def test_a_crash_of_a_part_is_noted_and_told() -> None:
    async def crash(life: Incarnation) -> None:
        raise ValueError(f"bug in life {life.number}")

    loop = VirtualLoop()
    world = World(loop, seed=1)
    told: list[int] = []
    world.on_crash = lambda: told.append(loop.now_ns())
    node = Node(world, "gateway", spawning(crash))

    async def main() -> None:
        node.power_on()
        await loop.sleep_ns(NS_PER_S)

    loop.run(main())
    assert isinstance(world.crash, PartCrashed)
    assert str(world.crash) == "gateway: ValueError: bug in life 1"
    assert told == [0]
    finish(loop, world)


def test_a_crash_after_a_reset_from_inside_the_old_life_is_noted() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    nodes: list[Node] = []

    async def first_resets_then_second_crashes(life: Incarnation) -> None:
        await life.sleep_ns(NS_PER_MS)
        if life.number == 2:
            raise ValueError("bug after the reset")
        nodes[0].reset()

    nodes.append(Node(world, "body", spawning(first_resets_then_second_crashes)))

    async def main() -> None:
        nodes[0].power_on()
        await loop.sleep_ns(NS_PER_S)

    loop.run(main())
    assert str(world.crash) == "body: ValueError: bug after the reset"
    finish(loop, world)


def test_an_error_raised_by_teardown_after_a_cut_is_no_crash() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    nodes: list[Node] = []

    async def work(life: Incarnation) -> None:
        try:
            nodes[0].cut("inside")
            life.check()
        finally:
            raise ValueError("teardown of a dead node")

    nodes.append(Node(world, "body", spawning(work)))

    async def main() -> None:
        nodes[0].power_on()
        await loop.sleep_ns(NS_PER_S)

    loop.run(main())
    assert world.crash is None
    finish(loop, world)


def test_deadlock_does_not_name_the_parked_tasks_of_a_cut_node() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)

    async def wait(life: Incarnation) -> None:
        await asyncio.get_running_loop().create_future()

    dead = Node(world, "body", spawning(wait))
    living = Node(world, "gateway", spawning(wait))

    async def main() -> None:
        dead.power_on()
        living.power_on()
        await loop.sleep_ns(NS_PER_MS)
        dead.cut("test")
        await loop.create_future()

    with pytest.raises(Deadlock, match=r"waiting: gateway\.uds, main$"):
        loop.run(main())
    finish(loop, world)


def test_a_sealed_journal_takes_nothing_from_teardown() -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    node = Node(world, "body", spawning(lambda life: in_try_finally(life, Disk(world, life))))

    async def main() -> None:
        node.power_on()
        await loop.sleep_ns(NS_PER_MS)

    loop.run(main())
    before = world.journal.sha256()
    finish(loop, world)  # the node still has power: only the seal stands between its `finally` and the record
    assert written(world) == []
    assert world.journal.sha256() == before


def test_finally_of_a_node_that_cut_itself_reaches_neither_journal_nor_records() -> None:
    """The cut strikes inside the node's own task: its `finally` runs at once, and is not heard."""
    from bench.core.records import BootRecord

    loop = VirtualLoop()
    world = World(loop, seed=1)
    nodes: list[Node] = []

    async def work(life: Incarnation) -> None:
        try:
            world.points.counter("ecu", "sync").begin()
            life.check()
        finally:
            world.journal.add("ecu", "ghost", "after the cut")
            world.boot(BootRecord(0, "ecu", "application", "A", "ghost"))

    def boot(life: Incarnation) -> None:
        life.spawn(work(life), "work")

    async def main() -> None:
        nodes.append(Node(world, "ecu", boot))
        world.points.counter("ecu", "sync").arm(1, "before", None, lambda: nodes[0].cut("in its own task"))
        nodes[0].power_on()
        await loop.sleep_ns(1_000)

    loop.run(main())
    kinds = [(entry.kind, entry.payload) for entry in world.journal.entries()]
    assert kinds == [("power", "on supply"), ("power", "off in its own task")]
    assert world.recorder.boots == []
