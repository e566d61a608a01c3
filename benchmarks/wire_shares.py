"""Shares of what the wire allows: nothing is lost between the frames of a download, nor between download and flash."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bench.core.clock import NS_PER_MS, NS_PER_S
from bench.core.records import FrameRecord
from bench.wire.can import CanFrame
from bench.wire.can_fd import frame_time_ns
from benchmarks.figure import Measured
from benchmarks.flashing import KIB, flash, random_image
from benchmarks.vehicles import BODY, HEAD_UNIT, NO_FLASH_TIME, Setting

NOMINAL_BIT_S, DATA_BIT_S = 500_000, 2_000_000
IMAGE_BYTES = 192 * KIB
TRANSFER_ANSWER = b"\x02\x76"
"""How the single frame that answers a 0x36 begins."""
ERASE_REQUEST, EXIT_ANSWER = b"\x31\x01\xff\x00", b"\x01\x77"
UNIT_BYTES, PROGRAM_MS, SECTOR_BYTES, ERASE_MS, SLOTS = 256, 1, 16 * KIB, 100, 2
"""The reference body controller: units and sectors, and the sectors of validity mark and header."""
BLOCK_4095 = {"memory.block_limit_bytes": 4095}


def wire_classic_share() -> Measured:
    """Return how much of the time of a download the classic bus is at work, with an ECU that programs at once."""
    return Measured(_busy_share(replace(BODY, personality=NO_FLASH_TIME)))


def wire_fd_share() -> Measured:
    """Return the same with CAN FD frames of 64 bytes and blocks of 4095."""
    return Measured(_busy_share(replace(HEAD_UNIT, personality=NO_FLASH_TIME, recipe=BLOCK_4095)))


def _busy_share(setting: Setting) -> float:
    frames = _transfer(flash(setting, random_image(IMAGE_BYTES, 0), bursts=True).frames())
    begin_ns = frames[0].t_ns
    return sum(_duration_ns(frame) for frame in frames[1:]) / (frames[-1].t_ns - begin_ns)


def _transfer(frames: Sequence[FrameRecord]) -> Sequence[FrameRecord]:
    """Return the frames from the first answer to a block of the image to the last but one (its last is shorter)."""
    answers = [index for index, frame in enumerate(frames) if _answers_block(frame)]
    return frames[answers[0] : answers[-3] + 1]


def _answers_block(frame: FrameRecord) -> bool:
    return frame.data.startswith(TRANSFER_ANSWER) and frame.sender != "tester"


def _duration_ns(frame: FrameRecord) -> int:
    return frame_time_ns(CanFrame(frame.can_id, frame.data, frame.flags), NOMINAL_BIT_S, DATA_BIT_S)


def flash_time_share() -> Measured:
    """Return the time of erasing and downloading, beside the bound that bus and flash set.

    The bound: the sectors are erased, then bus and flash work at the same time, and the longer of both counts.
    """
    frames = _job(flash(BODY, random_image(IMAGE_BYTES, 0), bursts=True).frames())
    taken_ns = frames[-1].t_ns - frames[0].t_ns
    busy_ns = sum(_duration_ns(frame) for frame in frames[1:])
    sectors, units = IMAGE_BYTES // SECTOR_BYTES + SLOTS, IMAGE_BYTES // UNIT_BYTES + 1
    erase_ns, program_ns = sectors * ERASE_MS * NS_PER_MS, units * PROGRAM_MS * NS_PER_MS
    return Measured(taken_ns / NS_PER_S, baseline=(erase_ns + max(busy_ns, program_ns)) / NS_PER_S)


def _job(frames: Sequence[FrameRecord]) -> Sequence[FrameRecord]:
    """Return the frames from the request to erase to the end of the last download."""
    first = next(index for index, frame in enumerate(frames) if frame.data[2:6] == ERASE_REQUEST)
    last = max(index for index, frame in enumerate(frames) if frame.data.startswith(EXIT_ANSWER))
    return frames[first : last + 1]
