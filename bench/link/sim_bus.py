"""The simulated CAN bus, frame by frame, with durations counted from the actual bits (D2).

Time on the bus is its own line: the next frame begins where the last one ended, so that in real time a late
timer delays nothing but its own delivery.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from bench.core.clock import NS_PER_S
from bench.core.loop import PowerLost
from bench.core.node import Incarnation
from bench.core.points import PointCounter
from bench.core.records import EXTENDED, FD, FrameRecord
from bench.core.world import World
from bench.ports import FrameCallback, SentCallback
from bench.wire.can import ERROR_FRAME_BITS, CanFrame, arbitration_key, frame_bits
from bench.wire.can_fd import frame_time_ns

Waiting = tuple[CanFrame, int, SentCallback | None]
"""A queued frame, its arbitration key, and whom to tell when it was sent."""

QUEUE_LIMIT = 4096
"""Frames a node may have waiting; more is a runaway sender."""


class BusQueueFull(RuntimeError):
    """A node queued more frames than any controller holds."""


class SimCanPort:
    """One life's attachment; refuses everything once that life has ended (D3)."""

    def __init__(self, bus: SimCanBus, life: Incarnation, counter: PointCounter) -> None:
        self.life, self.counter = life, counter
        self.queue: deque[Waiting] = deque()
        self.callbacks: list[FrameCallback] = []
        self._bus = bus

    def send(self, frame: CanFrame, sent: SentCallback | None = None) -> None:
        """Queue a frame for arbitration (ValueError when no controller could send it)."""
        self.life.check()
        if len(self.queue) >= QUEUE_LIMIT:
            raise BusQueueFull(f"{self.life.part} has {QUEUE_LIMIT} frames waiting on {self._bus.name}")
        self.queue.append((frame.checked(fd=self._bus.fd), arbitration_key(frame), sent))
        self._bus.wake()

    def cancel(self, can_id: int, flags: int = 0, prefix: bytes = b"") -> None:
        """Drop waiting frames (see `CanPort`); one that is just crossing the bus crosses it all the same."""
        self.life.check()
        self.queue = deque(entry for entry in self.queue if not _is_meant(entry[0], can_id, flags, prefix))

    def subscribe(self, callback: FrameCallback) -> None:
        """Call `callback` for every frame of other nodes, in the order of subscription."""
        self.life.check()
        self.callbacks.append(callback)


