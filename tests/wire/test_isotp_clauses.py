"""ISO-TP: a test for each line of the checklist that FD, addressing, the receiver's timers and N_WFTmax add."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.core.records import EXTENDED
from bench.wire.can import CanFrame
from bench.wire.isotp import LONGEST, AddressingMode, IsoTpAddress, IsoTpEndpoint, IsoTpError, IsoTpParams
from bench.wire.outcome import OutcomeCallback, sent_on_wire

FRAME_NS = 230_000
FD_DL = (8, 12, 16, 20, 24, 32, 48, 64)
FLOW_ON = bytes.fromhex("300000")
EXTENSION = IsoTpAddress.extended(0x6F1, 0x633, source=0xF1, target=0x33)


@dataclass
class Bench:
    """One endpoint; what it sends is kept with the time, and confirmed at once while `confirms`."""

    params: IsoTpParams = field(default_factory=IsoTpParams)
    address: IsoTpAddress | None = None
    confirms: bool = True
    loop: VirtualLoop = field(default_factory=VirtualLoop)
    sent: list[bytes] = field(default_factory=list)
    sent_at_ms: list[float] = field(default_factory=list)
    events: list[int | bytes | str] = field(default_factory=list)
    outcomes: list[str | None] = field(default_factory=list)
    aborted: int = 0

    def __post_init__(self) -> None:
        self.endpoint = IsoTpEndpoint(
            self.loop, self.params, self._transmit, self, abort=self._abort, address=self.address
        )

    def _abort(self) -> None:
        self.aborted += 1

    def _transmit(self, data: bytes, sent: OutcomeCallback) -> None:
        self.sent.append(data)
        self.sent_at_ms.append(self.loop.now_ns() / NS_PER_MS)
        if self.confirms:
            self.loop.call_at_ns(self.loop.now_ns() + FRAME_NS, lambda: sent(sent_on_wire(self.loop.now_ns())))

    def on_start(self, length: int) -> None:
        self.events.append(length)

    def on_message(self, payload: bytes) -> None:
        self.events.append(payload)

    def on_error(self, name: str) -> None:
        self.events.append(name)

    def send(self, payload: bytes) -> None:
        self.endpoint.send(payload, self.outcomes.append)
        self.run(1)

    def hear(self, *frames: bytes | str) -> None:
        for data in frames:
            self.endpoint.on_frame(bytes.fromhex(data) if isinstance(data, str) else data, self.loop.now_ns())

    def run(self, run_ms: int) -> None:
        self.loop.run(self.loop.sleep_ns(run_ms * NS_PER_MS))


def consecutive(number: int, payload: bytes) -> bytes:
    return bytes((0x20 | number & 0xF,)) + payload


# Single frame -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "head", "can_dl"), [(7, "07", 8), (8, "0008", 12), (10, "000A", 12), (11, "000B", 16), (62, "003E", 64)]
)
def test_sf_over_8_bytes_has_an_escape_length_and_the_next_data_length(length: int, head: str, can_dl: int) -> None:
    bench = Bench(IsoTpParams(tx_dl=64, padding=0x55))
    bench.send(b"\xaa" * length)
    assert bench.sent == [(bytes.fromhex(head) + b"\xaa" * length).ljust(can_dl, b"\x55")]
    assert bench.outcomes == [None]


def test_sf_with_escape_is_received_with_its_padding_cut_off() -> None:
    bench = Bench()
    bench.hear(bytes((0, 9)) + bytes(range(9)) + b"\xcc")
    assert bench.events == [9, bytes(range(9))]


@pytest.mark.parametrize(
    "data",
    [b"\x00\x00" + bytes(10), b"\x00\x0b" + bytes(10), b"\x05\x03" + bytes(10), b"\x00\x02\x3e\x00" + bytes(4)],
    ids=["SF_DL 0", "SF_DL too large", "CAN_DL over 8 without escape", "escape in 8 bytes"],
)
def test_sf_dl_0_or_too_large_for_the_frame_is_ignored(data: bytes) -> None:
    bench = Bench()
    bench.hear(data)
    assert bench.events == []


def test_fd_frame_without_configured_padding_is_still_padded_to_a_data_length() -> None:
    bench = Bench(IsoTpParams(tx_dl=64, padding=None))
    bench.send(bytes(9))
    assert bench.sent == [bytes((0, 9)) + bytes(9) + b"\xcc"]


# First frame ------------------------------------------------------------------------------------------


def test_ff_counts_4095_bytes_in_12_bits_and_4096_in_32_bits() -> None:
    heads = []
    for length in (4095, 4096):
        bench = Bench(IsoTpParams(max_length=LONGEST))
        bench.send(bytes(length))
        heads.append(bench.sent[0])
    assert heads == [bytes.fromhex("1FFF000000000000"), bytes.fromhex("1000000010000000")]


def test_ff_escape_that_12_bits_could_count_is_ignored() -> None:
    bench = Bench(IsoTpParams(max_length=LONGEST))
    bench.hear("100000000FFF0102")
    assert (bench.events, bench.sent) == ([], [])


def test_ff_of_4_gib_is_refused_by_the_buffer_with_fc_ovflw() -> None:
    bench = Bench(IsoTpParams(max_length=LONGEST, buffer_bytes=5000))
    bench.hear("1000FFFFFFFF0102", "1000000013890102")
    assert (bench.events, [data[0] for data in bench.sent]) == ([], [0x32, 0x32])
    bench.hear("1000000013880102")
    assert (bench.events, bench.sent[2][0]) == ([5000], 0x30)


@pytest.mark.parametrize("rx_dl", FD_DL)
@pytest.mark.parametrize("address", [None, EXTENSION])
def test_ff_dl_that_a_single_frame_would_carry_is_ignored(rx_dl: int, address: IsoTpAddress | None) -> None:
    prefix = b"" if address is None else b"\xf1"
    largest_single = rx_dl - len(prefix) - (1 if rx_dl == 8 else 2)
    for length, events in ((largest_single, []), (largest_single + 1, [largest_single + 1])):
        bench = Bench(address=address)
        bench.hear((prefix + bytes((0x10, length))).ljust(rx_dl, b"\x00"))
        assert bench.events == events


@pytest.mark.parametrize("rx_dl", FD_DL)
def test_rx_dl_is_learnt_from_the_ff_and_only_the_last_cf_may_be_shorter(rx_dl: int) -> None:
    payload = bytes(i & 0xFF for i in range(rx_dl - 2 + rx_dl - 1 + 3))
    first, rest = payload[: rx_dl - 2], payload[rx_dl - 2 :]
    bench = Bench()
    bench.hear(bytes((0x10, len(payload))) + first)
    bench.hear(consecutive(1, rest[: rx_dl - 2]))  # shorter than RX_DL: ignored
    bench.hear(consecutive(1, rest[: rx_dl - 1] + b"\x00"))  # longer than RX_DL: ignored
    bench.hear(consecutive(1, rest[: rx_dl - 1]), consecutive(2, rest[rx_dl - 1 :]))
    assert bench.events == [len(payload), payload]


@settings(max_examples=60, deadline=None)
@given(tx_dl=st.sampled_from(FD_DL), length=st.integers(1, 5000), extension=st.booleans())
def test_tx_dl_fills_every_frame_but_the_last(tx_dl: int, length: int, extension: bool) -> None:
    address = EXTENSION if extension else IsoTpAddress.normal(0x7A0, 0x7A8)
    bench = Bench(IsoTpParams(tx_dl=tx_dl, max_length=5000), address)
    payload = bytes(i * 7 & 0xFF for i in range(length))
    bench.send(payload)
    back = b"" if address.rx_extension is None else bytes((address.rx_extension,))
    bench.hear(back + FLOW_ON)
    bench.run(2_000)
    assert bench.outcomes == [None]
    assert {len(data) for data in bench.sent[:-1]} <= {tx_dl}
    assert len(bench.sent[-1]) in FD_DL
    assert all(data.startswith(address.prefix) for data in bench.sent)
    if length <= address.single_bytes(tx_dl):
        assert len(bench.sent) == 1
    else:
        room = tx_dl - len(address.prefix)
        rest = length - (room - (2 if length <= 4095 else 6))
        assert len(bench.sent) == 1 - -rest // (room - 1)


# Addressing -------------------------------------------------------------------------------------------


def test_normal_fixed_has_target_and_source_in_0x18da_and_0x18db() -> None:
    address = IsoTpAddress.normal_fixed(0xF1, 0x33)
    assert (address.tx_id, address.rx_id, address.flags) == (0x18DA33F1, 0x18DAF133, EXTENDED)
    assert IsoTpAddress.normal_fixed(0xF1, 0x33, functional=True).tx_id == 0x18DB33F1
    assert address.prefix == b""


def test_mixed_29_bit_has_0x18ce_and_0x18cd_and_the_extension_in_front() -> None:
    address = IsoTpAddress.mixed_fixed(0xF1, 0x33, 0x99)
    assert (address.tx_id, address.rx_id, address.prefix) == (0x18CE33F1, 0x18CEF133, b"\x99")
    assert IsoTpAddress.mixed_fixed(0xF1, 0x33, 0x99, functional=True).tx_id == 0x18CD33F1


def test_extended_sends_the_target_and_expects_the_source_in_front() -> None:
    bench = Bench(address=EXTENSION)
    bench.send(b"\x3e\x00")
    bench.hear("F1027E00", "33027E01", "F1", "")
    assert bench.sent == [bytes.fromhex("33023E00CCCCCCCC")]
    assert bench.events == [2, b"\x7e\x00"]


def test_flow_control_carries_the_address_extension_too() -> None:
    bench = Bench(address=IsoTpAddress.mixed(0x7A0, 0x7A8, 0x99))
    bench.hear("9910140102030405")
    assert bench.sent == [bytes.fromhex("99300000CCCCCCCC")]


@pytest.mark.parametrize(
    ("frame", "accepted"),
    [
        (CanFrame(0x633, b"\xf1\x01"), True),
        (CanFrame(0x633, b"\x10\x01"), False),
        (CanFrame(0x633, b""), False),
        (CanFrame(0x634, b"\xf1\x01"), False),
        (CanFrame(0x633, b"\xf1\x01", EXTENDED), False),
    ],
)
def test_address_accepts_its_identifier_format_and_extension_only(frame: CanFrame, accepted: bool) -> None:
    assert EXTENSION.accepts(frame) is accepted


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: IsoTpAddress.normal(0x800, 0x7A8), "0x800 does not fit"),
        (lambda: IsoTpAddress.normal_fixed(0x100, 0x33), "0x100 does not fit a byte"),
        (lambda: IsoTpAddress.mixed(0x7A0, 0x7A8, 256), "does not fit a byte"),
        (lambda: IsoTpAddress(mode=AddressingMode.MIXED, tx_id=1, rx_id=2), "mixed addressing needs"),
        (
            lambda: IsoTpAddress(mode=AddressingMode.NORMAL, tx_id=1, rx_id=2, tx_extension=3),
            "normal addressing has no",
        ),
        (lambda: IsoTpParams(tx_dl=9), "tx_dl 9"),
        (lambda: IsoTpParams(tx_dl=7), "tx_dl 7"),
        (lambda: IsoTpParams(max_length=LONGEST + 1), "max_length"),
        (lambda: IsoTpParams(padding=256), "padding 256"),
    ],
)
def test_impossible_address_or_parameter_is_refused(make: Callable[[], object], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        make()


# Timers and errors ------------------------------------------------------------------------------------


def test_n_ar_flow_control_that_is_never_sent_ends_the_reception_with_n_timeout_a() -> None:
    bench = Bench(IsoTpParams(n_ar_ms=40), confirms=False)
    bench.hear("1014010203040506")
    bench.run(39)
    assert bench.events == [20]
    bench.run(2)
    assert (bench.events, bench.aborted) == ([20, "N_TIMEOUT_A"], 1)


def test_n_br_delays_the_flow_control() -> None:
    bench = Bench(IsoTpParams(n_br_ms=30))
    bench.hear("1014010203040506")
    bench.run(100)
    assert bench.sent_at_ms == [30]


def test_n_br_of_an_interrupted_reception_sends_no_flow_control() -> None:
    bench = Bench(IsoTpParams(n_br_ms=30))
    bench.hear("1014010203040506", "023E00")
    bench.run(100)
    assert bench.sent == []


def test_n_cs_delays_every_consecutive_frame_more_than_st_min() -> None:
    bench = Bench(IsoTpParams(n_cs_ms=5))
    bench.send(bytes(20))
    bench.hear("300002")
    bench.run(100)
    assert bench.sent_at_ms[1:] == [6, 11.23]
    assert bench.outcomes == [None]


def test_n_cr_runs_from_the_end_of_the_flow_control() -> None:
    bench = Bench(IsoTpParams(n_cr_ms=50, n_br_ms=100))
    bench.hear("1014010203040506")
    bench.run(149)
    assert bench.events == [20]
    bench.run(2)
    assert bench.events == [20, "N_TIMEOUT_Cr"]


def test_n_wftmax_receiver_that_is_not_ready_sends_wait_and_then_gives_up_with_n_wft_ovrn() -> None:
    bench = Bench(IsoTpParams(wait_frames_max=3, wait_interval_ms=10, n_cr_ms=5))
    bench.endpoint.hold(held=True)
    bench.hear("1014010203040506")
    bench.run(29)
    assert ([data[0] for data in bench.sent], bench.events) == ([0x31] * 3, [20])
    bench.run(2)
    assert bench.events == [20, "N_WFT_OVRN"]
    assert len(bench.sent) == 3


def test_receiver_that_becomes_ready_in_time_lets_the_sender_go_on() -> None:
    bench = Bench(IsoTpParams(wait_frames_max=3, wait_interval_ms=10))
    bench.endpoint.hold(held=True)
    bench.hear("1014010203040506")
    bench.run(15)
    bench.endpoint.hold(held=False)
    bench.run(10)
    bench.hear(consecutive(1, bytes(7)), consecutive(2, bytes(7)))
    assert [data[0] for data in bench.sent] == [0x31, 0x31, 0x30]
    assert bench.events == [20, bytes(range(1, 7)) + bytes(14)]


def test_n_error_ends_both_directions_when_the_data_link_fails() -> None:
    bench = Bench()
    bench.send(bytes(20))
    bench.hear("1014010203040506")
    bench.endpoint.fail()
    assert (bench.outcomes, bench.events) == (["N_ERROR"], [20, "N_ERROR"])
    assert not bench.endpoint.sending
    assert not bench.endpoint.receiving


def test_n_error_of_an_idle_link_is_silent() -> None:
    bench = Bench()
    bench.endpoint.fail()
    assert (bench.outcomes, bench.events) == ([], [])


def test_every_n_result_of_the_checklist_has_its_name() -> None:
    assert {error.value for error in IsoTpError} == {
        "N_TIMEOUT_A",
        "N_TIMEOUT_Bs",
        "N_TIMEOUT_Cr",
        "N_WRONG_SN",
        "N_INVALID_FS",
        "N_UNEXP_PDU",
        "N_WFT_OVRN",
        "N_BUFFER_OVFLW",
        "N_ERROR",
    }


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from((*range(9), *FD_DL)).flatmap(lambda n: st.binary(min_size=n, max_size=n)), max_size=30))
def test_random_fd_frames_never_raise_and_never_block_the_link(frames: list[bytes]) -> None:
    bench = Bench(IsoTpParams(tx_dl=64, max_length=LONGEST, buffer_bytes=10_000))
    bench.hear(*frames)
    bench.run(3_000)
    assert not bench.endpoint.receiving
    before = len(bench.events)
    bench.hear("023E00")
    assert bench.events[before:] == [2, b"\x3e\x00"]
