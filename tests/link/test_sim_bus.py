"""The simulated bus: arbitration, timing from the actual bits, power loss in mid-frame, nobody listening."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.core.loop import PowerLost, VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.records import BRS, EXTENDED, FD
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.link.sim_port import SimCanPort
from bench.wire.can import CanFrame, frame_bits
from bench.wire.can_fd import frame_time_ns
from bench.wire.outcome import Exactness, Fate, Outcome

BIT_NS = 2_000


class Bus:
    """A world with a bus and nodes by name."""

    def __init__(self, bitrate_bit_s: int = 500_000, data_bitrate_bit_s: int | None = None) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.bus = SimCanBus(self.world, "can0", bitrate_bit_s, data_bitrate_bit_s)
        self.heard: list[tuple[str, CanFrame, int]] = []
        self.nodes: dict[str, Node] = {}
        self.ports: dict[str, SimCanPort] = {}

    def add(self, name: str) -> SimCanPort:
        def boot(life: Incarnation) -> None:
            port = self.ports[name] = self.bus.attach(life)
            port.subscribe(lambda frame, t_ns: self.heard.append((name, frame, t_ns)))

        self.nodes[name] = Node(self.world, name, boot)
        self.nodes[name].power_on()
        return self.ports[name]

    def run(self, duration_ns: int = 10_000_000, at: tuple[tuple[int, Callable[[], object]], ...] = ()) -> None:
        for when_ns, action in at:
            self.loop.call_at_ns(when_ns, action)
        self.loop.run(self.loop.sleep_ns(duration_ns))


def test_frame_takes_its_bits_at_the_bit_rate() -> None:
    bus = Bus()
    sender = bus.add("a")
    bus.add("b")
    frame = CanFrame(0x123, bytes(range(8)))
    ends: list[Outcome] = []
    sender.send(frame, ends.append)
    bus.run()
    assert bus.heard == [("b", frame, frame_bits(frame) * BIT_NS)]
    assert ends == [Outcome(Fate.SENT, frame_bits(frame) * BIT_NS, Exactness.WIRE)]


def test_lowest_identifier_wins_and_the_loser_follows_at_once() -> None:
    bus = Bus()
    a, b = bus.add("a"), bus.add("b")
    bus.add("c")
    low, high = CanFrame(0x100, b"\x01"), CanFrame(0x200, b"\x02")
    a.send(high)
    b.send(low)
    bus.run()
    seen = [(frame.can_id, t_ns) for name, frame, t_ns in bus.heard if name == "c"]
    first_ns = frame_bits(low) * BIT_NS
    assert seen == [(0x100, first_ns), (0x200, first_ns + frame_bits(high) * BIT_NS)]


def test_frame_sent_while_the_bus_is_busy_waits_for_its_end() -> None:
    bus = Bus()
    a, b = bus.add("a"), bus.add("b")
    bus.add("c")
    a.send(CanFrame(0x300, bytes(8)))
    bus.run(at=((50_000, lambda: b.send(CanFrame(0x001, b""))),))
    times = [t_ns for name, _, t_ns in bus.heard if name == "c"]
    first_ns = frame_bits(CanFrame(0x300, bytes(8))) * BIT_NS
    assert times == [first_ns, first_ns + frame_bits(CanFrame(0x001, b"")) * BIT_NS]


def test_frame_that_nobody_acknowledges_is_repeated_until_somebody_does() -> None:
    bus = Bus()
    a = bus.add("a")
    ends: list[Outcome] = []
    a.send(CanFrame(0x123, b"\x55"), ends.append)
    bus.run(1_000_000)
    assert ends == []
    bus.add("late")
    bus.run(1_000_000)
    assert len(ends) == 1
    assert [name for name, _, _ in bus.heard] == ["late"]


def test_sender_without_power_in_mid_frame_leaves_an_error_frame_and_no_data() -> None:
    bus = Bus()
    a = bus.add("a")
    bus.add("b")
    a.send(CanFrame(0x123, bytes(8)))
    bus.run(at=((100_000, lambda: bus.nodes["a"].cut("test")),))
    assert bus.heard == []
    kinds = [entry.kind for entry in bus.world.journal.entries()]
    assert "error_frame" in kinds
    assert "frame" not in kinds


def test_receiver_without_power_hears_nothing_and_others_do() -> None:
    bus = Bus()
    a = bus.add("a")
    bus.add("b")
    bus.add("c")
    bus.nodes["b"].cut("test")
    a.send(CanFrame(0x123, b""))
    bus.run()
    assert [name for name, _, _ in bus.heard] == ["c"]


def test_port_of_an_ended_life_refuses_to_send_and_to_subscribe() -> None:
    bus = Bus()
    port = bus.add("a")
    bus.nodes["a"].cut("test")
    with pytest.raises(PowerLost):
        port.send(CanFrame(0x1, b""))
    with pytest.raises(PowerLost):
        port.subscribe(lambda frame, t_ns: None)


def test_each_frame_is_a_numbered_point_of_sender_and_receiver() -> None:
    bus = Bus()
    a = bus.add("a")
    bus.add("b")
    for _ in range(3):
        a.send(CanFrame(0x123, b""))
    bus.run()
    table = bus.world.points.table()
    assert [o.n for o in table["a", "frame"]] == [1, 2, 3]
    assert [o.n for o in table["b", "frame"]] == [1, 2, 3]


def test_cut_armed_at_the_second_frame_lets_the_node_hear_one() -> None:
    bus = Bus()
    a = bus.add("a")
    bus.add("b")
    bus.add("c")
    bus.world.points.counter("b", "frame").arm(2, "before", None, lambda: bus.nodes["b"].cut("armed"))
    for _ in range(3):
        a.send(CanFrame(0x123, b""))
    bus.run()
    assert [name for name, _, _ in bus.heard] == ["b", "c", "c", "c"]


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        (CanFrame(0x800, b""), "does not fit"),
        (CanFrame(0x1, bytes(9)), "carries 8"),
        (CanFrame(0x1, b"", 2), "CAN FD"),
        (CanFrame(-1, b""), "does not fit"),
    ],
)
def test_frame_that_no_controller_could_send_is_refused(frame: CanFrame, why: str) -> None:
    bus = Bus()
    with pytest.raises(ValueError, match=why):
        bus.add("a").send(frame)


def test_frame_sent_while_handling_a_frame_follows_directly() -> None:
    bus = Bus()
    a = bus.add("a")
    answerer = bus.add("b")
    answerer.subscribe(lambda frame, t_ns: answerer.send(CanFrame(0x7FF, frame.data)))
    a.send(CanFrame(0x10, b"\x01"))
    bus.run()
    request_ns = frame_bits(CanFrame(0x10, b"\x01")) * BIT_NS
    answer_ns = request_ns + frame_bits(CanFrame(0x7FF, b"\x01")) * BIT_NS
    assert bus.heard == [("b", CanFrame(0x10, b"\x01"), request_ns), ("a", CanFrame(0x7FF, b"\x01"), answer_ns)]


@pytest.mark.parametrize(("nominal", "data"), [(500_000, 2_000_000), (1_000_000, 8_000_000), (250_000, 250_000)])
def test_fd_bus_carries_fd_and_classic_frames_at_their_rates(nominal: int, data: int) -> None:
    bus = Bus(nominal, data)
    sender = bus.add("a")
    bus.add("b")
    first, second = CanFrame(0x123, bytes(range(64)), FD | BRS), CanFrame(0x124, bytes(8))
    sender.send(first)
    sender.send(second)
    bus.run()
    first_ns = frame_time_ns(first, nominal, data)
    assert bus.heard == [
        ("b", first, first_ns),
        ("b", second, first_ns + frame_bits(second) * 1_000_000_000 // nominal),
    ]


def test_fd_bus_refuses_a_length_without_a_code() -> None:
    bus = Bus(500_000, 2_000_000)
    with pytest.raises(ValueError, match="63 data bytes"):
        bus.add("a").send(CanFrame(0x1, bytes(63), FD))


def test_data_phase_slower_than_the_nominal_one_is_refused() -> None:
    with pytest.raises(ValueError, match="below the nominal"):
        Bus(500_000, 250_000)


def test_cancel_drops_frames_of_one_format_and_address_byte_alone() -> None:
    bus = Bus()
    sender = bus.add("a")
    frames = [CanFrame(0x123, b"\x41\x01"), CanFrame(0x123, b"\x42\x02"), CanFrame(0x123, b"\x41\x03", EXTENDED)]
    for frame in frames:
        sender.send(frame)
    sender.cancel(0x123, 0, b"\x41")
    bus.add("late")
    bus.run()
    assert [frame for name, frame, _ in bus.heard if name == "late"] == frames[1:]
