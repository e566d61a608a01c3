"""ISO-TP against can-isotp in both directions: sizes, block sizes, STmin, padding, addressing modes, FD."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import isotp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.clock import NS_PER_MS
from bench.core.loop import VirtualLoop
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams

FRAME_NS = 230_000
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


@dataclass
class Ear:
    messages: list[bytes] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def on_start(self, length: int) -> None:
        del length

    def on_message(self, payload: bytes) -> None:
        self.messages.append(payload)

    def on_error(self, name: str) -> None:
        self.errors.append(name)


class Peer:
    """can-isotp's own state machine, fed by hand."""

    def __init__(self, address: isotp.Address, block_size: int, st_min: int, padding: int | None, tx_dl: int) -> None:
        self.inbox: list[isotp.CanMessage] = []
        self.outbox: list[isotp.CanMessage] = []
        self.layer = isotp.TransportLayerLogic(
            rxfn=lambda timeout: self.inbox.pop(0) if self.inbox else None,
            txfn=self.outbox.append,
            address=address,
            params={
                "blocksize": block_size,
                "stmin": st_min,
                "tx_padding": padding,
                "tx_data_length": tx_dl,
                "can_fd": tx_dl > 8,
                "max_frame_size": 100_000,
                "blocking_send": False,
            },
        )


CASES = {
    "length": st.integers(1, 200) | st.integers(1, 4095) | st.integers(4090, 6000),
    "block_size": st.integers(0, 40),
    "padding": st.sampled_from([None, 0x00, 0xCC]),
    "tx_dl": st.sampled_from([8, 8, 12, 16, 20, 24, 32, 48, 64]),
    "seed": st.integers(0, 255),
}


def content(length: int, seed: int) -> bytes:
    return bytes((i * 31 + seed ^ i >> 8) & 0xFF for i in range(length))


def message(address: IsoTpAddress, data: bytes, tx_dl: int) -> isotp.CanMessage:
    return isotp.CanMessage(
        arbitration_id=address.tx_id, data=data, extended_id=address.id_29_bit, is_fd=tx_dl > 8, dlc=len(data)
    )


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None)
@given(st_min=st.sampled_from([0, 1, 20, 0xF1, 0xF9]), **CASES)
def test_can_isotp_receives_what_we_send(
    mode: str, length: int, block_size: int, st_min: int, padding: int | None, tx_dl: int, seed: int
) -> None:
    address, theirs = MODES[mode]
    loop, ear, peer = VirtualLoop(), Ear(), Peer(theirs, block_size, st_min, padding, tx_dl)

    def transmit(data: bytes, sent: Callable[[int], None]) -> None:
        def carry() -> None:
            peer.inbox.append(message(address, data, tx_dl))
            peer.layer.process()
            sent(loop.now_ns())
            while peer.outbox:
                endpoint.on_frame(bytes(peer.outbox.pop(0).data), loop.now_ns())

        loop.call_at_ns(loop.now_ns() + FRAME_NS, carry)

    params = IsoTpParams(padding=padding, tx_dl=tx_dl, max_length=100_000)
    endpoint = IsoTpEndpoint(loop, params, transmit, ear, address=address)
    outcomes: list[str | None] = []
    payload = content(length, seed)
    endpoint.send(payload, outcomes.append)
    loop.run(loop.sleep_ns(60_000 * NS_PER_MS))
    assert outcomes == [None]
    assert peer.layer.recv() == bytearray(payload)


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25, deadline=None)
@given(st_min=st.sampled_from([0, 0, 0xF1]), **CASES)
def test_we_receive_what_can_isotp_sends(
    mode: str, length: int, block_size: int, st_min: int, padding: int | None, tx_dl: int, seed: int
) -> None:
    address, theirs = MODES[mode]
    loop, ear, peer = VirtualLoop(), Ear(), Peer(theirs, 0, 0, padding, tx_dl)

    def transmit(data: bytes, sent: Callable[[int], None]) -> None:
        peer.inbox.append(message(address, data, tx_dl))
        sent(loop.now_ns())

    params = IsoTpParams(block_size=block_size, st_min=st_min, padding=padding, tx_dl=tx_dl, max_length=100_000)
    endpoint = IsoTpEndpoint(loop, params, transmit, ear, address=address)
    payload = content(length, seed)
    peer.layer.send(payload)
    for _ in range(1_000_000):
        peer.layer.process()
        while peer.outbox:
            sent = peer.outbox.pop(0)
            assert (sent.arbitration_id, sent.is_extended_id) == (address.rx_id, address.id_29_bit)
            endpoint.on_frame(bytes(sent.data), loop.now_ns())
        if ear.messages or ear.errors:
            break
    assert (ear.messages, ear.errors) == ([payload], [])
