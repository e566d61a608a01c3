"""Frames as bits, and error flags computed from them: counted by hand from ISO 11898-1 (from memory)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.core.records import EXTENDED, REMOTE
from bench.wire.can import CanFrame, frame_bits
from bench.wire.can_wire import flag_bits, stuffed_bits, wire_bits

INTERMISSION = 3
frames = st.one_of(
    st.builds(CanFrame, st.integers(0, 0x7FF), st.binary(max_size=8), st.just(0)),
    st.builds(CanFrame, st.integers(0, 0x1FFF_FFFF), st.binary(max_size=8), st.just(EXTENDED)),
    st.builds(CanFrame, st.integers(0, 0x7FF), st.binary(max_size=8), st.just(REMOTE)),
)
ZEROS = CanFrame(0x000, b"")
"""SOF and four zeros, a stuff bit, five zeros, ..."""
MIXED = CanFrame(0x555, b"\x55")
"""Identifier 101 0101 0101: no two equal bits in a row up to RTR."""


@given(frames)
def test_bits_of_a_frame_are_as_many_as_its_duration_counts(frame: CanFrame) -> None:
    assert len(wire_bits(frame)) + INTERMISSION == frame_bits(frame)
    bits = "".join(map(str, stuffed_bits(frame)))
    assert "000000" not in bits
    assert "111111" not in bits


def test_first_bits_of_a_frame_of_zeros() -> None:
    assert stuffed_bits(ZEROS)[:13] == (0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0)


@pytest.mark.parametrize(
    ("frame", "at_bit", "on_the_bus", "flags"),
    [
        # bits 0..4 are dominant, 5 the stuff bit; destroyed it is the sixth dominant bit: an error to all at once
        (ZEROS, 5, True, 6),
        # five dominant bits stand before the flag of a receiver that saw bit 4 wrong: its first bit is the sixth
        (ZEROS, 4, False, 7),
        (ZEROS, 3, False, 8),
        (ZEROS, 0, False, 11),
        # the recessive stuff bit ends the run: all six bits of the flag are needed
        (ZEROS, 5, False, 12),
        # 0 1 0 1 0 1 ...: bit 1 made dominant is the second of its kind, four more make six
        (MIXED, 1, True, 10),
        (MIXED, 1, False, 12),
        (MIXED, 2, False, 11),
        # bit 2 made recessive: bits 1 to 3 would be, but the flag follows
        (MIXED, 2, True, 12),
        # a dominant bit in the end of frame is an error to all at once
        (MIXED, len(wire_bits(MIXED)) - 4, True, 6),
        # some saw it dominant: their flag breaks the form for the others with its first bit
        (MIXED, len(wire_bits(MIXED)) - 4, False, 7),
        # the CRC delimiter made dominant is an error at once
        (MIXED, len(stuffed_bits(MIXED)), True, 6),
        # a flag that begins in the ACK slot is no error there: the ACK delimiter is
        (MIXED, len(stuffed_bits(MIXED)), False, 8),
    ],
)
def test_flags_overlap_as_the_bits_before_them_have_it(
    frame: CanFrame, at_bit: int, on_the_bus: bool, flags: int
) -> None:
    assert flag_bits(frame, at_bit, on_the_bus=on_the_bus) == flags


@pytest.mark.parametrize(
    ("at_bit", "flags"),
    [(2, 10), (1, 12), (len(wire_bits(MIXED)) - 4, 6)],
)
def test_flag_of_a_passive_transmitter_is_seen_as_six_recessive_bits(at_bit: int, flags: int) -> None:
    """0 1 0 1: bit 2 made recessive is the second of its kind; of bit 1, made dominant, all six are needed."""
    assert flag_bits(MIXED, at_bit, on_the_bus=True, passive=True) == flags


@given(frames, st.data(), st.booleans())
def test_flags_last_6_to_12_bits(frame: CanFrame, data: st.DataObject, on_the_bus: bool) -> None:
    at_bit = data.draw(st.integers(0, frame_bits(frame) - 1))
    assert 6 <= flag_bits(frame, at_bit, on_the_bus=on_the_bus) <= 12
