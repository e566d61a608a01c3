"""A CAN bus behind an adapter of this machine (python-can), for nodes on the real clock.

Everything here runs on the loop; the adapter's two threads (`can_adapter.py`) only pass values. Frames of nodes on
this side are delivered to each other too, so that simulated and real ECUs can share a channel.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from bench.core.clock import NS_PER_MS
from bench.core.errors import EquipmentError, InputError
from bench.core.node import Incarnation
from bench.core.points import PointCounter
from bench.core.records import EXTENDED, FrameRecord
from bench.core.world import World
from bench.link.can_adapter import CanAdapter, Event, Failed, Heard, Sent, Trouble
from bench.ports.can import ChannelSpec, FrameCallback, SenderOf
from bench.wire.can import CanFrame, identifier
from bench.wire.frame_run import FrameRun, RunTaker
from bench.wire.outcome import Fate, Outcome, OutcomeCallback

QUEUE_LIMIT = 4096
"""Frames that may wait for the adapter; more is a runaway sender."""
WRITTEN_WITHIN_NS = 10 * NS_PER_MS
"""How long frames that the kernel sent for us may wait for the loop: waking it for each costs more than the frame."""


class PythonCanPort:
    """One life's attachment; refuses everything once that life has ended (D3)."""

    def __init__(self, bus: PythonCanBus, life: Incarnation, counter: PointCounter) -> None:
        self.life, self.counter = life, counter
        self.bus_off: list[Callable[[], None]] = []
        self._to_all: list[FrameCallback] = []
        self._to_one: dict[int, list[FrameCallback]] = {}
        self._bus = bus

    def send(self, frame: CanFrame, ended: OutcomeCallback | None = None, run: FrameRun | None = None) -> None:
        """Hand a frame to the adapter (ValueError when no controller could send it); never blocks."""
        del run  # a real bus carries frame by frame
        self.send_at(frame, 0, ended)

    def send_at(self, frame: CanFrame, not_before_ns: int, ended: OutcomeCallback | None = None) -> None:
        """Hand over a frame that must not begin before that instant; the adapter's writer thread paces it."""
        self.life.check()
        self._bus.queue(self, frame.checked(fd=self._bus.fd), not_before_ns, ended)

    def cancel(self, can_id: int, flags: int = 0, prefix: bytes = b"") -> None:
        """Take back such frames that the adapter has not taken yet; taken ones keep the outcome that they will have."""
        self.life.check()
        self._bus.cancel(self, can_id, flags & EXTENDED, prefix)

    def subscribe(
        self, callback: FrameCallback, identifiers: Sequence[int] | None = None, taker: RunTaker | None = None
    ) -> None:
        """Call `callback` for frames of other nodes: every one, or those with an identifier that is named."""
        del taker
        self.life.check()
        if identifiers is None:
            self._to_all.append(callback)
        for wanted in identifiers or ():
            self._to_one.setdefault(wanted, []).append(callback)

    def on_bus_off(self, callback: Callable[[], None]) -> None:
        """Call `callback` when the controller has left the bus, or the adapter is gone."""
        self.life.check()
        self.bus_off.append(callback)

    def wants(self, frame: CanFrame) -> list[FrameCallback]:
        """Return who is to be called for a frame."""
        return [*self._to_all, *self._to_one.get(identifier(frame), ())]


Pending = tuple[PythonCanPort, CanFrame, OutcomeCallback | None]


