"""One node's attachment to a simulated CAN bus: its queue, its acceptance filter, its controller's error counters."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from bench.core.node import Incarnation
from bench.core.points import PointCounter
from bench.ports import FrameCallback, SentCallback
from bench.wire.can import CanFrame, arbitration_key
from bench.wire.can_errors import ControllerState, FaultConfinement
from bench.wire.frame_run import FrameRun, RunTaker

Waiting = tuple[CanFrame, int, SentCallback | None, FrameRun | None]
"""A queued frame, its arbitration key, whom to tell when it was sent, and what would follow it."""
QUEUE_LIMIT = 4096
"""Frames a node may have waiting; more is a runaway sender."""


class BusQueueFull(RuntimeError):
    """A node queued more frames than any controller holds."""


class Bus(Protocol):
    """What a port asks of its bus."""

    name: str
    fd: bool

    def wake(self) -> None:
        """Something waits."""

    def before_cancel(self, port: SimCanPort) -> None:
        """Frames of this port are about to be dropped."""


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

    def send(self, frame: CanFrame, sent: SentCallback | None = None, run: FrameRun | None = None) -> None:
        """Queue a frame for arbitration (ValueError when no controller could send it)."""
        self.life.check()
        if len(self.queue) >= QUEUE_LIMIT:
            raise BusQueueFull(f"{self.life.part} has {QUEUE_LIMIT} frames waiting on {self._bus.name}")
        self.queue.append((frame.checked(fd=self._bus.fd), arbitration_key(frame), sent, run))
        self._bus.wake()

    def cancel(self, can_id: int) -> None:
        """Drop waiting frames with this identifier; one that is just crossing the bus crosses it all the same."""
        self.life.check()
        self._bus.before_cancel(self)
        self.queue = deque(entry for entry in self.queue if entry[0].can_id != can_id)

    def subscribe(
        self, callback: FrameCallback, can_ids: Sequence[int] | None = None, taker: RunTaker | None = None
    ) -> None:
        """Call `callback` for frames of other nodes, all or those with `can_ids`, in the order of subscription."""
        self.life.check()
        if can_ids is None:
            self.everything = (*self.everything, callback)
            self.by_id = {can_id: (*wanted, callback) for can_id, wanted in self.by_id.items()}
            return
        for can_id in can_ids:
            self.by_id[can_id] = (*self.by_id.get(can_id, self.everything), callback)
            if taker is None:
                self.plain.add(can_id)
            else:
                self.takers[can_id] = (*self.takers.get(can_id, ()), taker)

    def on_bus_off(self, callback: Callable[[], None]) -> None:
        """Call `callback` whenever this controller leaves the bus after too many errors; what waited is lost."""
        self.life.check()
        self.on_off.append(callback)

    def wanting(self, can_id: int) -> tuple[FrameCallback, ...]:
        """Return who wants a frame with this identifier."""
        return self.by_id.get(can_id, self.everything)

    @property
    def error_state(self) -> ControllerState:
        """What the controller may do after the errors it has counted."""
        return ControllerState.BUS_OFF if self.off else self.confined.state
