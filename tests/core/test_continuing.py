"""A state as bytes: equal for equal values alone; and what callbacks and coroutines are in it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from bench.core.continuing import OBJECT, called, left_ns, plain, schedule, state_bytes, suspended
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World

DIFFERENT = (
    (), ((),), ((), ()), (1,), (True,), (None,), ("1",), (b"1",), ("",), (b"",), (1.0,), ("b31",), (1, 2), ((1,), 2),
    (1, (2,)), ("(", ")"), ("1\n2",), ("1", "2"),
)  # fmt: skip


def test_different_states_have_different_bytes() -> None:
    assert len({state_bytes(state) for state in DIFFERENT}) == len(DIFFERENT)
    assert state_bytes((1, ("a", b"b"))) == state_bytes((1, ("a", b"b")))


def test_what_is_no_value_has_no_bytes() -> None:
    for wrong in ([1], {1}, object(), print, bytearray(b"1")):
        with pytest.raises(TypeError, match="is no plain value"):
            state_bytes((1, (wrong,)))


def test_instant_is_what_is_left_of_it() -> None:
    assert (left_ns(None, 5), left_ns(7, 5), left_ns(3, 5)) == (None, 2, -2)


def test_callback_is_its_name_and_the_values_that_it_carries() -> None:
    def carrying(value: object) -> object:
        return lambda: value

    first, second = carrying(1), carrying(2)
    assert callable(first)
    assert callable(second)
    assert called(first, 0) != called(second, 0)
    assert called(partial(print, 1), 0)[-1] == (1,)
    assert plain(object(), 0) == (OBJECT, "object")


def test_state_of_a_life_has_its_tasks_and_what_is_due_in_order() -> None:
    loop = VirtualLoop()
    world = World(loop, 1)

    async def work(life: Incarnation, wait_ns: int) -> None:
        await life.sleep_ns(wait_ns)
        await life.sleep_ns(wait_ns)

    def lived(name: str, wait_ns: int, at_ns: int) -> Any:
        found: list[Any] = []

        def boot(life: Incarnation) -> None:
            life.spawn(work(life, wait_ns), "work")
            life.call_at_ns(life.now_ns() + 70, print)

        async def look() -> None:
            node = Node(world, name, boot)
            node.power_on()
            await loop.sleep_ns(at_ns)
            life, now_ns = node.incarnation, loop.now_ns()
            assert life is not None
            due: Any = schedule(loop, (name,), now_ns)
            tasks: Any = suspended(life.tasks, now_ns)
            found.append((tuple(each[1:] for each in tasks), [left_ns for left_ns, _, _ in due]))
            node.cut("test")
            assert schedule(loop, (name,), now_ns) == (), "what a dead life had planned is not due"

        loop.run(look())
        return found[0]

    first = lived("one", 50, 10)
    assert lived("two", 50, 10)[0] == first[0], "another begin, the same state"
    assert lived("three", 50, 60)[0] != first[0], "the second wait is another place"
    assert lived("four", 40, 10)[0] != first[0], "another local"
    assert first[1] == [40, 60]
    loop.discard()
