"""ISO-TP links on the simulated bus: the payload ceiling, several links at once, functional beside physical, FD."""

from __future__ import annotations

import pytest

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.records import BRS, FD
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.wire.can import CanFrame, frame_bits
from bench.wire.isotp import IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import OutcomeCallback

NOMINAL, DATA = 500_000, 2_000_000


class Talker:
    """One end of a link, a node of its own."""

    def __init__(
        self, world: World, bus: SimCanBus, name: str, send_id: int, hear_id: int, tx_dl: int = 8, flags: int = 0
    ) -> None:
        self.messages: list[bytes] = []
        self.errors: list[str] = []
        self.outcomes: list[str | None] = []
        self._bus, self._send_id, self._hear_id, self._flags = bus, send_id, hear_id, flags
        self._params = IsoTpParams(tx_dl=tx_dl)
        Node(world, name, self._boot).power_on()

    def _boot(self, life: Incarnation) -> None:
        self.port = self._bus.attach(life)
        self.endpoint = IsoTpEndpoint(life, self._params, self._transmit, self)
        self.port.subscribe(self._heard)

    def _transmit(self, data: bytes, sent: OutcomeCallback) -> None:
        self.port.send(CanFrame(self._send_id, data, self._flags), sent)

    def _heard(self, frame: CanFrame, t_ns: int) -> None:
        if frame.can_id == self._hear_id:
            self.endpoint.on_frame(frame.data, t_ns)

    def send(self, payload: bytes) -> None:
        self.endpoint.send(payload, self.outcomes.append)

    def on_start(self, length: int) -> None:
        del length

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_error(self, name: str) -> None:
        self.errors.append(name)


class Stage:
    """A bus and its world."""

    def __init__(self, *, fd: bool = False) -> None:
        self.loop = VirtualLoop()
        self.world = World(self.loop, seed=1)
        self.bus = SimCanBus(self.world, "can0", NOMINAL, DATA if fd else None)

    def pair(self, name: str, request_id: int, response_id: int, **options: int) -> tuple[Talker, Talker]:
        left = Talker(self.world, self.bus, f"{name} tester", request_id, response_id, **options)
        return left, Talker(self.world, self.bus, f"{name} ecu", response_id, request_id, **options)

    def run(self, run_ms: int = 2_000) -> None:
        self.loop.run(self.loop.sleep_ns(run_ms * NS_PER_MS))


def content(length: int, step: int) -> bytes:
    return bytes(i * step + (i >> 8) & 0xFF for i in range(length))


@pytest.mark.parametrize("step", [0, 1, 31, 85])
def test_payload_rate_of_bs_0_st_min_0_is_the_ceiling_of_the_actual_bits(step: int) -> None:
    stage = Stage()
    tester, _ = stage.pair("link", 0x7A0, 0x7A8)
    tester.send(content(4_095, step))
    stage.run()
    frames = [frame for frame in stage.world.journal.frames() if frame.can_id == 0x7A0 and frame.data[0] >> 4 == 2]
    bits = [frame_bits(CanFrame(frame.can_id, frame.data)) for frame in frames[1:]]
    duration_ns = frames[-1].t_ns - frames[0].t_ns
    assert duration_ns == sum(count * NS_PER_S // NOMINAL for count in bits)
    assert all(111 <= count <= 135 for count in bits)
    rate_bytes_s = 7 * len(bits) * NS_PER_S / duration_ns
    assert 25_926 <= rate_bytes_s <= 31_531  # 7 bytes in 135 and in 111 bits


def test_several_links_on_one_bus_carry_their_messages_at_the_same_time() -> None:
    stage = Stage()
    pairs = [stage.pair(f"link{n}", 0x700 + n, 0x708 + n) for n in range(3)]
    for n, (tester, ecu) in enumerate(pairs):
        tester.send(content(1_000 + n, 3))
        ecu.send(content(700 + n, 5))
    stage.run()
    for n, (tester, ecu) in enumerate(pairs):
        assert (tester.outcomes, ecu.outcomes, tester.errors, ecu.errors) == ([None], [None], [], [])
        assert (ecu.messages, tester.messages) == ([content(1_000 + n, 3)], [content(700 + n, 5)])
    ids = [frame.can_id for frame in stage.world.journal.frames()]
    last_link = [n for n, can_id in enumerate(ids) if can_id == 0x702]
    assert {0x700, 0x701, 0x708} <= set(ids[last_link[0] : last_link[-1]])  # others spoke in between


def test_functional_single_frames_between_the_frames_of_a_physical_message_disturb_nothing() -> None:
    stage = Stage()
    tester, ecu = stage.pair("link", 0x7A0, 0x7A8)
    heard: list[bytes] = []
    ecu.port.subscribe(lambda frame, _t: heard.append(frame.data) if frame.can_id == 0x7DF else None)
    tester.send(content(2_000, 7))
    for n in range(20):
        stage.loop.call_at_ns(n * 3 * NS_PER_MS, tester.port.send, CanFrame(0x7DF, b"\x02\x3e\x80"))
    stage.run()
    assert (tester.outcomes, ecu.messages, ecu.errors) == ([None], [content(2_000, 7)], [])
    assert heard == [b"\x02\x3e\x80"] * 20


@pytest.mark.parametrize("length", [5, 200, 4_095])
def test_ecu_that_answers_in_classic_frames_on_an_fd_bus_is_understood(length: int) -> None:
    stage = Stage(fd=True)
    tester = Talker(stage.world, stage.bus, "tester", 0x7A0, 0x7A8, tx_dl=64, flags=FD | BRS)
    ecu = Talker(stage.world, stage.bus, "ecu", 0x7A8, 0x7A0)
    ecu.send(content(length, 3))
    tester.send(content(300, 5))
    stage.run()
    assert (tester.messages, ecu.messages) == ([content(length, 3)], [content(300, 5)])
    assert {frame.flags for frame in stage.world.journal.frames() if frame.can_id == 0x7A8} == {0}
