"""Errors on the simulated bus: error frames and retransmission, error-passive, bus-off and recovery, no listener."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.records import BRS, FD
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.link.sim_port import SimCanPort
from bench.wire.can import CanFrame, frame_bits
from bench.wire.can_errors import ControllerState, Disturbance
from bench.wire.can_fd import frame_phases, frame_time_ns
from bench.wire.isotp import IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import Fate, Outcome

BIT_NS = 2_000
FRAME = CanFrame(0x123, bytes(range(8)))
FRAME_NS = frame_bits(FRAME) * BIT_NS
AT_BIT_10_NS = (11 + 2 + 6 + 8 + 3) * BIT_NS
"""Up to the next attempt: destroyed, bit 10 is the fourth dominant bit in a row, so the receivers' flags begin two bits
behind the sender's."""
AT_BIT_10_PASSIVE_NS = (11 + 6 + 6 + 8 + 3) * BIT_NS
"""The same of an error-passive sender: its recessive flag is a stuff error once it is over."""


class Bus:
    """A bus with nodes by name; `trouble` destroys bits of the frames it names, in the order they begin."""

    def __init__(self, *names: str, data_bit_s: int | None = None) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.bus = SimCanBus(self.world, "can0", 500_000, data_bit_s)
        self.heard: list[tuple[str, CanFrame, int]] = []
        self.ports: dict[str, SimCanPort] = {}
        self.nodes: dict[str, Node] = {}
        for name in names:
            self.add(name)

    def add(self, name: str) -> SimCanPort:
        def boot(life: Incarnation) -> None:
            port = self.ports[name] = self.bus.attach(life)
            port.subscribe(lambda frame, t_ns: self.heard.append((name, frame, t_ns)))

        self.nodes[name] = Node(self.world, name, boot)
        self.nodes[name].power_on()
        return self.ports[name]

    def trouble(self, *troubles: Disturbance | None, sender: str | None = None) -> None:
        left = list(troubles)

        def disturb(frame: CanFrame, part: str) -> Disturbance | None:
            return left.pop(0) if left and sender in (None, part) else None

        self.bus.disturb = disturb

    def run(self, duration_ns: int = 100_000_000, at: tuple[tuple[int, Callable[[], object]], ...] = ()) -> None:
        for when_ns, action in at:
            self.loop.call_at_ns(when_ns, action)
        self.loop.run(self.loop.sleep_ns(duration_ns))

    def times(self, name: str) -> list[int]:
        return [t_ns for who, _, t_ns in self.heard if who == name]

    def noted(self, kind: str) -> list[str]:
        return [str(entry.payload) for entry in self.world.journal.entries() if entry.kind == kind]

    def counters(self, name: str) -> tuple[int, int]:
        confined = self.ports[name].confined
        return confined.tec, confined.rec


def test_destroyed_frame_is_followed_by_an_error_frame_and_sent_again() -> None:
    bus = Bus("a", "b")
    bus.trouble(Disturbance(at_bit=30))
    bus.ports["a"].send(FRAME)
    bus.run()
    error_ns = (31 + 6 + 6 + 8 + 3) * BIT_NS
    assert bus.heard == [("b", FRAME, error_ns + FRAME_NS)]
    assert bus.noted("error_frame") == ["bit 30 of a frame of a destroyed at the bus"]


def test_error_counts_8_at_the_sender_1_at_receivers_and_the_good_frame_1_less() -> None:
    bus = Bus("a", "b", "c")
    bus.trouble(Disturbance(at_bit=30))
    bus.ports["a"].send(FRAME)
    bus.run(200_000)
    assert [bus.counters(name) for name in "abc"] == [(8, 0), (0, 1), (0, 1)]
    bus.run()
    assert [bus.counters(name) for name in "abc"] == [(7, 0), (0, 0), (0, 0)]


def test_frame_of_higher_priority_overtakes_the_retransmission() -> None:
    bus = Bus("a", "b", "c")
    bus.trouble(Disturbance(at_bit=10))
    bus.ports["a"].send(FRAME)
    urgent = CanFrame(0x001, b"")
    bus.run(at=((10_000, lambda: bus.ports["c"].send(urgent)),))
    assert [frame for name, frame, _ in bus.heard if name == "b"] == [urgent, FRAME]


