"""ISO-TP against can-isotp over python-can's `virtual` bus, both directions at once.

Sizes, block sizes, STmin, padding and TX_DL are drawn by seed, for every addressing mode, classic and FD. Both ends
run in virtual time: the outcome depends on the seed alone, never on how busy the machine is.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

import can
import isotp
import pytest

from bench.core.clock import NS_PER_S
from bench.core.loop import VirtualLoop
from bench.core.records import EXTENDED
from bench.wire.can import CanFrame
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import OutcomeCallback, sent_on_wire

FRAME_NS = 230_000
POLL_NS = 150_000
"""How often can-isotp is given the chance to work."""
LONGEST_NS = 120 * NS_PER_S
MODE = isotp.AddressingMode
MODES: dict[str, tuple[IsoTpAddress, isotp.Address]] = {
    "normal_11": (
        IsoTpAddress.normal(0x7A0, 0x7A8),
        isotp.Address(MODE.Normal_11bits, txid=0x7A8, rxid=0x7A0),
    ),
    "normal_29": (
        IsoTpAddress.normal(0x1ABCDE01, 0x1ABCDE02, id_29_bit=True),
        isotp.Address(MODE.Normal_29bits, txid=0x1ABCDE02, rxid=0x1ABCDE01),
    ),
    "normal_fixed": (
        IsoTpAddress.normal_fixed(0xF1, 0x33),
        isotp.Address(MODE.NormalFixed_29bits, source_address=0x33, target_address=0xF1),
    ),
    "extended_11": (
        IsoTpAddress.extended(0x6F1, 0x633, source=0xF1, target=0x33),
        isotp.Address(MODE.Extended_11bits, txid=0x633, rxid=0x6F1, source_address=0x33, target_address=0xF1),
    ),
    "extended_29": (
        IsoTpAddress.extended(0x1AAAAAA1, 0x1AAAAAA2, source=0xF1, target=0x33, id_29_bit=True),
        isotp.Address(MODE.Extended_29bits, txid=0x1AAAAAA2, rxid=0x1AAAAAA1, source_address=0x33, target_address=0xF1),
    ),
    "mixed_11": (
        IsoTpAddress.mixed(0x7A0, 0x7A8, extension=0x99),
        isotp.Address(MODE.Mixed_11bits, txid=0x7A8, rxid=0x7A0, address_extension=0x99),
    ),
    "mixed_29": (
        IsoTpAddress.mixed_fixed(0xF1, 0x33, extension=0x99),
        isotp.Address(MODE.Mixed_29bits, source_address=0x33, target_address=0xF1, address_extension=0x99),
    ),
}


class Ear:
    """Our side: what it received, and the errors of it."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self.errors: list[str] = []

    def on_start(self, length: int) -> None:
        assert length > 0

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_error(self, name: str) -> None:
        self.errors.append(name)


