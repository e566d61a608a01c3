"""ISO-TP: each rule of the checklist, both halves against each other, and against can-isotp (ISO 15765-2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import isotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.wire.isotp import MAX_LENGTH, IsoTpEndpoint, IsoTpParams, st_min_to_ns
from bench.wire.outcome import OutcomeCallback, sent_on_wire

FRAME_NS = 230_000


@dataclass
class Ear:
    """Remembers what a link said."""

    started: list[int] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def on_start(self, length: int) -> None:
        self.started.append(length)

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_error(self, name: str) -> None:
        self.errors.append(name)


class Wire:
    """Carries frames one after the other, each taking FRAME_NS; may drop or change them."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.frames: list[tuple[int, bytes]] = []
        self.change: Callable[[bytes], bytes | None] = lambda data: data
        self._free_at_ns = 0

    def towards(self, receive: Callable[[], IsoTpEndpoint]) -> Callable[[bytes, OutcomeCallback], None]:
        def transmit(data: bytes, sent: OutcomeCallback) -> None:
            end_ns = max(self._free_at_ns, self.loop.now_ns()) + FRAME_NS
            self._free_at_ns = end_ns

            def arrive() -> None:
                self.frames.append((end_ns, data))
                sent(sent_on_wire(end_ns))
                arrived = self.change(data)
                if arrived is not None:
                    receive().on_frame(arrived, end_ns)

            self.loop.call_at_ns(end_ns, arrive)

        return transmit


@dataclass
class Pair:
    """Two endpoints on one wire."""

    loop: VirtualLoop
    wire: Wire
    left: IsoTpEndpoint
    right: IsoTpEndpoint
    left_ear: Ear
    right_ear: Ear

    def send(self, payload: bytes, run_ms: int = 10_000) -> str | None:
        """Send from left to right; returns the sender's outcome."""
        outcomes: list[str | None] = []
        self.left.send(payload, outcomes.append)
        self.run(run_ms)
        assert len(outcomes) == 1
        return outcomes[0]

    def run(self, run_ms: int) -> None:
        async def wait() -> None:
            await self.loop.sleep_ns(run_ms * NS_PER_MS)

        self.loop.run(wait())


def make_pair(left: IsoTpParams | None = None, right: IsoTpParams | None = None) -> Pair:
    loop = VirtualLoop()
    wire, ears = Wire(loop), (Ear(), Ear())
    ends: list[IsoTpEndpoint] = []
    ends.append(IsoTpEndpoint(loop, left or IsoTpParams(), wire.towards(lambda: ends[1]), ears[0]))
    ends.append(IsoTpEndpoint(loop, right or IsoTpParams(), wire.towards(lambda: ends[0]), ears[1]))
    return Pair(loop, wire, ends[0], ends[1], *ears)


def gaps_ns(pair: Pair) -> list[int]:
    """Return the gaps between the end of a consecutive frame and the start of the next."""
    ends = [t_ns for t_ns, data in pair.wire.frames if data[0] >> 4 == 2]
    return [b - a - FRAME_NS for a, b in pairwise(ends)]


@settings(max_examples=60, deadline=None)
@given(
    length=st.integers(1, MAX_LENGTH),
    block_size=st.integers(0, 20),
    st_min=st.sampled_from([0, 1, 5, 0xF1, 0xF9]),
    padding=st.sampled_from([None, 0xCC, 0x00]),
)
def test_message_of_any_size_arrives_whole(length: int, block_size: int, st_min: int, padding: int | None) -> None:
    pair = make_pair(right=IsoTpParams(block_size=block_size, st_min=st_min), left=IsoTpParams(padding=padding))
    payload = bytes(i * 7 & 0xFF for i in range(length))
    assert pair.send(payload) is None
    assert pair.right_ear.messages == [payload]
    assert pair.right_ear.started == [length]
    assert pair.right_ear.errors == []


@pytest.mark.parametrize(
    ("st_min", "gap_ns"),
    [
        (0, 0),
        (1, 1_000_000),
        (0x7F, 127_000_000),
        (0x80, 127_000_000),
        (0xF1, 100_000),
        (0xF9, 900_000),
        (0xFF, 127_000_000),
    ],
)
def test_st_min_counts_milliseconds_then_100_microseconds_reserved_is_longest(st_min: int, gap_ns: int) -> None:
    assert st_min_to_ns(st_min) == gap_ns


