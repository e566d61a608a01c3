"""Fuzz targets beside the flashing job: two ISO-TP endpoints alone, the ECU's server, and all decoders of UDS."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.loop import VirtualLoop
from bench.core.node import Incarnation, Node
from bench.core.world import World
from bench.flasher import services
from bench.flasher.errors import ProtocolViolation
from bench.link.isotp_link import IsoTpLink
from bench.link.sim_bus import SimCanBus
from bench.ports.diagnostics import LinkError
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import OutcomeCallback, sent_on_wire
from bench.wire.uds import DECODERS, DecodeError, MemoryRange
from tests.fuzz.rig import (
    BOOT_NS,
    FUNCTIONAL_ID,
    MAKERS,
    BoundedLoop,
    Case,
    Job,
    build_ecu,
    case,
    images,
    links,
)

FRAME_NS = 230_000
QUIET_NS = 60 * NS_PER_S
"""After this long every timer of the server has run out."""
SLOWEST_NS = 200 * NS_PER_S
"""After this long every message is through, even one that a foreign flow control slowed down to STmin 127 ms."""

# Two endpoints --------------------------------------------------------------------------------------


@dataclass
class End:
    """One endpoint on a line that loses frames and carries foreign ones."""

    loop: VirtualLoop
    loses: Callable[[], bool]
    messages: list[bytes] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    outcomes: list[str | None] = field(default_factory=list)
    sent: int = 0

    def connect(self, params: IsoTpParams, address: IsoTpAddress | None, peer: End) -> None:
        self.endpoint = IsoTpEndpoint(self.loop, params, self._transmit, self, address=address)
        self.peer = peer

    def _transmit(self, data: bytes, sent: OutcomeCallback) -> None:
        def carry() -> None:
            t_ns = self.loop.now_ns()
            sent(sent_on_wire(t_ns))
            if not self.loses():
                self.peer.endpoint.on_frame(data, t_ns)

        self.loop.call_at_ns(self.loop.now_ns() + FRAME_NS, carry)

    def send(self, payload: bytes) -> None:
        if not self.endpoint.sending:
            self.sent += 1
            self.endpoint.send(payload, self.outcomes.append)

    def on_start(self, length: int) -> None:
        assert length > 0

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_error(self, name: str) -> None:
        self.errors.append(name)


def isotp(seed: int, number: int) -> None:
    """Whatever is heard: each message sent has one outcome, and once all is quiet the link carries messages again."""
    draw = random.Random(f"isotp:{seed}:{number}")
    loop = BoundedLoop()
    noisy = [True]
    loss = draw.choice((0.0, 0.0, 0.05, 0.3))
    ends = End(loop, lambda: noisy[0] and draw.random() < loss), End(loop, lambda: noisy[0] and draw.random() < loss)
    addresses = _addresses(draw)
    tx_dl = draw.choice((8, 8, 8, 12, 64))
    for end, peer, address in zip(ends, reversed(ends), addresses, strict=True):
        end.connect(_params(draw, tx_dl), address, peer)
    for _ in range(draw.randrange(1, 6)):
        length = draw.choice((1, 7, 8, 62, 63, 300, 4095, 5000))
        loop.call_at_ns(draw.randrange(NS_PER_S), draw.choice(ends).send, draw.randbytes(length))
    for _ in range(draw.choice((0, 3, 30))):
        loop.call_at_ns(draw.randrange(2 * NS_PER_S), _feed, draw.choice(ends), _frame(draw, tx_dl, addresses))

    async def story() -> None:
        await loop.sleep_ns(2 * NS_PER_S)
        noisy[0] = False
        await loop.sleep_ns(SLOWEST_NS)
        for end in ends:
            assert len(end.outcomes) == end.sent, f"{end.sent} messages sent, outcomes {end.outcomes}"
            assert not end.endpoint.sending
            assert not end.endpoint.receiving
        for end in ends:
            end.outcomes.clear()
            end.send(b"quiet again" * 10)
        await loop.sleep_ns(SLOWEST_NS)
        for end, peer in (ends, ends[::-1]):
            assert end.outcomes == [None]
            assert peer.messages[-1] == b"quiet again" * 10

    try:
        loop.run(story())
    finally:
        loop.discard()


def _addresses(draw: random.Random) -> tuple[IsoTpAddress | None, IsoTpAddress | None]:
    if draw.random() < 0.5:
        return None, None
    return IsoTpAddress.extended(0x6F1, 0x633, 0xF1, 0x33), IsoTpAddress.extended(0x633, 0x6F1, 0x33, 0xF1)


def _params(draw: random.Random, tx_dl: int) -> IsoTpParams:
    return IsoTpParams(
        block_size=draw.choice((0, 1, 8)), st_min=draw.choice((0, 1, 0xF3)), padding=draw.choice((None, 0xCC)),
        n_br_ms=draw.choice((0, 5)), n_cs_ms=draw.choice((0, 2)), tx_dl=tx_dl, max_length=10_000,
        buffer_bytes=draw.choice((None, 200)) if draw.random() < 0.1 else None,
    )  # fmt: skip


def _frame(draw: random.Random, tx_dl: int, addresses: tuple[IsoTpAddress | None, IsoTpAddress | None]) -> bytes:
    data = draw.choice(MAKERS)(draw)
    if tx_dl > 8 and draw.random() < 0.5:
        data = data.ljust(tx_dl, draw.randbytes(1))
    prefixes = [b""] if addresses[0] is None else [address.prefix for address in addresses if address is not None]
    return draw.choice(prefixes) + data


def _feed(end: End, data: bytes) -> None:
    end.endpoint.on_frame(data, end.loop.now_ns())


# Both grains of the bus -----------------------------------------------------------------------------


def grains(seed: int, number: int) -> None:
    """A job is the same, to the last frame, whether the bus carries frames singly or in runs."""
    drawn = case(seed, number)
    same_in_both_grains(drawn._replace(reactions=()))


def same_in_both_grains(drawn: Case) -> None:
    """Run a case in both grains and compare traces, ends and instants."""
    singly, in_runs = (Job(drawn, bursts=bursts).run() for bursts in (False, True))
    assert singly.world.journal.sha256() == in_runs.world.journal.sha256(), "the traces differ"
    assert (singly.report, str(singly.failure)) == (in_runs.report, str(in_runs.failure))
    assert singly.loop.now_ns() == in_runs.loop.now_ns()
    in_runs.check()


# The ECU's server -----------------------------------------------------------------------------------


def server(seed: int, number: int) -> None:
    """Any requests in any session: no crash, and the ECU answers and never programs or erases against the rules."""
    draw = random.Random(f"server:{seed}:{number}")
    loop = BoundedLoop()
    world = World(loop, seed=1)
    world.on_crash = loop.stop

    async def story() -> None:
        bus = SimCanBus(world, "can0", 500_000)
        kind = draw.choice(("single", "dual"))
        vehicle = build_ecu(world, bus, kind)
        old = images(kind)[0]
        if draw.random() < 0.7:
            vehicle.install("ecu", old.header.encode(), old.data)
        vehicle.power_on()
        await loop.sleep_ns(BOOT_NS)
        done = loop.create_future()

        def boot(life: Incarnation) -> None:
            port = bus.attach(life)
            link, _ = links(life, port)

            async def talk() -> None:
                for payload in [_request(draw) for _ in range(draw.randrange(1, 25))]:
                    if len(payload) <= 7 and draw.random() < 0.2:
                        port.send(CanFrame(FUNCTIONAL_ID, bytes((len(payload),)) + payload))
                    await _ask(link, payload, draw.choice((0, 10, 100, 3_000)))
                await life.sleep_ns(QUIET_NS)
                answer = await _ask(link, b"\x22\xf1\x86", 1_000)
                assert answer in (b"\x62\xf1\x86\x01",), f"after a minute of silence: {answer!r}"
                assert vehicle.dump("ecu").driver_faults == ()
                done.set_result(None)

            life.spawn(talk(), "talk")

        Node(world, "tester", boot).power_on()
        await done

    try:
        loop.run(story())
    finally:
        loop.discard()
        if world.crash is not None:
            raise world.crash


async def _ask(link: IsoTpLink, payload: bytes, within_ms: int) -> bytes | None:
    link.discard()
    try:
        await link.send(payload)
        return await link.receive(within_ms * NS_PER_MS)
    except LinkError:
        return None


def _request(draw: random.Random) -> bytes:
    sid = draw.choice(sorted(DECODERS))
    known = draw.choice(
        (
            b"\x10\x03", b"\x10\x02", b"\x10\x01", b"\x11\x01", b"\x27\x01", b"\x3e\x00", b"\x22\xf1\x86",
            b"\x31\x01\x02\x02", b"\x31\x01\xff\x01", b"\x31\x01\xff\x00\x44" + bytes(6) + b"\x10\x00",
            b"\x34\x00\x44" + bytes(6) + b"\x01\x00", b"\x36\x01" + draw.randbytes(256), b"\x37", b"\x85\x02",
            b"\x28\x03\x01", b"\x2e\xf1\x5a" + draw.randbytes(10), b"\x14\xff\xff\xff",
        )
    )  # fmt: skip
    return draw.choice((known, known, known + draw.randbytes(3), bytes((sid,)) + draw.randbytes(draw.randrange(40))))


# Decoders -------------------------------------------------------------------------------------------

CALLS = (
    services.session_control(2), services.ecu_reset(), services.request_seed(1), services.send_key(1, b"\x01\x02"),
    services.read_did(0xF191), services.write_did(0xF15A, b"\x30"), services.start_routine(0x0202),
    services.request_download(0, 16), services.transfer_data(5, b"x"), services.transfer_exit(),
)  # fmt: skip


def decoders(seed: int, number: int) -> None:
    """Any bytes: a value, or the one named error of that half; what is read back from a request has its fields."""
    draw = random.Random(f"decoders:{seed}:{number}")
    for sid, decode in DECODERS.items():
        for pdu in (draw.randbytes(draw.randrange(14)), bytes((sid,)) + draw.randbytes(draw.randrange(14)), b""):
            try:
                decode(pdu)
            except DecodeError:
                assert pdu[:1] != bytes((sid,)) or len(pdu) != 2 or sid not in (0x10, 0x11, 0x3E, 0x85)
    with suppress(DecodeError):
        MemoryRange.decode(draw.randbytes(draw.randrange(12)))
    for call in CALLS:
        try:
            call.decode(call.expected + draw.randbytes(draw.randrange(12)))  # the client lets no other through
        except ProtocolViolation:
            continue
