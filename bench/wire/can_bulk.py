"""How long many frames take, counted for a whole message at once: the same figures as `frame_bits`, in bulk (D2).

With numpy (extra `fast`) a message costs some hundred operations on arrays; without it every frame is counted alone.
"""

from __future__ import annotations

import os
from array import array
from functools import lru_cache
from typing import Any

from bench.core.clock import NS_PER_S
from bench.core.records import BRS, FD
from bench.wire import can, can_fd
from bench.wire.can import STUFF, STUFF_COUNT, STUFF_STATE, CanFrame

KEPT_MESSAGES = 2048
"""Durations of so many different messages are remembered: repeated runs send the same ones."""


def _numpy() -> Any:
    """Return numpy, kept from starting threads (a process that forks has none), or None."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    try:
        import numpy
    except ImportError:
        return None
    return numpy


NUMPY = _numpy()
FEW_FRAMES = 12
"""For fewer frames the arrays do not pay."""
FRONT_FRAMES = 256
"""The heads of so many frames are laid out at a time, and kept: every message of a link has the same."""


@lru_cache(maxsize=KEPT_MESSAGES)
def run_times_ns(
    can_id: int, flags: int, heads: tuple[bytes, ...], payload: bytes, count: int, nominal_bit_s: int, data_bit_s: int
) -> array[int]:
    """Return how long each of `count` frames occupies the bus, in nanoseconds.

    Frame i has the data `heads[i modulo their number]` and the i-th of `count` equal parts of `payload`.
    """
    if NUMPY is None or count < FEW_FRAMES:
        return _one_by_one(can_id, flags, heads, payload, count, nominal_bit_s, data_bit_s)
    columns = _columns(NUMPY, heads, payload, count)
    if flags & FD:
        nominal, fast = _fd_bits(NUMPY, can_id, flags, columns)
        times = (nominal * data_bit_s + fast * nominal_bit_s) * NS_PER_S // (nominal_bit_s * data_bit_s)
    else:
        times = _classic_bits(NUMPY, can_id, flags, columns) * NS_PER_S // nominal_bit_s
    return array("I", times.astype(NUMPY.uint32).tobytes())


def _one_by_one(
    can_id: int, flags: int, heads: tuple[bytes, ...], payload: bytes, count: int, nominal_bit_s: int, data_bit_s: int
) -> array[int]:
    part = len(payload) // count
    return array(
        "I",
        (
            can_fd.frame_time_ns(
                CanFrame(can_id, heads[i % len(heads)] + payload[i * part : (i + 1) * part], flags),
                nominal_bit_s,
                data_bit_s,
            )
            for i in range(count)
        ),
    )


def _columns(np: Any, heads: tuple[bytes, ...], payload: bytes, count: int) -> Any:
    """Return the data bytes as an array [place in the frame, frame]."""
    width = len(heads[0])
    columns = np.empty((width + len(payload) // count, count), np.int64)
    columns[:width] = _front(np, heads, -(-count // FRONT_FRAMES) * FRONT_FRAMES)[:, :count]
    columns[width:] = np.frombuffer(payload, np.uint8).reshape(count, -1).T
    return columns


@lru_cache(maxsize=64)
def _front(np: Any, heads: tuple[bytes, ...], count: int) -> Any:
    turn = np.frombuffer(b"".join(heads), np.uint8).reshape(len(heads), -1)
    return np.resize(turn, (count, turn.shape[1])).T


class _Tables:
    """The tables of `bench.wire.can` and `can_fd` as arrays; the entries of `STUFF` taken apart."""

    def __init__(self, np: Any) -> None:
        stuff, shares = np.array(STUFF, np.int64), np.array(can.CRC15_AT, np.int64)
        self.state, self.count = stuff & STUFF_STATE, stuff & STUFF_COUNT
        self.last_7, self.last_byte = np.array(can.LAST_7, np.int64), np.array(can_fd.LAST_BYTE, np.int64)
        self.shares = shares.ravel()
        self.places = (np.arange(len(shares), dtype=np.int64) * shares.shape[1]).reshape(-1, 1)
        """Where in `shares` each place in the frame begins."""


@lru_cache(maxsize=1)
def _tables(np: Any) -> _Tables:
    return _Tables(np)


def _stuff(tables: _Tables, state: Any, columns: Any) -> tuple[Any, Any]:
    """Return (bits of all columns, state after them); the columns become indices.

    Only the state goes from column to column; the counts are looked up at once (a third of the operations is saved,
    and it is their number that costs).
    """
    for column in columns:
        column |= state
        state = tables.state.take(column)
    return tables.count.take(columns).sum(axis=0), state


def _classic_bits(np: Any, can_id: int, flags: int, columns: Any) -> Any:
    """Return the bits of each frame; see `bench.wire.can.frame_bits`."""
    tables, length = _tables(np), len(columns)
    state, crc, bits = can.header(can_id, length, flags)
    # The CRC is linear: all bytes are looked up at once, each in the table of its place.
    shares = tables.shares.take(columns + tables.places[len(tables.places) - length :])
    crc = np.bitwise_xor.reduce(shares, axis=0) ^ can.crc_after_zeros(crc, length)
    stuffed, state = _stuff(tables, state, columns)
    place = state | crc >> 7
    tail = tables.count.take(place) + tables.last_7.take(tables.state.take(place) | crc & 0x7F)
    return stuffed + tail + (bits + 7 + can.TAIL_BITS)


def _fd_bits(np: Any, can_id: int, flags: int, columns: Any) -> tuple[Any, Any]:
    """Return the bits of each frame in both phases; see `bench.wire.can_fd.frame_phases`."""
    tables = _tables(np)
    state, nominal, fast, _ = can_fd.header(can_id, len(columns), flags)
    stuffed, state = _stuff(tables, state, columns[:-1])
    tail = tables.last_byte.take(state | columns[-1])
    fast = fast + stuffed + tail + can_fd.crc_field_bits(len(columns)) + 1
    nominal += can_fd.ACK_AND_END_BITS
    return (nominal, fast) if flags & BRS else (nominal + fast, fast * 0)
