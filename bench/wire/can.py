"""CAN frames and how long they take on the wire, to the bit (ISO 11898-1)."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from bench.core.records import BRS, EXTENDED, FD, REMOTE

MAX_BASE_ID, MAX_EXTENDED_ID = 0x7FF, 0x1FFF_FFFF
TAIL_BITS = 13
"""CRC delimiter 1, ACK slot and delimiter 2, end of frame 7, intermission 3: never stuffed."""
CRC15_POLYNOMIAL = 0x4599
ERROR_FRAME_BITS = 6 + 8 + 3
"""Active error flag, error delimiter, intermission."""


class CanFrame(NamedTuple):
    """A classic CAN data frame (base or extended identifier)."""

    can_id: int
    data: bytes
    flags: int = 0

    def checked(self) -> CanFrame:
        """Return the frame itself; ValueError when no controller could send it."""
        limit = MAX_EXTENDED_ID if self.flags & EXTENDED else MAX_BASE_ID
        if not 0 <= self.can_id <= limit:
            raise ValueError(f"identifier 0x{self.can_id:X} does not fit, largest is 0x{limit:X}")
        if self.flags & (FD | BRS):
            raise ValueError("CAN FD is not carried by this bus")
        if len(self.data) > 8:
            raise ValueError(f"{len(self.data)} data bytes; a classic frame carries 8")
        return self


def arbitration_key(frame: CanFrame) -> int:
    """Return what arbitration compares: the lower one wins (base before extended, data before remote)."""
    remote = 1 if frame.flags & REMOTE else 0
    if frame.flags & EXTENDED:
        return (frame.can_id >> 18) << 21 | 1 << 20 | (frame.can_id & 0x3FFFF) << 1 | remote
    return frame.can_id << 21 | remote << 19


def frame_bits(frame: CanFrame) -> int:
    """Return how many bit times the frame occupies, stuff bits counted from its actual bits, intermission included."""
    state, crc, bits = _header(frame.can_id, len(frame.data), frame.flags)
    stuff, remainder = _STUFF, _CRC15
    if not frame.flags & REMOTE:
        for byte in frame.data:
            crc = (crc << 8 & 0x7FFF) ^ remainder[crc >> 7 ^ byte]
            packed = stuff[state | byte]
            state = packed & _STATE
            bits += packed & _COUNT
    packed = stuff[state | crc >> 7]
    return bits + (packed & _COUNT) + 7 + _LAST_7[packed & _STATE | crc & 0x7F] + TAIL_BITS


@lru_cache(maxsize=65536)
def _header(can_id: int, length: int, flags: int) -> tuple[int, int, int]:
    """Return (stuff state shifted by a byte, CRC, bits so far) after everything before the data."""
    remote = 1 if flags & REMOTE else 0
    if flags & EXTENDED:  # SOF, base id, SRR, IDE, id extension, RTR, r1, r0
        word = (((can_id >> 18) << 2 | 0b11) << 18 | can_id & 0x3FFFF) << 3 | remote << 2
        width = 1 + 11 + 2 + 18 + 3
    else:  # SOF, id, RTR, IDE, r0
        word, width = can_id << 3 | remote << 2, 1 + 11 + 3
    word, width = word << 4 | length, width + 4
    state, stuffed = _stuff_bits(_START, word, width)
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
_START = 1  # bus idle is recessive and does not count towards a run


def _stuff_bits(state: int, word: int, width: int) -> tuple[int, int]:
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
    after, stuffed = _stuff_bits(state, byte, 8)
    return after << 8 | 8 + stuffed


_STATES = range(10)
_STATE, _COUNT = 0xF00, 0xFF
"""An entry of `_STUFF`: the state after the byte (ready to index with the next one), and how many bits it took."""
_STUFF = tuple(_after_byte(state, byte) for state in _STATES for byte in range(256))
_LAST_7 = tuple(_stuff_bits(state, word & 0x7F, 7)[1] for state in _STATES for word in range(256))
_CRC15 = tuple(_crc_bits(byte, 8) for byte in range(256))
