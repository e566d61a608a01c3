"""Frame lengths against a slow reference that writes the bit string out (ISO 11898-1)."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.records import BRS, EXTENDED, FD, REMOTE
from bench.wire.can import MAX_BASE_ID, MAX_EXTENDED_ID, CanFrame, arbitration_key, frame_bits


def stuffable_bits(frame: CanFrame) -> str:
    """Return SOF up to the last CRC bit, as text of 0 and 1, before stuffing."""
    remote = "1" if frame.flags & REMOTE else "0"
    if frame.flags & EXTENDED:
        identifier = f"{frame.can_id:029b}"
        control = "0" + identifier[:11] + "11" + identifier[11:] + remote + "00"
    else:
        control = "0" + f"{frame.can_id:011b}" + remote + "00"
    payload = "" if frame.flags & REMOTE else "".join(f"{byte:08b}" for byte in frame.data)
    bits = control + f"{len(frame.data):04b}" + payload
    return bits + crc15(bits)


def crc15(bits: str) -> str:
    """Divide by x^15+x^14+x^10+x^8+x^7+x^4+x^3+1 as polynomials over GF(2)."""
    divisor = (1 << 15) | (1 << 14) | (1 << 10) | (1 << 8) | (1 << 7) | (1 << 4) | (1 << 3) | 1
    value = int(bits, 2) << 15
    for position in range(value.bit_length() - 1, 14, -1):
        if value >> position & 1:
            value ^= divisor << (position - 15)
    return f"{value:015b}"


def stuffed(bits: str) -> str:
    out = ""
    for bit in bits:
        out += bit
        if len(out) >= 5 and out[-5:] in ("00000", "11111") and not _broken(out):
            out += "0" if bit == "1" else "1"
    return out


def _broken(out: str) -> bool:
    return len(out) >= 6 and out[-6:] in ("000000", "111111")


def reference_bits(frame: CanFrame) -> int:
    """Stuffed part, CRC delimiter, ACK slot and delimiter, 7 EOF, 3 intermission."""
    return len(stuffed(stuffable_bits(frame))) + 1 + 2 + 7 + 3


BASE = st.builds(CanFrame, st.integers(0, MAX_BASE_ID), st.binary(max_size=8), st.just(0))
EXTENDED_FRAMES = st.builds(CanFrame, st.integers(0, MAX_EXTENDED_ID), st.binary(max_size=8), st.just(EXTENDED))
RUNNY = st.builds(  # few different bytes: long runs, many stuff bits
    CanFrame,
    st.sampled_from([0, 0x7FF, 0x7C0, 0x03F, 0x7A0]),
    st.lists(st.sampled_from([0x00, 0xFF, 0xF8, 0x07, 0xCC, 0x1F]), max_size=8).map(bytes),
    st.sampled_from([0, EXTENDED]),
)
REMOTES = st.builds(
    CanFrame, st.integers(0, MAX_BASE_ID), st.binary(max_size=8), st.sampled_from([REMOTE, REMOTE | EXTENDED])
)
ANY = BASE | EXTENDED_FRAMES | RUNNY | REMOTES


@settings(max_examples=400)
@given(ANY)
def test_frame_bits_equal_those_of_the_written_out_bit_string(frame: CanFrame) -> None:
    assert frame_bits(frame) == reference_bits(frame)


@given(st.builds(CanFrame, st.integers(0, MAX_BASE_ID), st.binary(min_size=8, max_size=8), st.just(0)))
def test_an_eight_byte_base_frame_takes_111_to_135_bits(frame: CanFrame) -> None:
    assert 111 <= frame_bits(frame) <= 135


def test_a_frame_without_stuff_bits_has_the_textbook_length() -> None:
    for seed in range(100_000):
        data = (seed * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big")
        frame = CanFrame(0x555, data)
        if stuffed(stuffable_bits(frame)) == stuffable_bits(frame):
            assert frame_bits(frame) == 111
            return
    pytest.fail("no frame without stuff bits found")


def test_an_empty_base_frame_of_all_dominant_bits_is_stuffed_after_every_fifth_bit() -> None:
    # SOF, identifier, RTR, IDE, r0, DLC and the CRC of zeros: 34 dominant bits, broken by 6 recessive stuff bits
    assert frame_bits(CanFrame(0, b"")) == 34 + 6 + 13


@given(ANY)
def test_one_bit_more_or_less_never_takes_a_frame_out_of_its_bounds(frame: CanFrame) -> None:
    payload_bits = 0 if frame.flags & REMOTE else 8 * len(frame.data)
    stuffable = (54 if frame.flags & EXTENDED else 34) + payload_bits
    assert stuffable + 13 <= frame_bits(frame) <= stuffable + (stuffable - 1) // 4 + 13


@settings(max_examples=300)
@given(ANY, ANY)
def test_arbitration_is_won_by_the_first_dominant_bit(first: CanFrame, second: CanFrame) -> None:
    def field(frame: CanFrame) -> str:
        """The bits that arbitrate, up to where the two formats can still differ."""
        bits = stuffable_bits(frame)
        return bits[:33] if frame.flags & EXTENDED else bits[:14]

    length = min(len(field(first)), len(field(second)))
    on_wire, other = field(first)[:length], field(second)[:length]
    if on_wire == other:
        assert (arbitration_key(first) == arbitration_key(second)) or len(field(first)) != len(field(second))
    else:
        assert (arbitration_key(first) < arbitration_key(second)) is (on_wire < other)


def test_order_of_formats_with_one_identifier() -> None:
    base, remote = CanFrame(0x7A0, b""), CanFrame(0x7A0, b"", REMOTE)
    extended = CanFrame(0x7A0 << 18, b"", EXTENDED)
    extended_remote = CanFrame(0x7A0 << 18, b"", EXTENDED | REMOTE)
    lower = CanFrame(0x79F, b"\xff")
    frames = [extended_remote, extended, remote, base, lower]
    assert sorted(frames, key=arbitration_key) == [lower, base, remote, extended, extended_remote]


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (CanFrame(0x800, b""), "0x800 does not fit, largest is 0x7FF"),
        (CanFrame(-1, b""), "does not fit"),
        (CanFrame(0x2000_0000, b"", EXTENDED), "largest is 0x1FFFFFFF"),
        (CanFrame(0x7A0, bytes(9)), "9 data bytes"),
        (CanFrame(0x7A0, b"", FD), "CAN FD is not carried"),
        (CanFrame(0x7A0, b"", FD | BRS), "CAN FD is not carried"),
    ],
)
def test_a_frame_no_controller_could_send_is_refused(frame: CanFrame, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        frame.checked()


@given(ANY)
def test_a_frame_a_controller_can_send_is_itself(frame: CanFrame) -> None:
    assert frame.checked() is frame
