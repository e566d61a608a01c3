"""Exactly one outcome for each frame, whatever sends, takes back, disturbs, leaves the bus or loses power meanwhile."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS, NS_PER_S, NS_PER_US, Clock
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.link.echoes import Echoes
from bench.link.sim_bus import SimCanBus
from bench.link.sim_port import SimCanPort
from bench.link.stamps import DRIFT_NS, Stamps
from bench.ports.can import ChannelSpec
from bench.wire.can import CanFrame
from bench.wire.can_errors import Disturbance
from bench.wire.outcome import Exactness, Fate, Outcome
from tests.link.test_lost_frames import Bench, opened, run
from tests.link.wire_adapter import ECHO_SPEC, SPEC, WireAdapter

NAMES = ("a", "b")
IDS = (0x100, 0x101)


@dataclass(eq=False)
class Sending:
    """A frame that was sent, by which life, and what was told of it."""

    life: Incarnation
    frame: CanFrame
    told: list[Outcome] = field(default_factory=list)
    told_dead: int = 0

    def ended(self, outcome: Outcome) -> None:
        self.told.append(outcome)
        self.told_dead += not self.life.alive


class SimStory:
    """Two nodes on a simulated bus, and what is done to them."""

    def __init__(self) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.bus = SimCanBus(self.world, "can0", 500_000)
        self.bus.disturb = self._disturb
        self.destroyed = 0
        self.ports: dict[str, SimCanPort] = {}
        self.nodes = {name: Node(self.world, name, self._boot) for name in NAMES}
        self.sendings: list[Sending] = []
        for node in self.nodes.values():
            node.power_on()

    def _boot(self, life: Incarnation) -> None:
        port = self.ports[life.part] = self.bus.attach(life)
        port.on_bus_off(partial(self.send, life.part, IDS[0]))  # as a node that goes on at once

    def _disturb(self, _frame: CanFrame, _part: str) -> Disturbance | None:
        self.destroyed -= 1
        return Disturbance(at_bit=25) if self.destroyed >= 0 else None

    def send(self, name: str, can_id: int) -> None:
        life = self.ports[name].life
        if life.alive:
            sending = Sending(life, CanFrame(can_id, len(self.sendings).to_bytes(2, "big")))
            self.sendings.append(sending)
            self.ports[name].send(sending.frame, sending.ended)
            assert sending.told == [], "never from within the call that sends"

    def cancel(self, name: str, can_id: int) -> None:
        if self.ports[name].life.alive:
            self.ports[name].cancel(can_id)

    def switch(self, name: str) -> None:
        node = self.nodes[name]
        if node.powered:
            node.cut("test")
        else:
            node.power_on()

    def destroy(self, count: int) -> None:
        self.destroyed = count

    def wait(self, duration_ns: int) -> None:
        self.loop.run(self.loop.sleep_ns(duration_ns))

    def settle(self) -> None:
        """Both nodes there and nothing disturbed: whatever waits gets through."""
        self.destroyed = 0
        for node in self.nodes.values():
            node.power_on()
        self.wait(10 * NS_PER_S)


names, ids = st.sampled_from(NAMES), st.sampled_from(IDS)
steps = st.one_of(
    st.tuples(st.just(SimStory.send), names, ids),
    st.tuples(st.just(SimStory.send), names, ids),
    st.tuples(st.just(SimStory.cancel), names, ids),
    st.tuples(st.just(SimStory.switch), names),
    st.tuples(st.just(SimStory.destroy), st.integers(0, 80)),
    st.tuples(st.just(SimStory.wait), st.sampled_from((20, 100, 300, 2_000, 50_000)).map(lambda us: us * NS_PER_US)),
)


@given(st.lists(steps, max_size=25))
def test_each_frame_of_a_life_that_goes_on_has_exactly_one_outcome_on_the_simulated_bus(
    story: list[tuple[Callable[..., None], object]],
) -> None:
    bench = SimStory()
    try:
        for step, *arguments in story:
            step(bench, *arguments)
        bench.settle()
        crossed = Counter((frame.sender, frame.data) for frame in bench.world.journal.frames())
        for sending in bench.sendings:
            assert len(sending.told) == 1 if sending.life.alive else len(sending.told) <= 1, sending
            assert not sending.told_dead, "a dead node is told nothing"
            fates = [outcome.fate for outcome in sending.told]
            times = crossed[sending.life.part, sending.frame.data]
            assert times == (fates == [Fate.SENT]) or (not fates and times <= 1), sending
    finally:
        bench.loop.discard()


def test_frame_taken_back_on_the_wire_is_not_repeated_when_it_is_destroyed() -> None:
    bench = SimStory()
    bench.destroy(1)
    bench.send("a", IDS[0])
    bench.wait(20 * NS_PER_US)
    bench.cancel("a", IDS[0])
    assert bench.sendings[0].told == []
    bench.settle()
    assert [outcome.fate for outcome in bench.sendings[0].told] == [Fate.CANCELLED]
    assert list(bench.world.journal.frames()) == []


def test_bus_off_loses_what_waited_and_not_what_is_sent_from_within_its_callback() -> None:
    bench = SimStory()
    bench.destroy(32)
    for _ in range(3):
        bench.send("a", IDS[1])
    bench.wait(NS_PER_S)
    assert [s.told[0].fate for s in bench.sendings] == [Fate.LOST] * 3 + [Fate.SENT]
    assert {s.told[0].why for s in bench.sendings[:3]} == {"bus-off"}


# Echoes of an adapter ------------------------------------------------------------------------------------

FRAMES = tuple(CanFrame(0x7A0, bytes((n,))) for n in range(3))


@given(
    st.lists(st.tuples(st.sampled_from(["send", "echo", "drop", "give up", "flush"]), st.integers(0, 2)), max_size=40)
)
def test_each_frame_that_an_interface_took_is_told_of_once_whatever_echoes_are_lost(
    steps: list[tuple[str, int]],
) -> None:
    echoes, told, wire = Echoes(), Counter[int](), list[tuple[int, CanFrame]]()
    token = 0

    def came(frame: CanFrame) -> None:
        echo = echoes.came(frame)
        assert echo is not None, "an echo of ours is never another node's frame"
        told.update({echo.token, *echo.overtaken, *echo.unseen} - flushed)

    flushed = set[int]()
    for do, n in steps:
        if do == "send":
            token += 1
            echoes.handing_over(FRAMES[n], token, 0)
            echoes.taken(token)
            wire.append((token, FRAMES[n]))
        elif do == "echo" and wire:
            came(wire.pop(0)[1])
        elif do == "drop" and wire:
            wire.pop(0)
        elif do == "give up" and token:
            echoes.given_up({token - n})
        elif do == "flush":
            lost = echoes.flushed()
            flushed.update(lost)
            told.update(lost)
    while wire:
        came(wire.pop(0)[1])
    last = CanFrame(0x7FF, b"")
    echoes.handing_over(last, token + 1, 0)
    came(last)
    assert told == Counter(range(1, token + 2))
    assert len(echoes) == 0


def test_echo_that_our_own_queue_dropped_counts_as_sent_as_far_as_the_interface_knows() -> None:
    echoes = Echoes()
    echoes.handing_over(FRAMES[0], 1, 0, lost=0)
    echoes.handing_over(FRAMES[1], 2, 0, lost=5)
    echo = echoes.came(FRAMES[2], 5)
    assert echo is None
    echoes.handing_over(FRAMES[2], 3, 0, lost=5)
    echo = echoes.came(FRAMES[2], 5)
    assert echo is not None
    assert (echo.token, echo.overtaken, echo.unseen) == (3, (2,), (1,))


# A port on an adapter --------------------------------------------------------------------------------------


async def fates_of(bench: Bench, frames: list[CanFrame], act: Callable[[], object]) -> list[Outcome]:
    """Send frames, do something, and return what is told within two seconds."""
    told: list[Outcome] = []
    for frame in frames:
        bench.port.send(frame, told.append)
    await bench.clock.sleep_ns(100 * NS_PER_MS)
    act()
    async with asyncio.timeout(2):
        while len(told) < len(frames):
            await bench.clock.sleep_ns(NS_PER_MS)
    await bench.clock.sleep_ns(20 * NS_PER_MS)
    assert len(told) == len(frames)
    return told


def test_bus_off_of_an_adapter_loses_what_its_controller_held(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: Clock) -> list[Outcome]:
        adapter = WireAdapter(ECHO_SPEC)
        adapter.acknowledged = False
        with opened(monkeypatch, clock, adapter, ECHO_SPEC) as bench:
            return await fates_of(bench, list(FRAMES), adapter.bus_off)

    assert [(each.fate, each.why) for each in run(main)] == [(Fate.LOST, "bus-off")] * 3


def test_late_echo_of_a_frame_that_was_told_as_lost_is_still_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that does not flush: the frames cross after all, as those of this node."""

    async def main(clock: Clock) -> tuple[list[Outcome], list[str], list[CanFrame]]:
        adapter = WireAdapter(ECHO_SPEC)
        adapter.acknowledged = False
        heard: list[CanFrame] = []
        with opened(monkeypatch, clock, adapter, ECHO_SPEC) as bench:
            bench.port.subscribe(lambda frame, _t_ns: heard.append(frame))
            told = await fates_of(bench, list(FRAMES), partial(adapter.bus_off, flushes=False))
            adapter.acknowledge()
            told += await fates_of(bench, [FRAMES[0]], lambda: None)
            return told, [frame.sender for frame in bench.world.journal.frames()], heard

    told, senders, heard = run(main)
    assert [outcome.fate for outcome in told] == [Fate.LOST] * 3 + [Fate.SENT]
    assert (senders, heard) == (["tester"] * 4, [])


