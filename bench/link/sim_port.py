"""One node's attachment to a simulated CAN bus: its queue, its acceptance filter, its controller's error counters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache, partial
from typing import Protocol

from bench.core.clock import Clock
from bench.core.continuing import State, called
from bench.core.node import Incarnation
from bench.core.points import PointCounter
from bench.core.records import EXTENDED
from bench.core.world import World
from bench.ports.can import FrameCallback
from bench.wire.can import CanFrame, arbitration_key
from bench.wire.can_errors import ControllerState, FaultConfinement
from bench.wire.frame_run import FrameRun, RunTaker
from bench.wire.outcome import Fate, Outcome, OutcomeCallback

Waiting = tuple[CanFrame, int, OutcomeCallback | None, FrameRun | None]
"""A queued frame, its arbitration key, whom to tell how it ended, and what would follow it."""
QUEUE_LIMIT = 4096
"""Frames a node may have waiting; more is a runaway sender."""
KEPT_KEYS = 4096
"""So many kinds of frames are known to be sendable: nearly all frames are of a dozen kinds."""


class BusQueueFull(RuntimeError):
    """A node queued more frames than any controller holds."""


class Bus(Protocol):
    """What its ports, its runs of frames and its errors ask of a simulated bus."""

    name: str
    fd: bool
    world: World
    clock: Clock
    bitrate_bit_s: int
    data_bitrate_bit_s: int
    ports: list[SimCanPort]
    free_at_ns: int
    """When the next frame may begin."""
    active: bool
    """Whether the bus is at work: then it comes to what waits by itself."""
    busy_ns: int
    """How long frames and error frames have occupied the bus."""

    def wake(self) -> None:
        """Something waits."""

    def filters_changed(self) -> None:
        """A node asked for further frames."""

    def joined(self, port: SimCanPort) -> None:
        """A node takes part that did not before."""

    def before_cancel(self, port: SimCanPort, is_meant: Callable[[CanFrame], bool]) -> None:
        """Frames of this port are about to be dropped."""

    def bits_ns(self, bits: int) -> int:
        """Return how long so many bits take at the nominal rate."""


class SimCanPort:
    """One life's attachment; refuses everything once that life has ended (D3)."""

    def __init__(self, bus: Bus, life: Incarnation, counter: PointCounter, since_ns: int) -> None:
        self.life, self.counter, self.since_ns = life, counter, since_ns
        self.queue: deque[Waiting] = deque()
        self.everything: tuple[FrameCallback, ...] = ()
        """Who wants every frame; in front of it `by_id` has who wants some."""
        self.by_id: dict[int, tuple[FrameCallback, ...]] = {}
        self.takers: dict[int, tuple[RunTaker, ...]] = {}
        self.plain: set[int] = set()
        """Identifiers that somebody wants frame by frame."""
        self.confined = FaultConfinement()
        self.suspended_until_ns = 0
        self.off = False
        """Whether the controller left the bus (bus-off)."""
        self.on_off: list[Callable[[], None]] = []
        self._bus = bus

    def state(self, now_ns: int) -> State:
        """Return what waits and whom its end is told, the controller's counters, and how long it pauses."""
        waiting = tuple(waiting_state(entry) for entry in self.queue)
        counters = self.confined.tec, self.confined.rec, self.off
        return self.life.part, waiting, counters, max(0, self.suspended_until_ns - now_ns)

    def send(self, frame: CanFrame, ended: OutcomeCallback | None = None, run: FrameRun | None = None) -> None:
        """Queue a frame for arbitration (ValueError when no controller could send it)."""
        if not self.life.alive:
            self.life.check()
        if len(self.queue) >= QUEUE_LIMIT:
            raise BusQueueFull(f"{self.life.part} has {QUEUE_LIMIT} frames waiting on {self._bus.name}")
        can_id, data, flags = frame
        self.queue.append((frame, _key(can_id, len(data), flags, self._bus.fd), ended, run))
        if not self._bus.active:
            self._bus.wake()

    def cancel(self, can_id: int, flags: int = 0, prefix: bytes = b"") -> None:
        """Take waiting frames back (see `CanPort`); one that is just crossing the bus is not sent again if it fails."""
        self.life.check()

        def is_meant(frame: CanFrame) -> bool:
            return _is_meant(frame, can_id, flags, prefix)

        self._bus.before_cancel(self, is_meant)
        dropped = [entry for entry in self.queue if is_meant(entry[0])]
        if dropped:
            self.queue = deque(entry for entry in self.queue if not is_meant(entry[0]))
            self.tell(dropped, Fate.CANCELLED, self.life.now_ns(), "taken back")

    def tell(self, entries: Iterable[Waiting], fate: Fate, t_ns: int, why: str) -> None:
        """Tell the senders of frames that are out of the queue how they ended."""
        for _, _, ended, _ in entries:
            if ended is not None:
                self.life.call((ended,), Outcome(fate, t_ns, None, why))

    def subscribe(
        self, callback: FrameCallback, identifiers: Sequence[int] | None = None, taker: RunTaker | None = None
    ) -> None:
        """Call `callback` for frames of other nodes, all or those with `identifiers`, in the order of subscription."""
        self.life.check()
        self._bus.filters_changed()
        if identifiers is None:
            self.everything = (*self.everything, callback)
            self.by_id = {name: (*wanted, callback) for name, wanted in self.by_id.items()}
            return
        for name in identifiers:
            self.by_id[name] = (*self.by_id.get(name, self.everything), callback)
            if taker is None:
                self.plain.add(name)
            else:
                self.takers[name] = (*self.takers.get(name, ()), taker)

    def on_bus_off(self, callback: Callable[[], None]) -> None:
        """See `CanPort.on_bus_off`."""
        self.life.check()
        self.on_off.append(callback)

    def wanting(self, name: int) -> tuple[FrameCallback, ...]:
        """Return who wants a frame with this identifier (`bench.wire.can.identifier`)."""
        return self.by_id.get(name, self.everything)

    @property
    def error_state(self) -> ControllerState:
        """What the controller may do after the errors it has counted."""
        return ControllerState.BUS_OFF if self.off else self.confined.state


@lru_cache(maxsize=KEPT_KEYS)
def _key(can_id: int, length: int, flags: int, fd: bool) -> int:
    """Return the arbitration key of a frame; ValueError when no controller could send it on such a bus."""
    return arbitration_key(CanFrame(can_id, bytes(length), flags).checked(fd=fd))


def waiting_state(entry: Waiting) -> State:
    """Return a queued frame as a value: of its callback the name, since its owner knows what it waits for."""
    frame, _, ended, run = entry
    told = ended.func if isinstance(ended, partial) else ended
    return frame.can_id, frame.data, frame.flags, told and called(told, 0), run is not None


def _is_meant(frame: CanFrame, can_id: int, flags: int, prefix: bytes) -> bool:
    same_format = not (frame.flags ^ flags) & EXTENDED
    return frame.can_id == can_id and same_format and frame.data.startswith(prefix)
