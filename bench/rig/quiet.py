"""When a story has come to rest: by what the server logged and the buses carried, not by what a part says of itself.

An agent that calls itself idle while it goes on flashing would end its own trial (D5).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bench.core.clock import NS_PER_S
from bench.core.records import EXTENDED, REMOTE, CanAddress, EcuLayout, FrameRecord, ServerEvent
from bench.core.world import World

SESSIONS_AFTER_CLOSE = 1
"""The session that closes the order ends after it; one more must follow: late misdeeds want to be seen."""
SILENCE_NS = 5 * NS_PER_S
"""S3 of ISO 14229-2: a tester that pauses for longer has left its session behind."""
READING = (0x22, 0x3E)
"""ReadDataByIdentifier and TesterPresent change nothing: an agent reads versions at every poll."""


class Quiet:
    """Whether a run is over: every order closed, one more session since, and no diagnostic request for a while."""

    def __init__(
        self, world: World, layouts: Sequence[EcuLayout], functional: Iterable[tuple[str, CanAddress]]
    ) -> None:
        """Watch requests to the ECUs and functional ones, given as (channel, address)."""
        self._world = world
        self._requests = {(layout.channel, layout.request) for layout in layouts} | set(functional)
        self._ids = {(channel, address.can_id) for channel, address in self._requests}
        self._seen = 0
        self._silent_since_ns: int | None = None

    def reached(self) -> bool:
        """Return whether the story has come to rest now; ask again and again, each frame is looked at once."""
        events = self._world.recorder.server
        if not _all_closed(events) or _sessions_since_close(events) <= SESSIONS_AFTER_CLOSE:
            self._silent_since_ns = None
            return False
        if self._silent_since_ns is None:  # silence counts from here: what was on the bus before is no matter
            self._seen = self._world.journal.length
            self._silent_since_ns = self._world.clock.now_ns()
        self._look()
        return self._world.clock.now_ns() - self._silent_since_ns >= SILENCE_NS

    def _look(self) -> None:
        for frame in self._world.journal.frames_from(self._seen):
            if self._changes_something(frame):
                self._silent_since_ns = frame.t_ns
        self._seen = self._world.journal.length

    def _changes_something(self, frame: FrameRecord) -> bool:
        if (frame.channel, frame.can_id) not in self._ids or frame.flags & REMOTE:
            return False
        return any(_service(frame, to) not in (None, *READING) for at, to in self._requests if at == frame.channel)


def _service(frame: FrameRecord, address: CanAddress) -> int | None:
    """Return the service that the frame asks of that address; None when it is for somebody else.

    Of a long request the consecutive frames count as service -1: something is being sent.
    """
    if frame.can_id != address.can_id or bool(frame.flags & EXTENDED) is not address.id_29_bit:
        return None
    data = frame.data
    if address.extension is not None:
        if data[:1] != bytes((address.extension,)):
            return None
        data = data[1:]
    kind = data[0] >> 4 if data else 3
    if kind == 0:  # single frame; the length has a byte of its own in frames of more than 8 bytes (ISO 15765-2)
        data = data[1:] if data[0] else data[2:]
        return data[0] if data else None
    return None if kind == 3 else -1


def _all_closed(events: Sequence[ServerEvent]) -> bool:
    placed = {event.data["order"] for event in events if event.kind == "order_placed"}
    closed = {event.data["order"] for event in events if event.kind == "order_closed"}
    return bool(placed) and placed <= closed


def _sessions_since_close(events: Sequence[ServerEvent]) -> int:
    last = max((n for n, event in enumerate(events) if event.kind == "order_closed"), default=len(events))
    return sum(event.kind == "session_ended" for event in events[last:])
