"""Many frames in one record: a run that crossed a bus without a pause for anything else (D2)."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from functools import partial
from itertools import accumulate, count, cycle, islice, repeat
from operator import add
from typing import NamedTuple, TypeVar

from bench.core.records import FrameRecord

Part = TypeVar("Part", bytes, str)


class RunTimes(NamedTuple):
    """When the frames of a run ended: the first begins at `begin_ns`, each other `gap_ns` after the one before."""

    begin_ns: int
    gap_ns: int
    durations_ns: array[int]

    def ends_ns(self) -> Iterator[int]:
        """Return the end of each frame, intermission included."""
        without_gaps = islice(accumulate(self.durations_ns, initial=self.begin_ns), 1, None)
        return map(add, without_gaps, count(0, self.gap_ns))


class FrameRunRecord(NamedTuple):
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
        """Return the frames as they crossed the bus."""
        whole = (repeat(self.channel), repeat(self.sender), repeat(self.can_id), repeat(self.flags))
        return map(made_frame, zip(self.times.ends_ns(), *whole, self.data(), strict=False))

    def text_before_data(self) -> str:
        """Return what is the same in the texts of all frames (`FrameRecord.text`): sender and identifier."""
        return FrameRecord(0, self.channel, self.sender, self.can_id, self.flags, b"").text()

    def data(self) -> Iterator[bytes]:
        """Return what each frame carried."""
        return map(add, cycle(self.heads), _parts(self.payload, len(self.times.durations_ns)))

    def hex_data(self) -> Iterator[str]:
        """Return the same in upper-case hexadecimal digits; all at once is cheaper than frame by frame."""
        heads = [head.hex().upper() for head in self.heads]
        return map(add, cycle(heads), _parts(self.payload.hex().upper(), len(self.times.durations_ns)))


def _parts(whole: Part, count: int) -> Iterator[Part]:
    """Yield the equal parts that bytes or their digits are cut into."""
    length = len(whole) // count
    return (whole[i * length : (i + 1) * length] for i in range(count))


made_frame = partial(tuple.__new__, FrameRecord)
"""A frame from its fields; a NamedTuple's own constructor costs three times as much, for thousands of frames."""