def test_error_frame_of_another_interface_is_no_bus_off_by_its_number(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: Clock) -> int:
        adapter = WireAdapter(SPEC)
        off: list[bool] = []
        with opened(monkeypatch, clock, adapter, SPEC) as bench:
            bench.port.on_bus_off(lambda: off.append(True))
            adapter.bus_off()
            await fates_of(bench, [FRAMES[0]], lambda: None)
            return len(off)

    assert run(main) == 0


class StatefulAdapter(WireAdapter):
    """A driver that keeps its controller's state."""

    kept = can.BusState.ACTIVE

    @property
    def state(self) -> can.BusState:
        """See `can.BusABC`."""
        return self.kept

    @state.setter
    def state(self, new_state: can.BusState) -> None:
        self.kept = new_state


def test_bus_off_is_read_from_the_state_that_a_driver_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: Clock) -> list[Outcome]:
        adapter = StatefulAdapter(SPEC)
        with opened(monkeypatch, clock, adapter, SPEC) as bench:
            later_ns = clock.now_ns() + 10 * NS_PER_S
            told: list[Outcome] = []
            bench.port.send_at(FRAMES[0], later_ns, told.append)
            adapter.kept = can.BusState.ERROR
            async with asyncio.timeout(2):
                while not told:
                    await clock.sleep_ns(NS_PER_MS)
            assert [each.kind for each in bench.world.journal.entries()].count("error_state") == 1
            return told

    assert [(each.fate, each.why) for each in run(main)] == [(Fate.LOST, "bus-off")]