class VirtualTime:
    """What can-isotp's timers read instead of the machine's clock: the session does not depend on how busy it is."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.perf_counter_ns = loop.now_ns


@dataclass(frozen=True)
class Side:
    """How one end of a session sends and receives, and what it sends."""

    block_size: int
    st_min: int
    padding: int | None
    tx_dl: int
    messages: tuple[bytes, ...]


def drawn(draw: random.Random, *, fd: bool) -> Side:
    tx_dl = draw.choice((8, 12, 16, 20, 24, 32, 48, 64)) if fd else 8
    lengths = [draw.choice(LENGTHS)(draw) for _ in range(draw.randint(1, 3))]
    return Side(
        block_size=draw.choice((0, 0, 1, 2, draw.randint(3, 40))),
        st_min=draw.choice((0, 0, 1, 3, 0xF1, 0xF5, 0xF9)),
        padding=draw.choice((None, 0x00, 0xCC, 0xAA)),
        tx_dl=tx_dl,
        messages=tuple(draw.randbytes(length) for length in lengths),
    )


LENGTHS: tuple[Callable[[random.Random], int], ...] = (
    lambda draw: draw.randint(1, 8),
    lambda draw: draw.randint(1, 70),
    lambda draw: draw.randint(1, 600),
    lambda draw: draw.randint(600, 4094),
    lambda draw: draw.choice((6, 7, 8, 13, 14, 62, 63, 4095, 4096, 4097)),
    lambda draw: draw.randint(4096, 7000),
)


class Session:
    """Our endpoint and can-isotp on one python-can `virtual` bus, both sending at once, in virtual time."""

    def __init__(self, mode: str, ours: Side, theirs: Side, *, fd: bool) -> None:
        self.address, peer = MODES[mode]
        self.ours, self.theirs, self.fd = ours, theirs, fd
        self.loop, self.ear = VirtualLoop(), Ear()
        self.outcomes: list[str | None] = []
        self.errors: list[str] = []
        self.arrived: list[bytes] = []
        channel = f"{mode}-{id(self)}"
        protocol = can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20
        self.bus = can.Bus(interface="virtual", channel=channel, protocol=protocol)
        self.peer_bus = can.Bus(interface="virtual", channel=channel, protocol=protocol)
        params = IsoTpParams(
            block_size=ours.block_size, st_min=ours.st_min, padding=ours.padding, tx_dl=ours.tx_dl, max_length=100_000
        )
        self.endpoint = IsoTpEndpoint(self.loop, params, self._transmit, self.ear, address=self.address)
        self.peer = isotp.CanStack(
            self.peer_bus,
            address=peer,
            error_handler=lambda error: self.errors.append(str(error)),
            params={
                "blocksize": theirs.block_size, "stmin": theirs.st_min, "tx_padding": theirs.padding,
                "tx_data_length": theirs.tx_dl, "can_fd": fd, "max_frame_size": 100_000, "blocking_send": False,
            },
        )  # fmt: skip

    def _transmit(self, data: bytes, sent: OutcomeCallback) -> None:
        def carry() -> None:
            message = can.Message(
                arbitration_id=self.address.tx_id, is_extended_id=self.address.id_29_bit, data=data,
                is_fd=self.fd and len(data) > 8, check=True,
            )  # fmt: skip
            self.bus.send(message)
            sent(sent_on_wire(self.loop.now_ns()))

        self.loop.call_at_ns(self.loop.now_ns() + FRAME_NS, carry)

    def _send_next(self, outcome: str | None = None) -> None:
        if outcome is not None or len(self.outcomes) == len(self.ours.messages):
            return
        payload = self.ours.messages[len(self.outcomes)]

        def done(error: str | None) -> None:
            self.outcomes.append(error)
            self.loop.call_at_ns(self.loop.now_ns(), self._send_next, error)

        self.endpoint.send(payload, done)

    def _hear(self) -> None:
        while (message := self.bus.recv(0)) is not None:
            frame = CanFrame(message.arbitration_id, bytes(message.data), EXTENDED if message.is_extended_id else 0)
            assert self.address.accepts(frame), frame
            assert message.is_fd == (self.fd and self.theirs.tx_dl > 8) or len(message.data) <= 8
            self.endpoint.on_frame(frame.data, self.loop.now_ns())

    async def _pump(self) -> None:
        while not self.over and self.loop.now_ns() < LONGEST_NS:
            self.peer.process()
            self._hear()
            while (received := self.peer.recv()) is not None:
                self.arrived.append(bytes(received))
            await self.loop.sleep_ns(POLL_NS)

    @property
    def over(self) -> bool:
        ours_done = len(self.outcomes) == len(self.ours.messages) and len(self.arrived) == len(self.ours.messages)
        failed = self.errors or self.ear.errors or any(self.outcomes)
        return bool(failed) or (ours_done and len(self.ear.messages) == len(self.theirs.messages))

    def run(self) -> None:
        """Run both directions to their ends; everything that was sent must have arrived, in order, without an error."""
        for message in self.theirs.messages:
            self.peer.send(message)
        self._send_next()
        try:
            self.loop.run(self._pump())
        finally:
            self.loop.discard()
            self.bus.shutdown()
            self.peer_bus.shutdown()
        assert (self.errors, self.ear.errors) == ([], [])
        assert self.outcomes == [None] * len(self.ours.messages)
        assert self.arrived == list(self.ours.messages)
        assert self.ear.messages == list(self.theirs.messages)


def run_session(monkeypatch: pytest.MonkeyPatch, mode: str, seed: int) -> None:
    draw = random.Random(f"{mode}:{seed}")
    fd = draw.random() < 0.5
    session = Session(mode, drawn(draw, fd=fd), drawn(draw, fd=fd), fd=fd)
    monkeypatch.setattr("isotp.tools.time", VirtualTime(session.loop))
    session.run()


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("mode", MODES)
def test_can_isotp_and_we_exchange_messages_both_ways_at_once(
    monkeypatch: pytest.MonkeyPatch, mode: str, seed: int
) -> None:
    run_session(monkeypatch, mode, seed)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_can_isotp_and_we_exchange_messages_for_many_seeds(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    for seed in range(100, 400):
        run_session(monkeypatch, mode, seed)


def test_two_sessions_of_one_seed_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    ends = []
    for _ in range(2):
        draw = random.Random("same")
        session = Session("normal_11", drawn(draw, fd=True), drawn(draw, fd=True), fd=True)
        monkeypatch.setattr("isotp.tools.time", VirtualTime(session.loop))
        session.run()
        ends.append((session.loop.now_ns(), session.arrived))
    assert ends[0] == ends[1]


def test_can_isotp_that_loses_a_frame_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    side = Side(block_size=0, st_min=0, padding=None, tx_dl=8, messages=(bytes(100),))
    session = Session("normal_11", side, side, fd=False)
    monkeypatch.setattr("isotp.tools.time", VirtualTime(session.loop))
    hear = session.endpoint.on_frame
    session.endpoint.on_frame = lambda data, t_ns: None if data[0] == 0x23 else hear(data, t_ns)  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="N_WRONG_SN"):
        session.run()
