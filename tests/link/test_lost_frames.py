"""Frames that end otherwise than sent: a lost echo, bus-off, nobody who acknowledges, an adapter that only queues."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any, TypeVar

import pytest

from bench.core.clock import NS_PER_US, Clock
from bench.core.node import Incarnation, Node
from bench.core.realtime import run_on_clock
from bench.core.world import World
from bench.link import can_adapter
from bench.link.isotp_link import IsoTpLink
from bench.link.python_can_bus import PythonCanBus, PythonCanPort
from bench.ports.can import ChannelSpec
from bench.ports.diagnostics import LinkError
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpParams
from tests.link.wire_adapter import ECHO_SPEC, SPEC, WireAdapter

T = TypeVar("T")
ADDRESS = IsoTpAddress.normal(0x7A0, 0x7A8)
SHORT_MS = 60


class Bench:
    """A tester on an adapter."""

    def __init__(self, clock: Clock, spec: ChannelSpec) -> None:
        self.clock = clock
        self.world = World(clock, seed=1)
        node = Node(self.world, "tester", lambda _life: None)
        node.power_on()
        assert node.incarnation is not None
        self.life: Incarnation = node.incarnation
        self.bus = PythonCanBus(self.world, spec, lambda frame: f"sender of {frame.can_id:X}")
        self.port: PythonCanPort = self.bus.attach(self.life)

    def link(self, params: IsoTpParams) -> IsoTpLink:
        return IsoTpLink(self.life, self.port, ADDRESS, params)


@contextmanager
def opened(monkeypatch: pytest.MonkeyPatch, clock: Clock, adapter: WireAdapter, spec: ChannelSpec) -> Iterator[Bench]:
    monkeypatch.setattr(can_adapter, "open_bus", lambda _spec: adapter)
    bench = Bench(clock, spec)
    try:
        yield bench
    finally:
        bench.bus.close()


def run(main: Callable[[Clock], Coroutine[Any, Any, T]]) -> T:
    return run_on_clock(main, virtual=False)


def test_frame_whose_echo_was_lost_poisons_no_later_frame_with_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: Clock) -> int:
        adapter = WireAdapter(ECHO_SPEC)
        with opened(monkeypatch, clock, adapter, ECHO_SPEC) as bench:
            link = bench.link(IsoTpParams(n_as_ms=SHORT_MS))
            adapter.lost_echoes = 1
            with pytest.raises(LinkError, match="N_TIMEOUT_A"):
                await link.send(b"\x3e\x00")
            for _ in range(4):
                await link.send(b"\x3e\x00")
        return len(adapter.wire)

    assert run(main) == 5


def test_adapter_that_only_queues_keeps_st_min_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """The gap is counted from the computed end of the frame, not from the hand-over: a frame takes a millisecond."""

    def ecu(frame: CanFrame) -> tuple[CanFrame, ...]:
        return (CanFrame(0x7A8, b"\x30\x00\xf5\xcc\xcc\xcc\xcc\xcc"),) if frame.data[0] >> 4 == 1 else ()

    async def main(clock: Clock) -> list[tuple[int, int, CanFrame]]:
        adapter = WireAdapter(SPEC, ecu)
        with opened(monkeypatch, clock, adapter, SPEC) as bench:
            await bench.link(IsoTpParams()).send(bytes(100))
        return adapter.wire

    consecutive = [each for each in run(main) if each[2].data[0] >> 4 == 2]
    gaps_ns = [after[0] - before[1] for before, after in pairwise(consecutive)]
    assert len(gaps_ns) == 13
    assert min(gaps_ns) >= 500 * NS_PER_US, gaps_ns
