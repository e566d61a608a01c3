"""The canonical journal of a run: what happened, in order; its hash is `trace_sha256` (docs/contracts.md)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from json.encoder import encode_basestring_ascii as quoted
from typing import NamedTuple

from bench.core.canonical import sha256_hex
from bench.core.clock import Clock
from bench.core.frame_run import FrameFields, FrameRunRecord, Frames, made_frame
from bench.core.loop import speaks_for_the_dead
from bench.core.records import FrameRecord

INLINE_BYTES = 64
"""A longer payload stands in the journal as its hash."""


class Entry(NamedTuple):
    """One event: when, whose, what kind, and its bytes or text."""

    t_ns: int
    part: str
    kind: str
    payload: bytes | str


Recorded = Entry | FrameFields | FrameRunRecord
"""What a journal keeps until it is read; a frame of its own is made into a `FrameRecord` only then."""


class Journal:
    """Append-only until sealed; what comes after the seal (teardown) is dropped."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: list[Recorded] = []
        self.sealed = False

    def add(self, part: str, kind: str, payload: bytes | str = b"") -> None:
        """Record an event of this instant; code of a life that has ended records nothing (D3)."""
        if not self.sealed and not speaks_for_the_dead():
            self._entries.append(Entry(self._clock.now_ns(), part, kind, payload))

    def frame(self, record: FrameFields | FrameRunRecord) -> None:
        """Record a frame (a `FrameRecord`, or its fields), or a run; turned into text only when the journal is read."""
        if not self.sealed:
            self._entries.append(record)

    def seal(self) -> None:
        """Close the journal; its hash is final."""
        self.sealed = True

    def entries(self) -> Iterator[Entry]:
        """Yield all events so far, frames too."""
        for entry in self._entries:
            if isinstance(entry, Entry):
                yield entry
            else:
                for frame in _frames(entry):
                    yield Entry(frame.t_ns, frame.channel, "frame", frame.text())

    def frames(self) -> Frames:
        """Return the frames of all buses in the order of their ends."""
        kept = (each for each in self._entries if not isinstance(each, Entry))
        return Frames(each if isinstance(each, FrameRunRecord) else _frame(each) for each in kept)

    @property
    def length(self) -> int:
        """How many entries there are; a run of frames is one."""
        return len(self._entries)

    def frames_from(self, position: int) -> Iterator[FrameRecord]:
        """Yield the frames of the entries from `position` (an earlier `length`) on."""
        for entry in self._entries[position:]:
            if not isinstance(entry, Entry):
                yield from _frames(entry)

    def lines(self) -> Iterator[bytes]:
        """Yield one canonical JSON line per event, without the line's end."""
        return (line.encode() for line in _lines(self._entries))

    def sha256(self) -> str:
        """Return the trace hash: SHA-256 over all lines, each ended by a newline."""
        digest = hashlib.sha256()
        for line in self.lines():
            digest.update(line)
            digest.update(b"\n")
        return digest.hexdigest()

    def trace(self) -> Trace:
        """Return what was recorded, as a value; its text and hash are made when somebody asks for them."""
        return Trace(tuple(self._entries))


class Trace:
    """The journal of a run that is over.

    Most runs of a sweep are judged by their records alone: lines and hash cost more than the run's own frames, so
    they are made when asked for, and once.
    """

    def __init__(self, entries: Sequence[Recorded]) -> None:
        self._entries = entries

    @property
    def lines(self) -> tuple[bytes, ...]:
        """One canonical JSON line per event, without the lines' ends."""
        return self._made[0]

    @property
    def sha256(self) -> str:
        """The trace hash: SHA-256 over all lines, each ended by a newline."""
        return self._made[1]

    @cached_property
    def _made(self) -> tuple[tuple[bytes, ...], str]:
        """Lines and hash; encoded at once, since no line holds a newline: JSON escapes it."""
        text = "\n".join((*_lines(self._entries), "")).encode()
        return tuple(text.split(b"\n")[:-1]), sha256_hex(text)


def _frame(entry: FrameFields) -> FrameRecord:
    return entry if isinstance(entry, FrameRecord) else made_frame(FrameRecord, entry)


def _frames(entry: FrameFields | FrameRunRecord) -> Iterable[FrameRecord]:
    return entry.frames() if isinstance(entry, FrameRunRecord) else (_frame(entry),)


def _lines(entries: Iterable[Recorded]) -> Iterator[str]:
    """Yield the lines. They are put together by hand, key by key in the order that `canonical_json` would sort them
    into: a run has tens of thousands, and a general encoder costs five times as much for each."""
    for entry in entries:
        if isinstance(entry, Entry):
            t_ns, part, kind, payload = entry
            yield _line(kind, part, _shown(payload), t_ns)
        elif not isinstance(entry, FrameRunRecord):
            frame = _frame(entry)
            yield _line("frame", frame.channel, frame.text(), frame.t_ns)
        else:
            begin = f'{{"kind":"frame","part":{quoted(entry.channel)},"payload":{quoted(entry.text_before_data())[:-1]}'
            parts = zip(entry.hex_data(), entry.times.ends_ns(), strict=True)
            yield from [f'{begin}{data}","t":{t_ns}}}' for data, t_ns in parts]


def _line(kind: str, part: str, payload: str, t_ns: int) -> str:
    return f'{{"kind":{quoted(kind)},"part":{quoted(part)},"payload":{quoted(payload)},"t":{t_ns}}}'


def _shown(payload: bytes | str) -> str:
    if isinstance(payload, str):
        return payload
    if len(payload) > INLINE_BYTES:
        return f"sha256:{sha256_hex(payload)}"
    return payload.hex()
