"""Where the judge's reassembly meets the program's ISO-TP: what one sends, the other reads, whatever the address."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.loop import VirtualLoop
from bench.core.records import EXTENDED, FD, CanAddress, FrameRecord
from bench.oracle.decode_isotp import heard, messages, split
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams
from bench.wire.outcome import OutcomeCallback, sent_on_wire

ADDRESSES = {
    "normal": IsoTpAddress.normal(0x7A0, 0x7A8),
    "normal_29": IsoTpAddress.normal(0x7A0, 0x7A8, id_29_bit=True),
    "normal_fixed": IsoTpAddress.normal_fixed(0xF1, 0x21),
    "extended": IsoTpAddress.extended(0x6F1, 0x640, 0xF1, 0x40),
    "mixed": IsoTpAddress.mixed(0x7A0, 0x7A8, 0x00),
    "mixed_29": IsoTpAddress.mixed_fixed(0xF1, 0x21, 0x10),
}


class Ear:
    """Keeps what arrives."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []

    def on_start(self, length: int) -> None:
        del length

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_error(self, name: str) -> None:
        pytest.fail(name)


def mirrored(address: IsoTpAddress) -> IsoTpAddress:
    return IsoTpAddress(
        mode=address.mode, tx_id=address.rx_id, rx_id=address.tx_id, tx_extension=address.rx_extension,
        rx_extension=address.tx_extension, id_29_bit=address.id_29_bit,
    )  # fmt: skip


def trace_of(payload: bytes, address: IsoTpAddress, params: IsoTpParams) -> tuple[list[FrameRecord], list[bytes]]:
    """Return the frames of a message that crossed a wire of 200 µs a frame, flow control too, and what arrived."""
    loop, ear = VirtualLoop(), Ear()
    trace: list[FrameRecord] = []
    ends: dict[str, IsoTpEndpoint] = {}

    def wire(name: str, other: str, side: IsoTpAddress) -> Callable[[bytes, OutcomeCallback], None]:
        def transmit(data: bytes, sent: OutcomeCallback) -> None:
            def carry() -> None:
                flags = side.flags | (FD if params.tx_dl > 8 else 0)
                trace.append(FrameRecord(loop.now_ns(), "can0", name, side.tx_id, flags, data))
                sent(sent_on_wire(loop.now_ns()))
                ends[other].on_frame(data, loop.now_ns())

            loop.call_at_ns(loop.now_ns() + 200_000, carry)

        return transmit

    for name, other, side in (("agent", "ecu", address), ("ecu", "agent", mirrored(address))):
        ends[name] = IsoTpEndpoint(loop, params, wire(name, other, side), ear, address=side)
    ends["agent"].send(payload, lambda _error: None)
    loop.run(loop.sleep_ns(10_000_000_000))
    return trace, ear.messages


@pytest.mark.parametrize("name", ADDRESSES)
@settings(max_examples=40, deadline=None)
@given(
    length=st.integers(1, 130) | st.sampled_from([4094, 4095, 4096, 9000]),
    padding=st.sampled_from([None, 0x00, 0xCC]),
    lengths=st.sampled_from([(8, 8), (12, 8), (64, 8), (64, 12), (64, 64)]),
    block_size=st.sampled_from([0, 1, 7]),
)
def test_the_judge_reads_what_arrived(
    name: str, length: int, padding: int | None, lengths: tuple[int, int], block_size: int
) -> None:
    address, payload = ADDRESSES[name], bytes(i * 7 & 0xFF for i in range(length))
    params = IsoTpParams(
        padding=padding, tx_dl=lengths[0], tx_dl_min=lengths[1], block_size=block_size, max_length=10_000
    )
    trace, arrived = trace_of(payload, address, params)
    place = CanAddress(address.tx_id, address.id_29_bit, address.tx_extension)
    found = messages(split(trace), "can0", place)
    assert arrived == [payload]
    assert [(m.payload, m.complete, m.sender) for m in found] == [(payload, True, "agent")]
    back = CanAddress(address.rx_id, address.id_29_bit, address.rx_extension)
    assert messages(split(trace), "can0", back) == (), "flow control is no message"


def test_the_judge_tells_connections_behind_one_identifier_apart_by_their_address_byte() -> None:
    texts = {"can0": ["41 02 3e 00", "42 10 0a 22 01 02 03 04", "41 01 10"]}
    trace = [
        FrameRecord(n, channel, "agent", 0x7A0, 0, bytes.fromhex(text))
        for channel, frames in texts.items()
        for n, text in enumerate(frames)
    ]
    trace.append(FrameRecord(9, "can0", "agent", 0x7A0, EXTENDED, bytes.fromhex("41 01 11")))
    bus = split(trace)
    assert [m.payload.hex() for m in messages(bus, "can0", CanAddress(0x7A0, extension=0x41))] == ["3e00", "10"]
    assert len(heard(bus, "can0", CanAddress(0x7A0, extension=0x42))) == 1
    assert messages(bus, "can0", CanAddress(0x7A0, extension=0x43)) == ()
    wide = CanAddress(0x7A0, id_29_bit=True, extension=0x41)
    assert [m.payload.hex() for m in messages(bus, "can0", wide)] == ["11"]


@pytest.mark.parametrize("data", ["0505f18900cccccccccccccc", "000022f189cccccccccccccc"])
def test_long_single_frame_without_escape_or_with_length_zero_is_skipped(data: str) -> None:
    trace = [FrameRecord(1, "can0", "agent", 0x7A0, FD, bytes.fromhex(data))]
    assert messages(split(trace), "can0", CanAddress(0x7A0)) == ()


def test_address_byte_counts_towards_the_length_of_the_frame() -> None:
    """Seven data bytes and the address byte: a first frame. Eight data bytes behind one: the escape form is due."""
    first = FrameRecord(1, "can0", "agent", 0x6F1, 0, bytes.fromhex("40 1008 2201020304"))
    assert len(messages(split([first]), "can0", CanAddress(0x6F1, extension=0x40))) == 1
    long = FrameRecord(1, "can0", "agent", 0x6F1, FD, bytes.fromhex("40 0009 112233445566778899"))
    found = messages(split([long]), "can0", CanAddress(0x6F1, extension=0x40))
    assert [m.payload.hex() for m in found] == ["112233445566778899"]