def test_error_seen_by_one_active_receiver_destroys_the_frame_for_all() -> None:
    bus = Bus("a", "b", "c")
    bus.trouble(Disturbance(at_bit=40, seen_by=frozenset({"b"})))
    bus.ports["a"].send(FRAME)
    bus.run(200_000)
    assert bus.heard == []
    assert (bus.counters("b"), bus.counters("c")) == ((0, 9), (0, 1))


def test_error_seen_by_one_passive_receiver_passes_the_others_by() -> None:
    bus = Bus("a", "b", "c")
    bus.ports["b"].confined.rec = 130
    bus.bus.errors.look()
    bus.trouble(Disturbance(at_bit=40, seen_by=frozenset({"b"})))
    bus.ports["a"].send(FRAME)
    bus.run()
    assert bus.heard == [("c", FRAME, FRAME_NS)]
    assert bus.counters("b") == (0, 131)


def test_bit_behind_the_frame_is_refused() -> None:
    bus = Bus("a", "b")
    bus.trouble(Disturbance(at_bit=frame_bits(FRAME)))
    bus.ports["a"].send(FRAME)
    with pytest.raises(ValueError, match="has no bit"):
        bus.run()


def test_destroyed_bit_of_the_data_phase_is_timed_at_both_rates() -> None:
    frame = CanFrame(0x123, bytes(range(64)), FD | BRS)
    nominal, fast = frame_phases(frame)
    head = nominal - 12
    bus = Bus("a", "b", data_bit_s=2_000_000)
    bus.trouble(Disturbance(at_bit=head + 99))
    bus.ports["a"].send(frame)
    bus.run()
    error_ns = head * 2_000 + 100 * 500 + (6 + 6 + 8 + 3) * 2_000
    assert fast > 100
    assert bus.times("b") == [error_ns + frame_time_ns(frame, 500_000, 2_000_000)]


# Error-passive and bus-off ----------------------------------------------------------------------------


def test_sender_is_error_passive_after_16_errors_and_pauses_8_bits_before_it_sends_again() -> None:
    bus = Bus("a", "b")
    bus.trouble(*[Disturbance(at_bit=10)] * 17)
    bus.ports["a"].send(FRAME)
    bus.run()
    assert bus.times("b") == [16 * AT_BIT_10_NS + AT_BIT_10_PASSIVE_NS + 2 * 8 * BIT_NS + FRAME_NS]
    assert any("a is error_passive (TEC 128" in text for text in bus.noted("error_state"))


def test_other_node_uses_the_pause_of_an_error_passive_sender() -> None:
    bus = Bus("a", "b", "c")
    bus.trouble(*[Disturbance(at_bit=10)] * 16)
    bus.ports["a"].send(FRAME)
    late = CanFrame(0x7FF, b"")
    paused_ns = 16 * AT_BIT_10_NS
    bus.run(at=((paused_ns + 3 * BIT_NS, lambda: bus.ports["c"].send(late)),))
    assert [frame for name, frame, _ in bus.heard if name == "b"] == [late, FRAME]


def test_sender_is_bus_off_after_32_errors_and_what_waited_is_lost() -> None:
    bus = Bus("a", "b")
    lost: list[str] = []
    bus.ports["a"].on_bus_off(lambda: lost.append("off"))
    bus.trouble(*[Disturbance(at_bit=10)] * 32)
    bus.ports["a"].send(FRAME)
    bus.ports["a"].send(CanFrame(0x124, b""))
    bus.run(32 * 50 * BIT_NS)
    assert lost == ["off"]
    assert bus.heard == []
    assert bus.ports["a"].error_state is ControllerState.BUS_OFF
    bus.run()
    assert bus.heard == []


def test_controller_comes_back_after_128_times_11_recessive_bits_of_an_idle_bus() -> None:
    bus = Bus("a", "b")
    bus.trouble(*[Disturbance(at_bit=10)] * 32)
    bus.ports["a"].send(FRAME)
    pauses = 32 - 16
    off_ns = 16 * AT_BIT_10_NS + 16 * AT_BIT_10_PASSIVE_NS + pauses * 8 * BIT_NS
    back_ns = off_ns + 128 * 11 * BIT_NS
    bus.run(off_ns + 1)
    assert bus.ports["a"].off
    bus.ports["a"].send(CanFrame(0x200, b"\x01"))
    bus.run(back_ns - off_ns - 10)
    assert bus.ports["a"].off
    assert bus.heard == []
    bus.run(5_000_000)
    assert bus.times("b") == [back_ns + frame_bits(CanFrame(0x200, b"\x01")) * BIT_NS]
    assert bus.counters("a") == (0, 0)


