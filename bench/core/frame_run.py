"""Many frames in one record: a run that crossed a bus without a pause for anything else (D2)."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from itertools import accumulate, chain, count, cycle, islice, repeat
from operator import add
from typing import NamedTuple, overload

from bench.core.records import FrameRecord


class RunTimes(NamedTuple):
    """When the frames of a run ended: the first begins at `begin_ns`, each other `gap_ns` after the one before."""

    begin_ns: int
    gap_ns: int
    durations_ns: array[int]

    def ends_ns(self) -> Iterator[int]:
        """Return the end of each frame, intermission included."""
        without_gaps = islice(accumulate(self.durations_ns, initial=self.begin_ns), 1, None)
        return map(add, without_gaps, count(0, self.gap_ns))

    @property
    def first_ns(self) -> int:
        """The end of the first frame."""
        return self.begin_ns + self.durations_ns[0]

    @property
    def last_ns(self) -> int:
        """The end of the last frame."""
        return self.begin_ns + sum(self.durations_ns) + (len(self.durations_ns) - 1) * self.gap_ns


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

    @property
    def frame_count(self) -> int:
        """How many frames the run has."""
        return len(self.times.durations_ns)

    def frames(self) -> Iterator[FrameRecord]:
        """Return the frames as they crossed the bus."""
        whole = (repeat(self.channel), repeat(self.sender), repeat(self.can_id), repeat(self.flags))
        return map(made_frame, repeat(FrameRecord), zip(self.times.ends_ns(), *whole, self.data(), strict=False))

    def text_before_data(self) -> str:
        """Return what is the same in the texts of all frames (`FrameRecord.text`): sender and identifier."""
        return FrameRecord(0, self.channel, self.sender, self.can_id, self.flags, b"").text()

    def data(self) -> Iterator[bytes]:
        """Return what each frame carried."""
        length = len(self.payload) // self.frame_count
        parts = (self.payload[i * length : (i + 1) * length] for i in range(self.frame_count))
        return map(add, cycle(self.heads), parts)

    def hex_data(self) -> Iterator[str]:
        """Return the same in upper-case hexadecimal digits; all at once is cheaper than frame by frame."""
        heads = [head.hex().upper() for head in self.heads]
        length = len(self.payload) // self.frame_count
        parts = self.payload.hex(" ", length).upper().split(" ") if length else repeat("", self.frame_count)
        return map(add, cycle(heads), parts)


FrameFields = tuple[int, str, str, int, int, bytes]
"""The fields of a `FrameRecord` as a bare tuple, which the garbage collector does not visit again and again."""
made_frame: Callable[[type[FrameRecord], tuple[object, ...]], FrameRecord] = tuple.__new__
"""A frame from its fields; a NamedTuple's own constructor costs three times as much, for thousands of frames."""


class Frames(Sequence[FrameRecord]):
    """The frames of all buses in the order of their ends, runs kept as they were recorded.

    Nine of ten frames of a download lie in runs, and whoever judges it needs none of them by itself: they are taken
    apart, once, when somebody asks for a frame.
    """

    def __init__(self, parts: Iterable[FrameRecord | FrameRunRecord]) -> None:
        self.parts = tuple(parts)

    @cached_property
    def _all(self) -> tuple[FrameRecord, ...]:
        return tuple(
            chain.from_iterable(part.frames() if isinstance(part, FrameRunRecord) else (part,) for part in self.parts)
        )

    @overload
    def __getitem__(self, index: int) -> FrameRecord: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[FrameRecord, ...]: ...

    def __getitem__(self, index: int | slice) -> FrameRecord | tuple[FrameRecord, ...]:
        return self._all[index]

    def __len__(self) -> int:
        return sum(part.frame_count if isinstance(part, FrameRunRecord) else 1 for part in self.parts)

    def __iter__(self) -> Iterator[FrameRecord]:
        return iter(self._all)

    def __eq__(self, other: object) -> bool:
        return self._all == tuple(other) if isinstance(other, Frames | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._all)