class PythonCanBus:
    """Implements `CanAdapterBus`. Frames, own ones too, go into the world's journal as on the simulated bus."""

    def __init__(self, world: World, spec: ChannelSpec, sender_of: SenderOf) -> None:
        """Open the adapter within the running loop; EquipmentError when it cannot be opened."""
        if world.clock.virtual:
            raise InputError("an adapter needs the real clock", key="clock", found="virtual", allowed="real")
        self.name, self.fd, self.spec = spec.name, spec.fd, spec
        self._world, self._sender_of = world, sender_of
        self._owners: dict[int, str] = {}
        self._ports: list[PythonCanPort] = []
        self._pending: dict[int, Pending] = {}
        self._inbox: deque[Event] = deque()
        self._loop = asyncio.get_running_loop()
        self._woken = self._timed = self._closed = False
        self._unreadable = 0
        self._to_close: list[tuple[Incarnation, Callable[[], None]]] = []
        self._adapter = CanAdapter(spec, world.clock, self._post)

    def attach(self, life: Incarnation) -> PythonCanPort:
        """Return a port of this life; ports and links of ended lives are dropped."""
        for ended, close in self._to_close:
            if not ended.alive:
                close()
        self._to_close = [each for each in self._to_close if each[0].alive]
        self._ports = [port for port in self._ports if port.life.alive]
        port = PythonCanPort(self, life, life.counter("frame"))
        self._ports.append(port)
        return port

    def own(self, can_identifier: int, part: str) -> None:
        """Note that a node of this side sends this identifier past the bus (the kernel's ISO-TP does)."""
        self._owners[can_identifier] = part

    def close_with(self, life: Incarnation, close: Callable[[], None]) -> None:
        """Have a life's link that keeps a socket or thread closed: once that life has ended, or with the bus."""
        self._to_close.append((life, close))

    @property
    def lost(self) -> int:
        """Frames that were there and could not be read, or found no room: the trace of this channel has gaps."""
        return self._unreadable + self._adapter.dropped

    @property
    def pacing(self) -> str:
        """Which mechanism keeps short gaps here, with what was measured so far; and how `sent` is known."""
        return f"{self._adapter.pacing.text()}; {self._adapter.sending}"

    def close(self) -> None:
        """Give the adapter back; both threads have ended then. Harmless when done twice."""
        if not self._closed:
            self._closed = True
            for _, close in self._to_close:
                close()
            self._adapter.close()
            for event in self._inbox:
                if isinstance(event, Heard):  # nobody is told any more, but the trace has every frame
                    self._record(event.frame, event.t_ns, self._named(event.frame))
                elif isinstance(event, Trouble):
                    self._world.journal.add(self.name, event.kind, event.text)
            self._inbox.clear()

    # Sending ----------------------------------------------------------------------------------------

    def queue(self, port: PythonCanPort, frame: CanFrame, not_before_ns: int, ended: OutcomeCallback | None) -> None:
        """Hand a checked frame of a port to the adapter."""
        if len(self._pending) >= QUEUE_LIMIT:
            raise EquipmentError(f"{port.life.part} has {QUEUE_LIMIT} frames waiting on {self.name}")
        life = port.life
        token = self._adapter.send(frame, not_before_ns, lambda: life.alive)
        self._pending[token] = (port, frame, ended)

    def cancel(self, port: PythonCanPort, can_id: int, extended: int, prefix: bytes) -> None:
        """Take back such waiting frames of a port."""
        tokens = {
            token
            for token, (owner, frame, _) in self._pending.items()
            if owner is port
            and (frame.can_id, frame.flags & EXTENDED) == (can_id, extended)
            and frame.data.startswith(prefix)
        }
        now_ns = self._world.clock.now_ns()
        for token in sorted(self._adapter.cancel(tokens)):
            self._ended(token, Outcome(Fate.CANCELLED, now_ns, None, "taken back"))

    def _ended(self, token: int, outcome: Outcome) -> None:
        """Tell the sender of a frame how it ended, unless it was told or its life is over."""
        port, _, ended = self._pending.pop(token)
        if ended is not None and port.life.alive:
            port.life.call((ended,), outcome)

    def _flush(self) -> None:
        """The controller left the bus: its nodes are told so, then the senders of all that waited."""
        waiting, taken = self._adapter.flush()
        now_ns = self._world.clock.now_ns()
        lost = [(token, self._pending[token]) for token in (*waiting, *taken) if token in self._pending]
        for token, (port, frame, _) in lost:
            # What the controller had may have crossed, and its echo be under way: it stays ours, and is told no more.
            if token in taken:
                self._pending[token] = (port, frame, None)
            else:
                del self._pending[token]
        for port in tuple(self._ports):
            port.life.call(tuple(port.bus_off))
        for _, (port, _, ended) in lost:
            if ended is not None and port.life.alive:
                port.life.call((ended,), Outcome(Fate.LOST, now_ns, None, "bus-off"))

    # What the adapter's threads saw -----------------------------------------------------------------

    def _post(self, event: Event) -> None:
        """Take an event in any thread; the loop is woken once for all that wait.

        What the kernel sent for us (`own`) is only written down: it waits for the next event, or `WRITTEN_WITHIN_NS`.
        """
        self._inbox.append(event)
        if self._woken:
            return
        patient = isinstance(event, Heard) and identifier(event.frame) in self._owners
        if patient and self._timed:
            return
        try:
            if patient:
                self._timed = True
                self._loop.call_soon_threadsafe(self._drain_soon)
            else:
                self._woken = True
                self._loop.call_soon_threadsafe(self._drain)
        except RuntimeError:  # the loop is closed: nobody is left who could want it
            self._inbox.clear()

    def _drain_soon(self) -> None:
        self._world.clock.call_at_ns(self._world.clock.now_ns() + WRITTEN_WITHIN_NS, self._drain)

    def _drain(self) -> None:
        self._woken = self._timed = False
        while self._inbox and not self._closed:
            event = self._inbox.popleft()
            if isinstance(event, Heard):
                self._record(event.frame, event.t_ns, self._named(event.frame))
                self._deliver(event.frame, event.t_ns, None)
            elif isinstance(event, Sent):
                self._sent(event)
            elif isinstance(event, Failed):
                self._failed(event)
            else:
                self._trouble(event)

    def _named(self, frame: CanFrame) -> str:
        return self._owners.get(identifier(frame)) or self._sender_of(frame)

    def _sent(self, event: Sent) -> None:
        port, frame, ended = self._pending.pop(event.token)
        self._record(frame, event.t_ns, port.life.part)
        if port.life.alive:
            outcome = Outcome(Fate.SENT, event.t_ns, event.exact)
            port.life.handle(port.counter, () if ended is None else (ended,), outcome)
        self._deliver(frame, event.t_ns, port)

    def _failed(self, event: Failed) -> None:
        if event.token in self._pending:
            self._ended(event.token, Outcome(event.fate, event.t_ns, None, event.why))

    def _deliver(self, frame: CanFrame, t_ns: int, sender: PythonCanPort | None) -> None:
        for port in self._ports:
            if port is not sender and port.life.alive:
                port.life.handle(port.counter, port.wants(frame), frame, t_ns)

    def _record(self, frame: CanFrame, t_ns: int, sender: str) -> None:
        self._world.journal.frame(FrameRecord(t_ns, self.name, sender, frame.can_id, frame.flags, frame.data))

    def _trouble(self, event: Trouble) -> None:
        self._world.journal.add(self.name, event.kind, event.text)
        self._unreadable += event.kind == "unreadable"
        if event.bus_off or event.fatal:
            self._flush()
        if event.fatal:
            self._world.crashed(self.name, EquipmentError(f"the CAN adapter of {self.name} is gone: {event.text}"))
