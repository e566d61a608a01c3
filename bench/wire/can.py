"""CAN frames and how long they take on the wire, to the bit (ISO 11898-1)."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from bench.core.records import BRS, EXTENDED, FD, REMOTE

MAX_BASE_ID, MAX_EXTENDED_ID = 0x7FF, 0x1FFF_FFFF
TAIL_BITS = 13
"""CRC delimiter 1, ACK slot and delimiter 2, end of frame 7, intermission 3: never stuffed."""
UNSTUFFED_BITS = 1 + 11 + 3 + 4 + 15 + TAIL_BITS
"""What a classic frame takes at least beside its data: SOF, identifier, RTR, IDE, r0, length, CRC, tail."""
CRC15_POLYNOMIAL = 0x4599
ERROR_FRAME_BITS = 6 + 8 + 3
"""Active error flag, error delimiter, intermission."""


FD_LENGTHS: tuple[int, ...] = (*range(9), 12, 16, 20, 24, 32, 48, 64)
"""What the sixteen data length codes mean in an FD frame."""


class CanFrame(NamedTuple):
    """A CAN frame, classic or FD (`flags`: EXTENDED, FD, BRS, REMOTE of `bench.core.records`)."""

    can_id: int
    data: bytes
    flags: int = 0

    def checked(self, *, fd: bool = False) -> CanFrame:
        """Return the frame itself; ValueError when no controller could send it on a classic bus, or an `fd` bus."""
        limit = MAX_EXTENDED_ID if self.flags & EXTENDED else MAX_BASE_ID
        if not 0 <= self.can_id <= limit:
            raise ValueError(f"identifier 0x{self.can_id:X} does not fit, largest is 0x{limit:X}")
        if self.flags & (FD | BRS):
            self._check_fd(fd)
        elif len(self.data) > 8:
            raise ValueError(f"{len(self.data)} data bytes; a classic frame carries 8")
        return self

    def _check_fd(self, fd: bool) -> None:
        if not fd:
            raise ValueError("CAN FD is not carried by this bus")
        if not self.flags & FD:
            raise ValueError("a classic frame cannot switch the bit rate")
        if self.flags & REMOTE:
            raise ValueError("there are no remote frames in CAN FD")
        if len(self.data) not in FD_LENGTHS:
            raise ValueError(f"{len(self.data)} data bytes; an FD frame carries one of {FD_LENGTHS}")


made_can_frame: Callable[[type[CanFrame], tuple[int, bytes, int]], CanFrame] = tuple.__new__
"""A frame from all its fields, for those who make thousands: the constructor of a NamedTuple costs twice as much."""


def identifier(frame: CanFrame) -> int:
    """Return the identifier with its format: 29-bit ones have bit 31 set, so that none is taken for an 11-bit one."""
    return identifier_of(frame.can_id, frame.flags)


def identifier_of(can_id: int, flags: int) -> int:
    """Return the identifier of frames with that id, in the format that `flags` has (EXTENDED or not)."""
    return can_id | (flags & EXTENDED) << 31


def arbitration_key(frame: CanFrame) -> int:
    """Return what arbitration compares: the lower one wins (base before extended, data before remote)."""
    remote = 1 if frame.flags & REMOTE else 0
    if frame.flags & EXTENDED:
        return (frame.can_id >> 18) << 21 | 1 << 20 | (frame.can_id & 0x3FFFF) << 1 | remote
    return frame.can_id << 21 | remote << 19


def frame_bits(frame: CanFrame) -> int:
    """Return how many bit times a classic frame occupies with its actual stuff bits, intermission included."""
    can_id, data, flags = frame
    if len(data) == 8 and not flags & REMOTE:
        return _full_frame_bits(can_id, data, flags)
    state, crc, bits = header(can_id, len(data), flags)
    stuff, remainder = STUFF, CRC15
    if not flags & REMOTE:
        for byte in data:
            crc = (crc << 8 & 0x7FFF) ^ remainder[crc >> 7 ^ byte]
            packed = stuff[state | byte]
            state = packed & STUFF_STATE
            bits += packed & STUFF_COUNT
    packed = stuff[state | crc >> 7]
    return bits + (packed & STUFF_COUNT) + 7 + LAST_7[packed & STUFF_STATE | crc & 0x7F] + TAIL_BITS


def _full_frame_bits(can_id: int, data: bytes, flags: int) -> int:
    """Return the same for 8 data bytes, as nearly every frame of a download has.

    Written out: the CRC is linear, so each byte has its own share of it whatever the others are, and the rows of stuff
    bits lead from one to the next: half the time of the loop above (1.1 us instead of 2.3), which every frame costs.
    """
    row, crc, bits = _full_header(can_id, flags)
    a, b, c, d, e, f, g, h = data
    crc ^= _CRC_0[a] ^ _CRC_1[b] ^ _CRC_2[c] ^ _CRC_3[d] ^ _CRC_4[e] ^ _CRC_5[f] ^ _CRC_6[g] ^ _CRC_7[h]
    row, bits_a = row[a]
    row, bits_b = row[b]
    row, bits_c = row[c]
    row, bits_d = row[d]
    row, bits_e = row[e]
    row, bits_f = row[f]
    row, bits_g = row[g]
    row, bits_h = row[h]
    row, bits_crc = row[crc >> 7]
    # the last 7 bits of the CRC have their stuff bits at the end of each row
    bits_tail = row[256][1][crc & 0x7F]
    total: int = bits + bits_a + bits_b + bits_c + bits_d + bits_e + bits_f + bits_g + bits_h + bits_crc + bits_tail
    return total


@lru_cache(maxsize=65536)
def _full_header(can_id: int, flags: int) -> tuple[_Row, int, int]:
    """Return (row of stuff bits, CRC as if 8 zero bytes had followed, bits of all but data and CRC's first 8)."""
    state, crc, bits = header(can_id, 8, flags)
    return _ROWS[state >> 8], crc_after_zeros(crc, 8), bits + 7 + TAIL_BITS


def crc_after_zeros(crc: int, count: int) -> int:
    """Return the CRC after so many zero bytes more."""
    for _ in range(count):
        crc = (crc << 8 & 0x7FFF) ^ CRC15[crc >> 7]
    return crc


@lru_cache(maxsize=65536)
def header(can_id: int, length: int, flags: int) -> tuple[int, int, int]:
    """Return (stuff state shifted by a byte, CRC, bits so far) after everything before the data."""
    if flags & FD:
        raise ValueError("an FD frame has two phases: frame_phases counts them")
    remote = 1 if flags & REMOTE else 0
    if flags & EXTENDED:  # SOF, base id, SRR, IDE, id extension, RTR, r1, r0
        word = (((can_id >> 18) << 2 | 0b11) << 18 | can_id & 0x3FFFF) << 3 | remote << 2
        width = 1 + 11 + 2 + 18 + 3
    else:  # SOF, id, RTR, IDE, r0
        word, width = can_id << 3 | remote << 2, 1 + 11 + 3
    word, width = word << 4 | length, width + 4
    state, stuffed = stuff_bits(STUFF_START, word, width)
    return state << 8, _crc_bits(word, width), width + stuffed


def _crc_bits(word: int, width: int) -> int:
    crc = 0
    for i in reversed(range(width)):
        bit = (word >> i & 1) ^ crc >> 14
        crc = crc << 1 & 0x7FFF
        if bit:
            crc ^= CRC15_POLYNOMIAL
    return crc


# A stuff state packs the last bit and how many equal bits came in a row (0 to 4): `run * 2 + bit`.
STUFF_START = 1  # bus idle is recessive and does not count towards a run


def stuff_bits(state: int, word: int, width: int) -> tuple[int, int]:
    """Return (state, stuff bits inserted) after `width` bits of `word`, most significant first."""
    run, last, stuffed = state >> 1, state & 1, 0
    for i in reversed(range(width)):
        bit = word >> i & 1
        run = run + 1 if bit == last else 1
        last = bit
        if run == 5:  # a stuff bit of the other value follows and begins a run of its own
            stuffed += 1
            last, run = 1 - bit, 1
    return run << 1 | last, stuffed


def _after_byte(state: int, byte: int) -> int:
    after, stuffed = stuff_bits(state, byte, 8)
    return after << 8 | 8 + stuffed


_STATES = range(10)
STUFF_STATE, STUFF_COUNT = 0xF00, 0xFF
"""An entry of `STUFF`: the state after the byte (ready to index with the next one), and how many bits it took."""
STUFF = tuple(_after_byte(state, byte) for state in _STATES for byte in range(256))
LAST_7 = tuple(stuff_bits(state, word & 0x7F, 7)[1] for state in _STATES for word in range(256))
CRC15 = tuple(_crc_bits(byte, 8) for byte in range(256))


_Row = list[Any]
"""By byte: the row that comes next, and how many bits the byte takes; last the stuff bits of a CRC's last 7 bits."""


def _rows() -> tuple[_Row, ...]:
    rows: tuple[_Row, ...] = tuple([] for _ in _STATES)
    for state, row in enumerate(rows):
        packed = STUFF[state << 8 : (state + 1) << 8]
        row.extend((rows[(each & STUFF_STATE) >> 8], each & STUFF_COUNT) for each in packed)
        row.append((row, LAST_7[state << 8 : (state + 1) << 8]))
    return rows


_ROWS = _rows()
CRC15_AT = tuple(tuple(crc_after_zeros(remainder, 7 - place) for remainder in CRC15) for place in range(8))
"""By place in 8 bytes and byte: its share in the CRC; all of them and that of the header, exclusive or, are the CRC."""
_CRC_0, _CRC_1, _CRC_2, _CRC_3, _CRC_4, _CRC_5, _CRC_6, _CRC_7 = CRC15_AT