class SimCanBus:
    """A CAN bus of any number of nodes: classic, or FD when it has a data bit rate."""

    def __init__(self, world: World, name: str, bitrate_bit_s: int, data_bitrate_bit_s: int | None = None) -> None:
        """Build an idle bus; ValueError when the data phase would be slower than the nominal one."""
        if data_bitrate_bit_s is not None and data_bitrate_bit_s < bitrate_bit_s:
            raise ValueError(f"data bit rate {data_bitrate_bit_s} is below the nominal {bitrate_bit_s}")
        self.name = name
        self.fd = data_bitrate_bit_s is not None
        self._world, self._clock = world, world.clock
        self._bitrate_bit_s, self._data_bitrate_bit_s = bitrate_bit_s, data_bitrate_bit_s or bitrate_bit_s
        self._ports: list[SimCanPort] = []
        self._free_at_ns = 0
        self._active = False

    def attach(self, life: Incarnation) -> SimCanPort:
        """Return a port of this life; ports of ended lives are dropped. Frames that nobody heard are sent again."""
        self._ports = [port for port in self._ports if port.life.alive]
        port = SimCanPort(self, life, self._world.points.counter(life.part, "frame"))
        self._ports.append(port)
        self.wake()
        return port

    def wake(self) -> None:
        """Begin arbitration at this instant, once the sender's own code has run, unless the bus is at work."""
        if not self._active:
            self._active = True
            self._clock.call_at_ns(self._clock.now_ns(), self._run)

    def _run(self) -> None:
        """Send frames until nothing waits or something else is due before the next one ends."""
        advance = self._clock.advance_inline
        while (winner := self._arbitrate()) is not None:
            entry = winner.queue.popleft()
            end_ns = self._begin_ns() + self._frame_ns(entry[0])
            if not advance(end_ns):
                self._clock.call_at_ns(end_ns, self._end_later, winner, entry, end_ns)
                return
            self._end(winner, entry, end_ns)
        self._active = False

    def _frame_ns(self, frame: CanFrame) -> int:
        if frame.flags & FD:
            return frame_time_ns(frame, self._bitrate_bit_s, self._data_bitrate_bit_s)
        return frame_bits(frame) * NS_PER_S // self._bitrate_bit_s

    def _duration_ns(self, bits: int) -> int:
        return bits * NS_PER_S // self._bitrate_bit_s

    def _begin_ns(self) -> int:
        now_ns = self._clock.now_ns()
        if self._clock.virtual:
            return max(self._free_at_ns, now_ns)
        return self._begin_real_ns()

    def _begin_real_ns(self) -> int:
        """In real time the bus may lag behind the clock by late timers; it catches up unless it was idle."""
        now_ns = self._clock.now_ns()
        return self._free_at_ns if now_ns - self._free_at_ns < CATCH_UP_NS else now_ns

    def _arbitrate(self) -> SimCanPort | None:
        """Return who sends next; nobody while no other node is there to acknowledge.

        A lone controller repeats its frame for ever; its repetitions change nothing and are not simulated one by one.
        """
        alive = [port for port in self._ports if port.life.alive]
        if len(alive) < 2:
            return None
        winner, best = None, -1
        for port in alive:
            if port.queue:
                key = port.queue[0][1]
                if winner is None or key < best:
                    winner, best = port, key
        return winner

    def _end_later(self, winner: SimCanPort, entry: Waiting, end_ns: int) -> None:
        self._end(winner, entry, end_ns)
        self._run()

    def _end(self, winner: SimCanPort, entry: Waiting, end_ns: int) -> None:
        """The frame's last bit has passed: it is lost, to be repeated, or everybody's."""
        if not winner.life.alive:  # the sender lost power in mid-frame: an error frame, the frame is gone
            self._free_at_ns = self._clock.now_ns() + self._duration_ns(ERROR_FRAME_BITS)
            self._world.journal.add(self.name, "error_frame", f"{winner.life.part} lost power while sending")
            return
        receivers = [port for port in self._ports if port is not winner and port.life.alive]
        if not receivers:  # the last listener lost power in mid-frame: nobody acknowledged
            self._free_at_ns = end_ns + self._duration_ns(ERROR_FRAME_BITS)
            winner.queue.appendleft(entry)
            return
        self._free_at_ns = end_ns
        frame, _, sent = entry
        self._world.journal.frame(
            FrameRecord(end_ns, self.name, winner.life.part, frame.can_id, frame.flags, frame.data)
        )
        if sent is not None:
            _handle(winner, (sent,), end_ns)
        else:
            winner.counter.end(winner.counter.begin())
        for port in receivers:
            if port.life.alive:
                _handle(port, port.callbacks, frame, end_ns)


def _is_meant(frame: CanFrame, can_id: int, flags: int, prefix: bytes) -> bool:
    same_format = not (frame.flags ^ flags) & EXTENDED
    return frame.can_id == can_id and same_format and frame.data.startswith(prefix)


def _handle(port: SimCanPort, callbacks: Sequence[Callable[..., object]], *event: object) -> None:
    """Let a node handle a frame that it sent or received: a numbered fault point of that node."""
    counter, life = port.counter, port.life
    n = counter.begin()
    try:
        for callback in callbacks:
            if life.alive:
                callback(*event)
    except PowerLost:
        return
    counter.end(n)


CATCH_UP_NS = 50_000_000
"""How far the bus may lag in real time and still catch up instead of starting anew (50 ms)."""
