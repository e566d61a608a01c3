"""sim_frames_per_s: ISO-TP messages of random bytes both ways over the simulated bus, frame grain, trace on."""

from __future__ import annotations

import time

from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.seeds import keyed_bytes
from bench.core.world import World
from bench.link.sim_bus import SimCanBus
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpEndpoint, IsoTpParams
from benchmarks.figure import Measured

BITRATE_BIT_S = 500_000
MESSAGE_BYTES = 3842
"""A 0x36 request with 3840 bytes of data."""
MESSAGES = 64
ROUNDS = 3


class Peer:
    """One end of the link: answers each message with `answer` until `messages` have come."""

    def __init__(self, answer: bytes, messages: int) -> None:
        self._answer, self._left = answer, messages
        self.endpoint: IsoTpEndpoint | None = None

    def plug_in(self, bus: SimCanBus, life: Incarnation, send_id: int, receive_id: int) -> None:
        """Attach to the bus in this life."""
        port = bus.attach(life)
        endpoint = IsoTpEndpoint(life, IsoTpParams(), lambda data, sent: port.send(CanFrame(send_id, data), sent), self)
        port.subscribe(lambda frame, t_ns: endpoint.on_frame(frame.data, t_ns) if frame.can_id == receive_id else None)
        self.endpoint = endpoint

    def on_start(self, length: int) -> None:
        """Nothing to do before a message is complete."""

    def on_message(self, payload: bytes) -> None:
        """Answer it."""
        self._left -= 1
        if self._left >= 0:
            self.say()

    def on_error(self, name: str) -> None:
        """End the measurement: it has to be undisturbed."""
        raise RuntimeError(f"the link failed: {name}")

    def say(self) -> None:
        """Send the message this peer has to say."""
        assert self.endpoint is not None
        self.endpoint.send(self._answer, _must_work)


def _must_work(error: str | None) -> None:
    if error is not None:
        raise RuntimeError(f"sending failed: {error}")


def frames_per_s() -> Measured:
    """Return the frames a second of the best of three rounds."""
    return Measured(max(_round(number) for number in range(ROUNDS)))


def _round(number: int) -> float:
    loop = VirtualLoop()
    world = World(loop, seed=number)
    bus = SimCanBus(world, "can0", BITRATE_BIT_S, bursts=False)
    request = keyed_bytes(number, "tester", "payload", 0, MESSAGE_BYTES)
    tester, ecu = Peer(request, MESSAGES - 1), Peer(b"\x76\x01", MESSAGES)
    nodes = (
        Node(world, "tester", lambda life: tester.plug_in(bus, life, 0x7A0, 0x7A8)),
        Node(world, "ecu", lambda life: ecu.plug_in(bus, life, 0x7A8, 0x7A0)),
    )

    async def main() -> None:
        for node in nodes:
            node.power_on()
        tester.say()
        await loop.sleep_ns(3_600_000_000_000)

    start_s = time.perf_counter()
    loop.run(main())
    spent_s = time.perf_counter() - start_s
    frames = len(world.journal.frames())
    loop.discard()
    if frames < MESSAGES * MESSAGE_BYTES // 7:
        raise RuntimeError(f"only {frames} frames crossed the bus")
    return frames / spent_s
