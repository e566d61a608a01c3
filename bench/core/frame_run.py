"""Many frames in one record: a run that crossed a bus without a pause for anything else (D2)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from bench.core.records import FrameRecord


class RunTimes(NamedTuple):
    """When the frames of a run ended: the first begins at `begin_ns`, each other `gap_ns` after the one before."""

    begin_ns: int
    gap_ns: int
    durations_ns: array[int]

    def ends_ns(self) -> Iterator[int]:
        """Yield the end of each frame, intermission included."""
        at_ns = self.begin_ns - self.gap_ns
        for duration_ns in self.durations_ns:
            at_ns += self.gap_ns + duration_ns
            yield at_ns


class RunRecord(NamedTuple):
    """A run of frames with one identifier: frame i has the data `heads[i modulo their number]` and the i-th part of
    `payload`, which is cut into equal parts."""

    channel: str
    sender: str
    can_id: int
    flags: int
    heads: tuple[bytes, ...]
    payload: bytes
    times: RunTimes

    def frames(self) -> Iterator[FrameRecord]:
        """Yield the frames as they crossed the bus."""
        heads, turn = self.heads, len(self.heads)
        part = len(self.payload) // len(self.times.durations_ns)
        for i, end_ns in enumerate(self.times.ends_ns()):
            data = heads[i % turn] + self.payload[i * part : (i + 1) * part]
            yield FrameRecord(end_ns, self.channel, self.sender, self.can_id, self.flags, data)
