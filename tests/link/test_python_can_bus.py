"""The adapter bus over python-can's `virtual` interface: two benches in one process, each with its own world."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, TypeVar

import can
import pytest

from bench.core.clock import NS_PER_US, Clock
from bench.core.errors import EquipmentError, InputError
from bench.core.loop import PowerLost, VirtualLoop
from bench.core.node import Node
from bench.core.realtime import run_on_clock
from bench.core.records import BRS, EXTENDED, FD, REMOTE
from bench.core.world import World
from bench.link.can_adapter import FAILURES_MAX, open_bus
from bench.link.python_can_bus import PythonCanBus, PythonCanPort
from bench.ports.can import ChannelSpec
from bench.wire.can import CanFrame
from bench.wire.outcome import Exactness, Fate, Outcome

T = TypeVar("T")
SPEC = ChannelSpec(
    name="can0", interface="virtual", channel="unit", bitrate_bit_s=500_000, data_bitrate_bit_s=None, options={}
)
FD_SPEC = replace(SPEC, data_bitrate_bit_s=2_000_000)


@dataclass
class Side:
    """One bench with one node on the bus."""

    world: World
    bus: PythonCanBus
    node: Node
    port: PythonCanPort

    @property
    def frames(self) -> list[tuple[str, CanFrame]]:
        return [(f.sender, CanFrame(f.can_id, f.data, f.flags)) for f in self.world.journal.frames()]


def side(clock: Clock, name: str, spec: ChannelSpec = SPEC) -> Side:
    world = World(clock, seed=1)
    node = Node(world, name, lambda _life: None)
    node.power_on()
    assert node.incarnation is not None
    bus = PythonCanBus(world, spec, lambda frame: f"sender of {frame.can_id:X}")
    return Side(world, bus, node, bus.attach(node.incarnation))


def run(main: Callable[[Clock], Coroutine[Any, Any, T]]) -> T:
    before = threading.active_count()
    result = run_on_clock(main, virtual=False)
    assert threading.active_count() == before, "closing leaves no thread"
    return result


async def sent(port: PythonCanPort, frame: CanFrame, not_before_ns: int = 0) -> int:
    done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
    port.send_at(frame, not_before_ns, done.set_result)
    outcome = await asyncio.wait_for(done, 5)
    assert (outcome.fate, outcome.exact) == (Fate.SENT, Exactness.QUEUED)
    return outcome.t_ns


async def next_frame(port: PythonCanPort) -> CanFrame:
    got: asyncio.Future[CanFrame] = asyncio.get_running_loop().create_future()
    port.subscribe(lambda frame, _t_ns: None if got.done() else got.set_result(frame))
    return await asyncio.wait_for(got, 5)


@pytest.mark.parametrize(
    "frame",
    [
        CanFrame(0x123, b"\x01\x02"),
        CanFrame(0x123, b""),
        CanFrame(0x18DA33F1, bytes(8), EXTENDED),
        CanFrame(0x123, bytes(4), REMOTE),
        CanFrame(0x123, bytes(range(64)), FD | BRS),
        CanFrame(0x1ABCDE01, bytes(12), FD | EXTENDED),
    ],
)
def test_frame_of_every_kind_arrives_as_it_was_sent_and_stands_in_both_journals(frame: CanFrame) -> None:
    async def main(clock: Clock) -> tuple[CanFrame, Side, Side]:
        a, b = side(clock, "a", FD_SPEC), side(clock, "b", FD_SPEC)
        try:
            received, _ = await asyncio.gather(next_frame(b.port), sent(a.port, frame))
            return received, a, b
        finally:
            a.bus.close()
            b.bus.close()

    received, a, b = run(main)
    assert received == frame
    assert a.frames == [("a", frame)]
    assert b.frames == [(f"sender of {frame.can_id:X}", frame)]


@pytest.mark.parametrize(
    ("spec", "frame", "why"),
    [
        (SPEC, CanFrame(0x800, b""), "does not fit"),
        (SPEC, CanFrame(1, bytes(9)), "carries 8"),
        (SPEC, CanFrame(1, bytes(8), FD), "not carried"),
        (FD_SPEC, CanFrame(1, bytes(9), FD), "carries one of"),
        (FD_SPEC, CanFrame(1, bytes(64)), "carries 8"),
    ],
)
def test_frame_that_no_controller_sends_is_refused_before_the_adapter_sees_it(
    spec: ChannelSpec, frame: CanFrame, why: str
) -> None:
    async def main(clock: Clock) -> Side:
        a = side(clock, "a", spec)
        try:
            with pytest.raises(ValueError, match=why):
                a.port.send(frame)
            await sent(a.port, CanFrame(1, b"ok"))
            return a
        finally:
            a.bus.close()

    assert run(main).frames == [("a", CanFrame(1, b"ok"))]


def test_nodes_on_the_same_side_hear_each_other_too() -> None:
    async def main(clock: Clock) -> tuple[CanFrame, Side]:
        a = side(clock, "a")
        other = Node(a.world, "other", lambda _life: None)
        other.power_on()
        assert other.incarnation is not None
        try:
            port = a.bus.attach(other.incarnation)
            received, _ = await asyncio.gather(next_frame(port), sent(a.port, CanFrame(5, b"x")))
            return received, a
        finally:
            a.bus.close()

    received, a = run(main)
    assert received == CanFrame(5, b"x")
    assert a.frames == [("a", CanFrame(5, b"x"))], "one frame, one record"


def test_frames_sent_past_the_bus_are_heard_in_order_and_need_no_other_event() -> None:
    """As the kernel sends them: they may wait a little for the loop, but not for ever, and are not overtaken."""
    ours, other = (CanFrame(0x7A0, bytes([n])) for n in (1, 2)), CanFrame(0x7A8, b"answer")

    async def main(clock: Clock) -> tuple[list[CanFrame], list[tuple[str, CanFrame]]]:
        a, b = side(clock, "a"), side(clock, "b")
        a.bus.own(0x7A0, "a")
        try:
            alone = next(ours)
            first = asyncio.ensure_future(next_frame(a.port))
            await asyncio.sleep(0)
            await sent(b.port, alone)
            heard = [await first]
            a.port.subscribe(lambda frame, _t_ns: heard.append(frame))
            last = next(ours)
            await sent(b.port, last)
            await sent(b.port, other)
            while len(heard) < 3:
                await clock.sleep_ns(NS_PER_US)
        finally:
            a.bus.close()
            b.bus.close()
        return heard, a.frames

    heard, frames = run(main)
    assert [frame.data for frame in heard[:3]] == [b"\x01", b"\x02", b"answer"]
    assert [(sender, frame.can_id) for sender, frame in frames[:3]] == [
        ("a", 0x7A0), ("a", 0x7A0), ("sender of 7A8", 0x7A8),
    ]  # fmt: skip


def test_node_without_power_sends_nothing_not_even_what_it_had_queued() -> None:
    async def main(clock: Clock) -> Side:
        a, b = side(clock, "a"), side(clock, "b")
        try:
            a.port.send_at(CanFrame(1, b"late"), clock.now_ns() + 20_000_000)
            a.node.cut("test")
            with pytest.raises(PowerLost):
                a.port.send(CanFrame(2, b""))
            await clock.sleep_ns(40_000_000)
            await sent(b.port, CanFrame(3, b""))
            return b
        finally:
            a.bus.close()
            b.bus.close()

    assert run(main).frames == [("b", CanFrame(3, b""))]


def test_cancelled_frame_is_not_sent_and_its_sender_is_told_so() -> None:
    async def main(clock: Clock) -> Side:
        a = side(clock, "a")
        told: list[Outcome] = []
        try:
            a.port.send_at(CanFrame(1, b"late"), clock.now_ns() + 20_000_000, told.append)
            a.port.cancel(1)
            assert [outcome.fate for outcome in told] == [Fate.CANCELLED]
            await clock.sleep_ns(40_000_000)
            await sent(a.port, CanFrame(3, b""))
            assert len(told) == 1
            return a
        finally:
            a.bus.close()

    assert run(main).frames == [("a", CanFrame(3, b""))]


def test_paced_frames_are_never_early_and_let_others_pass() -> None:
    gap_ns = 300 * NS_PER_US

    async def main(clock: Clock) -> tuple[list[int], str, Side]:
        a = side(clock, "a")
        instants = [await sent(a.port, CanFrame(1, b""))]
        try:
            for _ in range(50):
                instants.append(await sent(a.port, CanFrame(1, b""), instants[-1] + gap_ns))
            late = asyncio.create_task(sent(a.port, CanFrame(2, b""), clock.now_ns() + 50_000_000))
            await asyncio.sleep(0)
            await sent(a.port, CanFrame(3, b""))
            assert not late.done(), "a frame that waits holds up nobody else"
            await late
            return instants, a.bus.pacing, a
        finally:
            a.bus.close()

    instants, pacing, a = run(main)
    assert min(after - before for before, after in pairwise(instants)) >= gap_ns
    assert pacing.startswith("writer thread: 51 paced frames")
    assert [frame.can_id for _, frame in a.frames[-2:]] == [3, 2]


def test_adapter_that_only_fails_is_given_up_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: Clock) -> Side:
        a = side(clock, "a")
        gone = asyncio.Event()
        a.world.on_crash = gone.set
        try:

            def unplugged(_self: object, timeout: float | None) -> None:
                del timeout
                raise can.CanOperationError("unplugged")

            monkeypatch.setattr("can.interfaces.virtual.VirtualBus._recv_internal", unplugged)
            await asyncio.wait_for(gone.wait(), 5)
            return a
        finally:
            a.bus.close()

    a = run(main)
    assert a.world.crash is not None
    assert isinstance(a.world.crash.error, EquipmentError)
    assert "the CAN adapter of can0 is gone: CanOperationError: unplugged" in str(a.world.crash)
    assert sum(entry.kind == "unreadable" for entry in a.world.journal.entries()) == FAILURES_MAX
    assert a.bus.lost == FAILURES_MAX


@pytest.mark.parametrize(
    ("spec", "error", "words"),
    [
        (replace(SPEC, interface="warp"), InputError, ("interface", "warp", "socketcan")),
        (replace(SPEC, interface="udp_multicast", channel="10.0.0.1"), EquipmentError, ("can0", "udp_multicast")),
        (replace(SPEC, interface="slcan", channel="/dev/otabench-none"), EquipmentError, ("can0", "slcan", "doctor")),
        (replace(SPEC, options={"interface": "slcan"}), InputError, ("options", "interface")),
    ],
)
def test_adapter_that_cannot_be_opened_is_refused_by_name(
    spec: ChannelSpec, error: type[Exception], words: tuple[str, ...]
) -> None:
    with pytest.raises(error) as refused:
        open_bus(spec)
    for word in words:
        assert word in str(refused.value)


def test_adapter_in_virtual_time_is_refused() -> None:
    world = World(VirtualLoop(), seed=1)
    with pytest.raises(InputError, match="needs the real clock"):
        PythonCanBus(world, SPEC, lambda _frame: "")
