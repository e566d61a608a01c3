"""CAN FD: lengths, refusals and durations against a slow reference that writes the bit string out (ISO 11898-1)."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.records import BRS, EXTENDED, FD, REMOTE
from bench.wire.can import MAX_BASE_ID, MAX_EXTENDED_ID, CanFrame, frame_bits
from bench.wire.can_fd import crc_field_bits, frame_phases, frame_time_ns, next_fd_length

DLC = {**{n: n for n in range(9)}, 12: 9, 16: 10, 20: 11, 24: 12, 32: 13, 48: 14, 64: 15}


def written_out(frame: CanFrame) -> tuple[str, str]:
    """Return the whole frame as it stands on the wire: the bits up to BRS with BRS, and the rest."""
    brs = "1" if frame.flags & BRS else "0"
    if frame.flags & EXTENDED:
        identifier = f"{frame.can_id:029b}"
        arbitration = "0" + identifier[:11] + "11" + identifier[11:] + "0"
    else:
        arbitration = "0" + f"{frame.can_id:011b}" + "0" + "0"
    slow = arbitration + "10" + brs
    plain = slow + "0" + f"{DLC[len(frame.data)]:04b}" + "".join(f"{byte:08b}" for byte in frame.data)
    out, switch_at, inserted = "", 0, 0
    run = ""
    for number, bit in enumerate(plain, 1):
        out += bit
        run = run + bit if run and run[-1] == bit else bit
        if number == len(slow):
            switch_at = len(out)
        if len(run) == 5 and number < len(plain):
            run = "1" if bit == "0" else "0"
            out += run
            inserted += 1
    return out[:switch_at], out[switch_at:] + crc_field(out, inserted, len(frame.data)) + "1" + "01" + "1" * 10


def crc_field(stuffed: str, inserted: int, length: int) -> str:
    """Stuff count and CRC over everything before (stuff bits included) with the fixed stuff bits."""
    gray = (inserted % 8) ^ (inserted % 8) >> 1
    count = f"{gray:03b}"
    count += str(count.count("1") % 2)
    width, divisor = (17, 0x3685B) if length <= 16 else (21, 0x302899)
    register = 1 << (width - 1)
    for bit in stuffed + count:
        top = register >> (width - 1) & 1
        register = register << 1 & (1 << width) - 1
        if top ^ int(bit):
            register ^= divisor & (1 << width) - 1
    plain, out, last = count + f"{register:0{width}b}", "", stuffed[-1]
    for number, bit in enumerate(plain):
        if number % 4 == 0:
            out += "0" if last == "1" else "1"
        out += bit
        last = bit
    return out


LENGTHS = st.sampled_from(sorted(DLC))
PAYLOADS = LENGTHS.flatmap(
    lambda n: (
        st.binary(min_size=n, max_size=n)
        | st.lists(st.sampled_from([0x00, 0xFF, 0xF8, 0x07, 0xE0, 0x1F]), min_size=n, max_size=n).map(bytes)
    )
)
FRAMES = st.builds(CanFrame, st.integers(0, MAX_BASE_ID), PAYLOADS, st.sampled_from([FD, FD | BRS])) | st.builds(
    CanFrame,
    st.integers(0, MAX_EXTENDED_ID) | st.sampled_from([0, MAX_EXTENDED_ID, 0x18DA00F1]),
    PAYLOADS,
    st.sampled_from([FD | EXTENDED, FD | BRS | EXTENDED]),
)
RATES = st.sampled_from([125_000, 250_000, 500_000, 1_000_000])
FAST = st.sampled_from([1_000_000, 2_000_000, 4_000_000, 5_000_000, 8_000_000])


@settings(max_examples=400, deadline=None)
@given(FRAMES)
def test_frame_phases_equal_those_of_the_written_out_bit_string(frame: CanFrame) -> None:
    slow, fast = written_out(frame)
    ends = len("01" + "1" * 10)
    if frame.flags & BRS:
        assert frame_phases(frame) == (len(slow) + ends, len(fast) - ends)
    else:
        assert frame_phases(frame) == (len(slow) + len(fast), 0)


@settings(max_examples=200, deadline=None)
@given(FRAMES, RATES, FAST)
def test_frame_time_is_the_sum_of_both_phases_rounded_down(frame: CanFrame, nominal: int, data: int) -> None:
    slow_bits, fast_bits = frame_phases(frame)
    exact = (Fraction(slow_bits, nominal) + Fraction(fast_bits, data)) * 1_000_000_000
    assert frame_time_ns(frame, nominal, data) == exact.numerator // exact.denominator


@given(st.integers(0, MAX_BASE_ID), st.binary(max_size=8), st.sampled_from([0, EXTENDED]))
def test_classic_frame_on_an_fd_bus_takes_its_bits_at_the_nominal_rate(can_id: int, data: bytes, flags: int) -> None:
    frame = CanFrame(can_id, data, flags)
    assert frame_time_ns(frame, 500_000, 2_000_000) == frame_bits(frame) * 2_000


@pytest.mark.parametrize(("length", "bits"), [(0, 27), (16, 27), (20, 32), (64, 32)])
def test_crc_field_has_stuff_count_crc_and_a_fixed_stuff_bit_before_every_fourth_bit(length: int, bits: int) -> None:
    assert crc_field_bits(length) == bits


def test_empty_frame_ends_its_dlc_with_five_dominant_bits_and_gets_no_stuff_bit_but_the_fixed_one() -> None:
    # 0x555: no stuff bit before BRS; ESI and DLC are 00000; nominal 17 + 12, data 5 + 27 + CRC delimiter
    assert frame_phases(CanFrame(0x555, b"", FD | BRS)) == (29, 33)


def test_without_bit_rate_switch_every_bit_is_nominal() -> None:
    frame = CanFrame(0x555, bytes.fromhex("55" * 12), FD)
    nominal, fast = frame_phases(frame)
    assert fast == 0
    assert frame_time_ns(frame, 500_000, 8_000_000) == nominal * 2_000


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (CanFrame(0x7A0, bytes(9), FD), "9 data bytes; an FD frame"),
        (CanFrame(0x7A0, bytes(65), FD), "65 data bytes"),
        (CanFrame(0x7A0, b"", FD | REMOTE), "no remote frames"),
        (CanFrame(0x7A0, b"", BRS), "cannot switch the bit rate"),
        (CanFrame(0x7A0, bytes(12)), "a classic frame carries 8"),
        (CanFrame(0x800, bytes(12), FD), "does not fit"),
    ],
)
def test_a_frame_no_fd_controller_could_send_is_refused(frame: CanFrame, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        frame.checked(fd=True)


@given(FRAMES)
def test_a_frame_an_fd_controller_can_send_is_itself(frame: CanFrame) -> None:
    assert frame.checked(fd=True) is frame


def test_classic_bit_count_refuses_an_fd_frame() -> None:
    with pytest.raises(ValueError, match="two phases"):
        frame_bits(CanFrame(0x7A0, bytes(12), FD))


@given(st.integers(0, 64))
def test_next_fd_length_is_the_smallest_that_holds_the_bytes(length: int) -> None:
    assert next_fd_length(length) == min(n for n in DLC if n >= length)


def test_more_than_64_bytes_fit_no_frame() -> None:
    with pytest.raises(ValueError, match="65 data bytes"):
        next_fd_length(65)
