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
