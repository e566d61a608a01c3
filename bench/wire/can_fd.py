"""CAN FD frames: data lengths, and durations to the bit in the nominal and the data phase (ISO 11898-1:2015)."""

from __future__ import annotations

from functools import lru_cache

from bench.core.clock import NS_PER_S
from bench.core.records import BRS, EXTENDED, FD
from bench.wire.can import FD_LENGTHS, STUFF, STUFF_COUNT, STUFF_START, STUFF_STATE, CanFrame, frame_bits, stuff_bits

STUFF_COUNT_BITS = 4
"""Dynamic stuff bits modulo 8, Gray coded, and a parity bit."""
CRC17_BITS, CRC21_BITS, CRC17_MAX_BYTES = 17, 21, 16
ACK_AND_END_BITS = 2 + 7 + 3
"""ACK slot and delimiter, end of frame, intermission: nominal bit rate again."""
_DLC = {length: code for code, length in enumerate(FD_LENGTHS)}


def next_fd_length(length: int) -> int:
    """Return the smallest data length a frame can have that holds `length` bytes (ValueError over 64)."""
    for possible in FD_LENGTHS:
        if possible >= length:
            return possible
    raise ValueError(f"{length} data bytes; an FD frame carries 64")


def crc_field_bits(data_bytes: int) -> int:
    """Return the bits of stuff count and CRC with their fixed stuff bits: one in front, one after every fourth bit."""
    bits = STUFF_COUNT_BITS + (CRC17_BITS if data_bytes <= CRC17_MAX_BYTES else CRC21_BITS)
    return bits + 1 + bits // 4


def frame_phases(frame: CanFrame) -> tuple[int, int]:
    """Return the bit times of an FD frame at the nominal and at the data bit rate, intermission included.

    BRS counts as nominal and the CRC delimiter as data: the rate changes at their sample points, and what the one
    bit is shorter than that the other is longer. Without BRS everything is nominal. The value of the CRC does not
    matter: its stuff bits are fixed.
    """
    flags, data = frame.flags, frame.data
    state, nominal, fast, trailing = header(frame.can_id, len(data), flags)
    if data:
        for byte in data[:-1]:
            packed = STUFF[state | byte]
            state = packed & STUFF_STATE
            fast += packed & STUFF_COUNT
        fast += LAST_BYTE[state | data[-1]]
    else:
        fast -= trailing
    fast += crc_field_bits(len(data)) + 1
    nominal += ACK_AND_END_BITS
    return (nominal, fast) if flags & BRS else (nominal + fast, 0)


def frame_time_ns(frame: CanFrame, nominal_bit_s: int, data_bit_s: int) -> int:
    """Return how long a classic or FD frame occupies the bus, rounded down to the nanosecond."""
    if not frame.flags & FD:
        return frame_bits(frame) * NS_PER_S // nominal_bit_s
    nominal, fast = frame_phases(frame)
    return (nominal * data_bit_s + fast * nominal_bit_s) * NS_PER_S // (nominal_bit_s * data_bit_s)


@lru_cache(maxsize=65536)
def header(can_id: int, length: int, flags: int) -> tuple[int, int, int, int]:
    """Return (stuff state shifted by a byte, nominal bits, data bits, stuff bits after the last DLC bit)."""
    switch = 1 if flags & BRS else 0
    if flags & EXTENDED:  # SOF, base id, SRR, IDE, id extension, RRS, FDF, res, BRS
        word = (((can_id >> 18) << 2 | 0b11) << 18 | can_id & 0x3FFFF) << 4 | 0b0100 | switch
        width = 1 + 11 + 2 + 18 + 4
    else:  # SOF, id, RRS, IDE, FDF, res, BRS
        word, width = can_id << 5 | 0b00100 | switch, 1 + 11 + 5
    dlc = _DLC[length]
    state, stuffed = stuff_bits(STUFF_START, word, width)
    state, more = stuff_bits(state, dlc >> 1, 4)  # ESI (dominant: error active) and three bits of the DLC
    state, trailing = stuff_bits(state, dlc & 1, 1)
    return state << 8, width + stuffed, 5 + more + trailing, trailing


def _last_byte(state: int, byte: int) -> int:
    """Return the bits of the last data byte: the fixed stuff bit takes the place of one due after its last bit."""
    _, stuffed = stuff_bits(state, byte >> 1, 7)
    return 8 + stuffed


LAST_BYTE = tuple(_last_byte(state, byte) for state in range(10) for byte in range(256))