def test_traffic_of_others_makes_the_recovery_from_bus_off_longer() -> None:
    bus = Bus("a", "b", "c")
    bus.trouble(*[Disturbance(at_bit=10)] * 32, sender="a")
    bus.ports["a"].send(FRAME)
    off_ns = 16 * AT_BIT_10_NS + 16 * AT_BIT_10_PASSIVE_NS + 16 * 8 * BIT_NS
    frames = 10

    def chatter() -> None:
        for _ in range(frames):
            bus.ports["b"].send(FRAME)

    bus.run(off_ns + 128 * 11 * BIT_NS + 100, at=((off_ns + 10_000, chatter),))
    assert bus.ports["a"].off
    busy_but_for_tails_ns = frames * (FRAME_NS - 11 * BIT_NS)
    bus.run(busy_but_for_tails_ns - 11 * BIT_NS - 200)
    assert bus.ports["a"].off
    bus.run(2 * 11 * BIT_NS + 200)
    assert not bus.ports["a"].off


def test_controller_comes_back_from_bus_off_on_a_bus_that_is_never_idle() -> None:
    bus = Bus("a", "b", "c")
    bus.trouble(*[Disturbance(at_bit=10)] * 32, sender="a")
    bus.ports["a"].send(FRAME)
    for _ in range(1000):
        bus.ports["b"].send(CanFrame(0x7FF, bytes(8)))
    bus.run(1000 * frame_bits(CanFrame(0x7FF, bytes(8))) * BIT_NS)
    assert not bus.ports["a"].off


def test_isotp_message_ends_with_n_error_when_its_controller_goes_bus_off() -> None:
    bus = Bus("b")
    ends: list[str | None] = []

    def boot(life: Incarnation) -> None:
        port = bus.ports["a"] = bus.bus.attach(life)
        endpoint = IsoTpEndpoint(life, IsoTpParams(), lambda data, sent: port.send(CanFrame(0x7A0, data), sent), Deaf())
        port.on_bus_off(endpoint.fail)
        endpoint.send(bytes(100), ends.append)

    bus.trouble(*[Disturbance(at_bit=10)] * 32)
    Node(bus.world, "a", boot).power_on()
    bus.run()
    assert ends == ["N_ERROR"]


class Deaf:
    """Hears nothing."""

    def on_start(self, length: int) -> None:
        pytest.fail("nothing is received")

    def on_message(self, payload: bytes) -> None:
        pytest.fail("nothing is received")

    def on_error(self, name: str) -> None:
        pytest.fail("nothing is received")


# Nobody listens, senders that die ---------------------------------------------------------------------


def test_lone_sender_repeats_and_is_heard_from_an_attempt_of_its_own_on() -> None:
    bus = Bus("a")
    bus.ports["a"].send(FRAME)
    attempt_ns = FRAME_NS + 6 * BIT_NS
    bus.run(at=((3 * attempt_ns - 5_000, lambda: bus.add("b")),))
    joined_at = 4  # the newcomer sees fewer than 11 recessive bits before the fourth attempt
    assert bus.times("b") == [joined_at * attempt_ns + FRAME_NS]
    assert bus.counters("a") == (joined_at * 8 - 1, 0)


def test_lone_sender_is_error_passive_after_16_attempts_and_never_bus_off() -> None:
    bus = Bus("a")
    bus.ports["a"].send(FRAME)
    bus.run(10_000_000_000)
    bus.add("b")
    bus.run()
    assert len(bus.times("b")) == 1
    assert bus.counters("a") == (127, 0)
    assert not bus.ports["a"].off
    attempts = int(bus.noted("error_frame")[0].split()[5])
    assert attempts > 10_000


def test_frame_that_its_lone_sender_gives_up_is_not_sent_late() -> None:
    bus = Bus("a")
    bus.ports["a"].send(FRAME)
    bus.run(1_000_000, at=((900_000, lambda: bus.ports["a"].cancel(FRAME.can_id)),))
    bus.ports["a"].send(CanFrame(0x50, b""))
    bus.add("b")
    bus.run()
    assert [frame.can_id for _, frame, _ in bus.heard] == [0x50]


def test_node_that_joins_in_mid_frame_does_not_hear_that_frame() -> None:
    bus = Bus("a", "b")
    bus.ports["a"].send(FRAME)
    bus.run(at=((50_000, lambda: bus.add("late")),))
    assert [name for name, _, _ in bus.heard] == ["b"]


