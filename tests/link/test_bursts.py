"""Both grains of the wire (D2): runs carried at once leave the trace, points and state that single frames leave."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.frame_run import FrameRunRecord
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.points import PointTable
from bench.core.records import BRS, EXTENDED, FD, FrameRecord
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.link.sim_port import SimCanPort
from bench.wire.can import FD_LENGTHS, CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams

END_NS = 60_000_000_000


@dataclass(frozen=True)
class Story:
    """What two ends say to each other, and what else happens."""

    messages: tuple[bytes, ...] = (bytes(range(200)),)
    answers: tuple[bytes, ...] = (b"\x01",)
    block_size: int = 0
    st_min: int = 0
    tx_dl: int = 8
    address: IsoTpAddress | None = None
    other_at_ns: tuple[int, ...] = ()
    other_id: int = 0x100
    cut_frame: tuple[str, int] | None = None
    cuts_at_ns: tuple[tuple[str, int], ...] = ()
    timer_every_ns: int = 0
    n_cr_ms: int = 1000
    n_cs_ms: int = 0


@dataclass(frozen=True)
class Outcome:
    trace: str
    points: PointTable
    heard: dict[str, list[tuple[str, object]]]
    busy_ns: int
    free_at_ns: int
    runs: int


class End:
    """An endpoint with its node; says its next message whenever it has heard one."""

    def __init__(self, name: str, messages: tuple[bytes, ...], story: Story, bus: SimCanBus, flip: bool) -> None:
        self.name, self._messages = name, list(messages)
        self.heard: list[tuple[str, object]] = []
        self._story, self._bus, self._flip = story, bus, flip
        self.endpoint: IsoTpEndpoint | None = None

    def boot(self, life: Incarnation) -> None:
        story = self._story
        address = story.address or IsoTpAddress.normal(0x7A0, 0x7A8)
        if self._flip:
            address = flipped(address)
        params = IsoTpParams(
            block_size=story.block_size, st_min=story.st_min, tx_dl=story.tx_dl, max_length=1 << 20,
            n_cr_ms=story.n_cr_ms,
            n_cs_ms=story.n_cs_ms,
        )  # fmt: skip
        port = self._bus.attach(life)
        flags = address.flags | (FD | BRS if story.tx_dl > 8 else 0)
        self.endpoint = IsoTpEndpoint(
            life,
            params,
            lambda data, sent: port.send(CanFrame(address.tx_id, data, flags), sent),
            self,
            lambda: port.cancel(address.tx_id),
            address,
            lambda data, sent, run: port.send(CanFrame(address.tx_id, data, flags), sent, run),
        )
        port.subscribe(self._on_frame, (address.rx_identifier,), self.endpoint)

    def _on_frame(self, frame: CanFrame, t_ns: int) -> None:
        assert self.endpoint is not None
        self.endpoint.on_frame(frame.data, t_ns)

    def say(self) -> None:
        assert self.endpoint is not None
        if self._messages and not self.endpoint.sending:
            self.endpoint.send(self._messages.pop(0), self._said)

    def _said(self, error: str | None) -> None:
        self.heard.append(("sent", (error, self._bus.clock.now_ns())))

    def on_start(self, length: int) -> None:
        self.heard.append(("start", length))

    def on_message(self, payload: bytes) -> None:
        self.heard.append(("message", payload))
        self.say()

    def on_error(self, name: str) -> None:
        self.heard.append(("error", (name, self._bus.clock.now_ns())))


def flipped(address: IsoTpAddress) -> IsoTpAddress:
    return IsoTpAddress(
        mode=address.mode, tx_id=address.rx_id, rx_id=address.tx_id, tx_extension=address.rx_extension,
        rx_extension=address.tx_extension, id_29_bit=address.id_29_bit,
    )  # fmt: skip


def tell(story: Story, *, bursts: bool) -> Outcome:
    """Run a story on a bus of one grain."""
    loop = VirtualLoop()
    world = World(loop, seed=3)
    bus = SimCanBus(world, "can0", 500_000, 2_000_000, bursts=bursts)
    one = End("one", story.messages, story, bus, False)
    two = End("two", story.answers, story, bus, True)
    others: list[SimCanPort] = []
    nodes = {end.name: Node(world, end.name, end.boot) for end in (one, two)}
    nodes["other"] = Node(world, "other", lambda life: listen(bus.attach(life), others))
    if story.cut_frame is not None:
        name, number = story.cut_frame
        world.points.counter(name, "frame").arm(number, "before", None, lambda: nodes[name].cut("armed"))
    for node in nodes.values():
        node.power_on()
    for at_ns in story.other_at_ns:
        loop.call_at_ns(at_ns, lambda: others[0].send(CanFrame(story.other_id, b"\x01\x02")))
    for name, at_ns in story.cuts_at_ns:
        loop.call_at_ns(at_ns, nodes[name].cut, "in time")
    if story.timer_every_ns:
        tick(loop, story.timer_every_ns, 400)
    loop.call_at_ns(0, one.say)
    loop.run(loop.sleep_ns(END_NS))
    entries = world.journal._entries
    runs = sum(isinstance(entry, FrameRunRecord) for entry in entries)
    outcome = Outcome(
        world.journal.sha256(), world.points.table(), {"one": one.heard, "two": two.heard}, bus.busy_ns,
        bus.free_at_ns, runs,
    )  # fmt: skip
    loop.discard()
    return outcome


def listen(port: SimCanPort, ports: list[SimCanPort]) -> None:
    """Take part without wanting the frames of the story."""
    port.subscribe(lambda frame, t_ns: None, (0x7DF,))
    ports.append(port)


def tick(loop: VirtualLoop, every_ns: int, times: int) -> None:
    """Have timers due in between."""
    for number in range(1, times + 1):
        loop.call_at_ns(number * every_ns, lambda: None)


def assert_equal_grains(story: Story) -> Outcome:
    single, many = tell(story, bursts=False), tell(story, bursts=True)
    assert single.runs == 0
    assert many.trace == single.trace
    assert many.points == single.points
    assert many.heard == single.heard
    assert (many.busy_ns, many.free_at_ns) == (single.busy_ns, single.free_at_ns)
    return many


ADDRESSES = (
    None,
    IsoTpAddress.normal(0x18DA1000, 0x18DA0010, id_29_bit=True),
    IsoTpAddress.extended(0x6F1, 0x612, 0xF1, 0x12),
    IsoTpAddress.mixed_fixed(0xF1, 0x10, 0x55),
)
PAYLOADS = st.builds(
    lambda length, fill: bytes((fill * i * 7 + i // 251) & 0xFF for i in range(length)),
    st.integers(1, 5_000),
    st.integers(0, 255),
)


@settings(max_examples=60, deadline=None)
@given(
    story=st.builds(
        Story,
        messages=st.lists(PAYLOADS, min_size=1, max_size=3).map(tuple),
        answers=st.lists(PAYLOADS, min_size=1, max_size=3).map(tuple),
        block_size=st.sampled_from((0, 0, 1, 7, 32, 255)),
        st_min=st.sampled_from((0, 0, 1, 5, 0xF1, 0xF9)),
        tx_dl=st.sampled_from((8, 8, *(length for length in FD_LENGTHS if length > 8))),
        address=st.sampled_from(ADDRESSES),
        other_at_ns=st.lists(st.integers(0, 400_000_000), max_size=4).map(tuple),
        other_id=st.sampled_from((0x100, 0x7FF)),
        cuts_at_ns=st.lists(
            st.tuples(st.sampled_from(("one", "two", "other")), st.integers(0, 200_000_000)), max_size=2
        ).map(tuple),
        cut_frame=st.none() | st.tuples(st.sampled_from(("one", "two", "other")), st.integers(1, 900)),
        n_cs_ms=st.sampled_from((0, 0, 0, 3)),
        timer_every_ns=st.sampled_from((0, 1_000_000, 3_333_333, 222_000)),
    )
)
def test_both_grains_leave_the_same_trace_points_messages_and_bus_time(story: Story) -> None:
    assert_equal_grains(story)


@pytest.mark.parametrize("tx_dl", [8, 64])
@pytest.mark.parametrize("st_min", [0, 2, 0xF3])
@pytest.mark.parametrize("block_size", [0, 32])
def test_a_long_message_on_a_quiet_bus_is_carried_in_runs(tx_dl: int, st_min: int, block_size: int) -> None:
    story = Story((bytes(range(256)) * 30,), tx_dl=tx_dl, st_min=st_min, block_size=block_size)
    assert assert_equal_grains(story).runs > 0


def test_armed_point_in_the_middle_of_a_message_is_struck_at_its_frame() -> None:
    story = Story((bytes(4000),), cut_frame=("two", 300))
    outcome = assert_equal_grains(story)
    assert outcome.runs > 0
    assert max(point.n for point in outcome.points["two", "frame"]) == 300


def test_gap_longer_than_n_cr_breaks_off_in_both_grains() -> None:
    story = Story((bytes(400),), st_min=20, n_cr_ms=10)
    outcome = assert_equal_grains(story)
    assert "N_TIMEOUT_Cr" in str(outcome.heard["two"])


@pytest.mark.parametrize("names", [("one",), ("two", "other")])
def test_time_outs_after_a_cut_in_mid_message_count_from_the_last_frame(names: tuple[str, ...]) -> None:
    story = Story((bytes(4000),), cuts_at_ns=tuple((name, 60_000_123) for name in names))
    outcome = assert_equal_grains(story)
    assert outcome.runs > 0
    assert any("N_TIMEOUT" in str(event) for event in outcome.heard["one"] + outcome.heard["two"])


def test_talker_of_lower_priority_gets_the_gaps_of_a_slow_message() -> None:
    story = Story((bytes(1000),), st_min=2, other_at_ns=(40_000_001, 40_100_000), other_id=0x7FF)
    assert assert_equal_grains(story).runs > 0


@pytest.mark.parametrize("st_min", [0, 1, 5])
def test_extra_gap_is_kept_where_st_min_asks_for_less(st_min: int) -> None:
    plain, slow = (tell(Story((bytes(700),), st_min=st_min, n_cs_ms=n_cs_ms), bursts=True) for n_cs_ms in (0, 3))
    assert slow.runs > 0
    last = [outcome.points["two", "frame"][-2].t_ns for outcome in (plain, slow)]
    gaps = -(-(700 - 6) // 7) - 1
    more_ms = max(0, 3 - st_min)
    assert last[1] - last[0] == (gaps * more_ms + 3) * 1_000_000
    assert_equal_grains(Story((bytes(700),), st_min=st_min, n_cs_ms=3))


def test_second_talker_is_heard_between_the_frames_of_a_message() -> None:
    story = Story((bytes(4000),), other_at_ns=(30_000_000, 30_000_001, 77_000_000))
    assert assert_equal_grains(story).runs > 0


@pytest.mark.parametrize("watches", [True, False])
def test_observer_of_every_frame_gets_every_frame(watches: bool) -> None:
    loop = VirtualLoop()
    world = World(loop, seed=1)
    bus = SimCanBus(world, "can0", 500_000)
    story = Story((bytes(1000),))
    ends = [End("one", story.messages, story, bus, False), End("two", (), story, bus, True)]
    seen: list[CanFrame] = []
    heard: Callable[[CanFrame, int], None] = lambda frame, t_ns: seen.append(frame)  # noqa: E731
    nodes = [Node(world, end.name, end.boot) for end in ends]
    if watches:
        nodes.append(Node(world, "watcher", lambda life: bus.attach(life).subscribe(heard)))
    for node in nodes:
        node.power_on()
    loop.call_at_ns(0, ends[0].say)
    loop.run(loop.sleep_ns(END_NS))
    assert ends[1].heard[-1] == ("message", bytes(1000))
    frames = world.journal.frames()
    assert [CanFrame(frame.can_id, frame.data, frame.flags) for frame in frames] == (
        seen if watches else [*map(to_frame, frames)]
    )
    assert any(isinstance(entry, FrameRunRecord) for entry in world.journal._entries) is not watches


def to_frame(record: FrameRecord) -> CanFrame:
    return CanFrame(record.can_id, record.data, record.flags)


@pytest.mark.parametrize("flags", [0, EXTENDED])
def test_real_numbers_of_frames_are_counted_at_every_node(flags: int) -> None:
    address = IsoTpAddress.normal(0x7A0, 0x7A8, id_29_bit=bool(flags))
    outcome = assert_equal_grains(Story((bytes(4095),), address=address))
    frames = 1 + 1 + -(-(4095 - 6) // 7) + 1
    assert [len(outcome.points[name, "frame"]) for name in ("one", "two", "other")] == [frames] * 3
