"""ISO-TP habits: the shortest frame of a CAN FD sender, and how keys become parameters."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench.core.loop import VirtualLoop
from bench.core.records import BRS, FD
from bench.wire.can import FD_LENGTHS
from bench.wire.isotp import IsoTpAddress, IsoTpEndpoint, IsoTpParams
from bench.wire.isotp_habits import IsoTpHabits

LENGTHS = [length for length in FD_LENGTHS if length >= 8]


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


def first_frame_of(payload: bytes, params: IsoTpParams, address: IsoTpAddress | None = None) -> bytes:
    frames: list[bytes] = []
    endpoint = IsoTpEndpoint(VirtualLoop(), params, lambda data, sent: frames.append(data), Ear(), address=address)
    endpoint.send(payload, lambda _error: None)
    return frames[0]


@given(
    st.integers(1, 80),
    st.sampled_from(LENGTHS),
    st.sampled_from(LENGTHS),
    st.sampled_from([None, 0x00, 0xAA]),
    st.booleans(),
)
def test_no_frame_is_shorter_than_the_shortest_and_any_receiver_reads_it(
    length: int, tx_dl: int, shortest: int, padding: int | None, extended: bool
) -> None:
    tx_dl, shortest = max(tx_dl, shortest), min(tx_dl, shortest)
    address = IsoTpAddress.mixed(1, 2, 0x55) if extended else None
    payload = bytes(range(length))
    data = first_frame_of(payload, IsoTpParams(tx_dl=tx_dl, tx_dl_min=shortest, padding=padding), address)
    assert len(data) in FD_LENGTHS
    assert padding is None or len(data) >= shortest
    ear = Ear()
    receiver = IsoTpEndpoint(VirtualLoop(), IsoTpParams(), lambda data, sent: None, ear, address=address)
    receiver.on_frame(data, 0)
    assert ear.messages == [payload] or receiver.receiving


def test_short_message_in_a_long_frame_has_its_length_in_a_byte_of_its_own() -> None:
    """ISO 15765-2: over 8 data bytes SF_DL of the first byte is 0."""
    params = IsoTpParams(tx_dl=64, tx_dl_min=12, padding=0xAA)
    assert first_frame_of(b"\x3e\x00", params) == bytes.fromhex("00 02 3e 00") + b"\xaa" * 8


@pytest.mark.parametrize(("tx_dl", "shortest"), [(8, 12), (64, 9), (64, 7), (32, 64)])
def test_shortest_frame_that_no_frame_can_be_is_refused(tx_dl: int, shortest: int) -> None:
    with pytest.raises(ValueError, match="tx_dl_min"):
        IsoTpParams(tx_dl=tx_dl, tx_dl_min=shortest)


@pytest.mark.parametrize(
    ("keys", "flags", "padding"),
    [
        ({}, 0, 0xCC),
        ({"tx_dl": 12}, FD | BRS, 0xCC),
        ({"tx_dl": 12, "frames": "fd_without_brs"}, FD, 0xCC),
        ({"frames": "fd"}, FD | BRS, 0xCC),
        ({"padding": "none"}, 0, None),
        ({"padding": 0}, 0, 0),
    ],
)
def test_keys_are_the_flags_and_parameters_of_a_sender(
    keys: dict[str, object], flags: int, padding: int | None
) -> None:
    habits = IsoTpHabits.model_validate(keys)
    assert (habits.frame_flags, habits.params().padding, habits.fd) == (flags, padding, bool(flags))


@pytest.mark.parametrize("padding", [True, 1.5, "x", -1, 256])
def test_padding_that_is_no_byte_is_refused(padding: object) -> None:
    with pytest.raises(ValidationError, match='0 to 255, or "none"'):
        IsoTpHabits.model_validate({"padding": padding})