def test_frame_that_the_interface_refuses_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(clock: Clock) -> list[Outcome]:
        adapter = WireAdapter(SPEC)

        def refuse(_msg: can.Message, timeout: float | None = None) -> None:
            raise can.CanOperationError(f"no such frame here, within {timeout} s")

        monkeypatch.setattr(adapter, "send", refuse)
        with opened(monkeypatch, clock, adapter, SPEC) as bench:
            return await fates_of(bench, [FRAMES[0]], lambda: None)

    (outcome,) = run(main)
    assert outcome.fate is Fate.REFUSED
    assert "no such frame here" in outcome.why


@pytest.mark.parametrize(("spec", "exact"), [(SPEC, Exactness.QUEUED), (ECHO_SPEC, Exactness.ECHO)])
def test_outcome_says_how_exactly_the_instant_is_known(
    monkeypatch: pytest.MonkeyPatch, spec: ChannelSpec, exact: Exactness
) -> None:
    async def main(clock: Clock) -> tuple[list[Outcome], str]:
        adapter = WireAdapter(spec)
        with opened(monkeypatch, clock, adapter, spec) as bench:
            return await fates_of(bench, [FRAMES[0]], lambda: None), bench.bus.pacing

    told, pacing = run(main)
    assert [(each.fate, each.exact) for each in told] == [(Fate.SENT, exact)]
    assert ("computed from the bit rate" in pacing) is (exact is Exactness.QUEUED)


# Time stamps -----------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.integers(0, 300_000_000), st.integers(0, 80_000_000)), min_size=1, max_size=60),
    st.integers(-(10**15), 10**15),
    st.sampled_from(["socketcan", "kvaser"]),
)
def test_stamp_dates_no_frame_before_its_end_and_none_after_the_reader_had_it(
    frames: list[tuple[int, int]], offset_ns: int, interface: str
) -> None:
    stamps, true_ns, arrived_ns = Stamps(interface), 0, 0
    for after_ns, delay_ns in frames:
        true_ns += after_ns
        arrived_ns = max(arrived_ns, true_ns + delay_ns)
        stamp_s = (true_ns + offset_ns + 2 * 10**15) / NS_PER_S
        dated_ns = stamps.dated(stamp_s, arrived_ns)
        assert true_ns - 1_000 <= dated_ns <= arrived_ns  # a microsecond: a float of seconds has no more


def test_stamp_takes_the_delay_of_a_reader_that_stood_still_out() -> None:
    stamps = Stamps("socketcan")
    assert stamps.dated(1_000.0, 50 * NS_PER_US) == 50 * NS_PER_US
    late_ns = stamps.dated(1_000.010, 10 * NS_PER_MS + 78 * NS_PER_MS)
    assert abs(late_ns - (10 * NS_PER_MS + 50 * NS_PER_US)) < 1_000
    drifting = Stamps("kvaser")
    drifting.dated(1_000.0, 0)
    assert abs(drifting.dated(1_000.010, 88 * NS_PER_MS) - (10 * NS_PER_MS + DRIFT_NS)) < 1_000


def test_adapter_without_stamps_leaves_the_instant_of_the_reader() -> None:
    stamps = Stamps("slcan")
    assert [stamps.dated(0.0, t_ns) for t_ns in (5, 7)] == [5, 7]
    assert stamps.used == 0