@pytest.mark.parametrize("st_min", [1, 10, 0xF5])
def test_consecutive_frames_keep_st_min_end_to_start(st_min: int) -> None:
    pair = make_pair(right=IsoTpParams(st_min=st_min))
    assert pair.send(bytes(100)) is None
    assert set(gaps_ns(pair)) == {st_min_to_ns(st_min)}


def test_block_size_asks_for_flow_control_after_each_block() -> None:
    pair = make_pair(right=IsoTpParams(block_size=3))
    assert pair.send(bytes(6 + 7 * 7)) is None
    kinds = "".join("SFCL"[data[0] >> 4] for _, data in pair.wire.frames)
    assert kinds == "FLCCCLCCCLC"


def test_first_frame_longer_than_the_buffer_is_answered_with_overflow() -> None:
    pair = make_pair(right=IsoTpParams(max_length=100))
    assert pair.send(bytes(101)) == "N_BUFFER_OVFLW"
    assert pair.right_ear.messages == []


def test_missing_flow_control_times_out_as_n_timeout_bs() -> None:
    pair = make_pair(left=IsoTpParams(n_bs_ms=50))
    pair.wire.change = lambda data: None if data[0] >> 4 == 3 else data
    assert pair.send(bytes(20), run_ms=60) == "N_TIMEOUT_Bs"


def test_missing_consecutive_frame_is_a_wrong_sequence_number() -> None:
    pair = make_pair()
    lost = iter([False, False, True])
    pair.wire.change = lambda data: None if data[0] >> 4 == 2 and next(lost, False) else data
    assert pair.send(bytes(60)) is None
    assert pair.right_ear.errors == ["N_WRONG_SN"]
    assert pair.right_ear.messages == []


def test_lost_tail_times_out_as_n_timeout_cr() -> None:
    pair = make_pair(right=IsoTpParams(n_cr_ms=70))
    pair.wire.change = lambda data: None if data[0] == 0x23 else data
    pair.send(bytes(6 + 7 * 3))
    assert pair.right_ear.errors == ["N_TIMEOUT_Cr"]


def test_frame_that_is_never_sent_times_out_as_n_timeout_a() -> None:
    loop, ear = VirtualLoop(), Ear()
    endpoint = IsoTpEndpoint(loop, IsoTpParams(n_as_ms=40), lambda data, sent: None, ear)
    outcomes: list[str | None] = []
    endpoint.send(b"\x3e\x00", outcomes.append)
    loop.run(loop.sleep_ns(39 * NS_PER_MS))
    assert outcomes == []
    loop.run(loop.sleep_ns(2 * NS_PER_MS))
    assert outcomes == ["N_TIMEOUT_A"]


def test_wait_frames_prolong_and_then_overrun() -> None:
    pair = make_pair(left=IsoTpParams(n_bs_ms=50, wait_frames_max=2))
    outcomes: list[str | None] = []
    pair.wire.change = lambda data: None if data[0] >> 4 == 3 else data
    pair.left.send(bytes(20), outcomes.append)
    for _ in range(2):
        pair.run(40)
        pair.left.on_frame(bytes((0x31, 0, 0)), pair.loop.now_ns())
    pair.run(40)
    assert outcomes == []
    pair.left.on_frame(bytes((0x31, 0, 0)), pair.loop.now_ns())
    assert outcomes == ["N_WFT_OVRN"]


def test_invalid_flow_status_ends_the_transmission() -> None:
    pair = make_pair()
    pair.wire.change = lambda data: bytes((0x35,)) + data[1:] if data[0] >> 4 == 3 else data
    assert pair.send(bytes(20)) == "N_INVALID_FS"


def test_new_message_during_reception_ends_the_running_one() -> None:
    pair = make_pair()
    pair.right.on_frame(bytes((0x10, 20)) + bytes(6), 0)
    pair.right.on_frame(bytes((0x02, 0x3E, 0x00)), 1)
    assert pair.right_ear.errors == ["N_UNEXP_PDU"]
    assert pair.right_ear.messages == [b"\x3e\x00"]