def test_sender_that_dies_in_mid_frame_frees_the_bus_after_an_error_frame() -> None:
    bus = Bus("a", "b", "c")
    bus.ports["a"].send(FRAME)
    bus.ports["c"].send(CanFrame(0x300, b""))
    bus.run(at=((100_000, lambda: bus.nodes["a"].cut("test")),))
    begin_ns = 100_000 + (6 + 6 + 8 + 3) * BIT_NS
    assert bus.times("b") == [begin_ns + frame_bits(CanFrame(0x300, b"")) * BIT_NS]
    assert len(bus.noted("error_frame")) == 1
    assert bus.counters("b") == (0, 0)  # one error, one good frame


def test_sender_that_dies_behind_the_ack_slot_leaves_a_whole_frame() -> None:
    bus = Bus("a", "b")
    sent: list[Outcome] = []
    bus.ports["a"].send(FRAME, sent.append)
    bus.run(at=((FRAME_NS - 5 * BIT_NS, lambda: bus.nodes["a"].cut("test")),))
    assert bus.heard == [("b", FRAME, FRAME_NS)]
    assert sent == []


def test_bus_counts_the_time_that_frames_and_error_frames_take() -> None:
    bus = Bus("a", "b")
    bus.trouble(Disturbance(at_bit=30))
    bus.ports["a"].send(FRAME)
    bus.run()
    assert bus.bus.busy_ns == (31 + 6 + 6 + 8 + 3) * BIT_NS + FRAME_NS


# One identifier of two nodes ---------------------------------------------------------------------------


def test_two_nodes_with_one_identifier_and_different_data_destroy_each_other_until_one_is_passive() -> None:
    """Both count 8 for each collision; once both are error-passive the recessive bit's flag disturbs nobody."""
    bus = Bus("a", "b", "c")
    zero, one = CanFrame(0x123, b"\x55\x00"), CanFrame(0x123, b"\x55\x80")
    ends: dict[str, list[Outcome]] = {"a": [], "b": []}
    bus.ports["a"].send(one, ends["a"].append)
    bus.ports["b"].send(zero, ends["b"].append)
    bus.run(200_000)
    assert bus.noted("error_frame") == ["a and b sent one identifier: bit 28 differs"]
    assert (bus.counters("a"), bus.counters("b"), bus.counters("c")) == ((8, 0), (8, 0), (0, 1))
    bus.run()
    assert [frame for name, frame, _ in bus.heard if name == "c"] == [zero, one]
    assert bus.noted("error_frame")[-1] == "a gave way to b: bit 28 differs"
    assert len(bus.noted("error_frame")) == 17
    assert [[each.fate for each in told] for told in ends.values()] == [[Fate.SENT], [Fate.SENT]]


def test_collision_ends_where_the_bits_say() -> None:
    """SOF, 11 bits, RTR, IDE, r0, DLC 2 (0010), 0x55, and a stuff bit behind 00000 in 0x123's control field."""
    bus = Bus("a", "b", "c")
    bus.ports["a"].send(CanFrame(0x123, b"\x55\x80"))
    bus.ports["b"].send(CanFrame(0x123, b"\x55\x00"))
    urgent = CanFrame(0x001, b"")
    bus.run(at=((20_000, lambda: bus.ports["c"].send(urgent)),))
    # bit 28 is dominant, the one before it recessive: the others' flags begin behind five bits of the first one
    begin_ns = (29 + 5 + 6 + 8 + 3) * BIT_NS
    assert bus.times("a")[0] == begin_ns + frame_bits(urgent) * BIT_NS


def test_equal_frames_of_two_nodes_do_not_collide() -> None:
    bus = Bus("a", "b", "c")
    for name in "ab":
        bus.ports[name].send(FRAME)
    bus.run()
    assert bus.noted("error_frame") == []
    assert [name for name, _, _ in bus.heard].count("c") == 2


def test_frame_whose_rival_loses_power_in_the_collision_is_sent() -> None:
    bus = Bus("a", "b", "c")
    told: list[Outcome] = []
    bus.ports["a"].send(CanFrame(0x123, b"\x01"), told.append)
    bus.ports["b"].send(CanFrame(0x123, b"\x02"))
    bus.run(at=((30_000, lambda: bus.nodes["b"].cut("test")),))
    assert [each.fate for each in told] == [Fate.SENT]
    assert [frame.data for name, frame, _ in bus.heard if name == "c"] == [b"\x01"]