@pytest.mark.parametrize(
    "data",
    [
        b"\x00",
        b"\x05\x01",
        b"\x08" + bytes(7),
        b"\x10\x07" + bytes(6),
        b"\x10\x20" + bytes(3),
        b"\x21" + bytes(7),
        b"\x30\x00\x00",
        b"",
        b"\x41",
    ],
    ids=[
        "SF_DL 0",
        "SF too short",
        "SF_DL 8",
        "FF_DL too small",
        "FF too short",
        "CF alone",
        "FC alone",
        "empty",
        "reserved",
    ],
)
def test_what_the_standard_ignores_is_ignored(data: bytes) -> None:
    pair = make_pair()
    pair.right.on_frame(data, 0)
    assert pair.right_ear == Ear()
    assert pair.send(b"\x22\xf1\x89") is None
    assert pair.right_ear.messages == [b"\x22\xf1\x89"]


def test_both_directions_run_at_once() -> None:
    pair = make_pair(left=IsoTpParams(block_size=2), right=IsoTpParams(st_min=1))
    outcomes: list[str | None] = []
    pair.right.send(bytes(range(200)), outcomes.append)
    assert pair.send(bytes(300)) is None
    assert outcomes == [None]
    assert (pair.left_ear.messages, pair.right_ear.messages) == ([bytes(range(200))], [bytes(300)])


def test_second_message_on_a_busy_link_is_refused() -> None:
    pair = make_pair()
    pair.left.send(bytes(20), lambda error: None)
    with pytest.raises(ValueError, match="already being sent"):
        pair.left.send(b"\x01", lambda error: None)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=8), max_size=40))
def test_random_frames_never_raise_and_never_block_the_link(frames: list[bytes]) -> None:
    pair = make_pair()
    for data in frames:
        pair.right.on_frame(data, pair.loop.now_ns())
    pair.run(2_000)
    before = len(pair.right_ear.messages)
    assert pair.send(b"\x22\xf1\x89") is None
    assert pair.right_ear.messages[before:] == [b"\x22\xf1\x89"]


class _CanIsotp:
    """can-isotp's own state machine, fed by hand."""

    def __init__(self, block_size: int, st_min: int) -> None:
        self.inbox: list[isotp.CanMessage] = []
        self.outbox: list[isotp.CanMessage] = []
        address = isotp.Address(isotp.AddressingMode.Normal_11bits, txid=0x7A8, rxid=0x7A0)
        params = {"blocksize": block_size, "stmin": st_min, "tx_padding": 0xCC, "blocking_send": False}
        self.layer = isotp.TransportLayerLogic(
            rxfn=lambda timeout: self.inbox.pop(0) if self.inbox else None,
            txfn=self.outbox.append,
            address=address,
            params=params,
        )


@settings(max_examples=40, deadline=None)
@given(payload=st.binary(min_size=1, max_size=400), block_size=st.integers(0, 9))
def test_can_isotp_receives_what_we_send(payload: bytes, block_size: int) -> None:
    loop, ear, peer = VirtualLoop(), Ear(), _CanIsotp(block_size, 0)

    def transmit(data: bytes, sent: OutcomeCallback) -> None:
        def carry() -> None:
            peer.inbox.append(isotp.CanMessage(arbitration_id=0x7A0, data=data))
            peer.layer.process()
            sent(sent_on_wire(loop.now_ns()))
            while peer.outbox:
                endpoint.on_frame(bytes(peer.outbox.pop(0).data), loop.now_ns())

        loop.call_at_ns(loop.now_ns() + FRAME_NS, carry)

    endpoint = IsoTpEndpoint(loop, IsoTpParams(), transmit, ear)
    outcomes: list[str | None] = []
    endpoint.send(payload, outcomes.append)
    loop.run(loop.sleep_ns(1_000 * NS_PER_MS))
    assert outcomes == [None]
    assert peer.layer.recv() == bytearray(payload)


@settings(max_examples=40, deadline=None)
@given(payload=st.binary(min_size=1, max_size=400), block_size=st.integers(0, 9))
def test_we_receive_what_can_isotp_sends(payload: bytes, block_size: int) -> None:
    loop, ear, peer = VirtualLoop(), Ear(), _CanIsotp(0, 0)
    endpoint = IsoTpEndpoint(
        loop,
        IsoTpParams(block_size=block_size),
        lambda data, sent: peer.inbox.append(isotp.CanMessage(arbitration_id=0x7A0, data=data)),
        ear,
    )
    peer.layer.send(payload)
    for _ in range(500):
        peer.layer.process()
        while peer.outbox:
            endpoint.on_frame(bytes(peer.outbox.pop(0).data), loop.now_ns())
        if ear.messages:
            break
    assert ear.messages == [payload]
