"""The simulated CAN bus, frame by frame, with durations counted from the actual bits (D2).

Time on the bus is its own line: the next frame begins where the last one ended, so that in real time a late
timer delays nothing but its own delivery. Where nothing else happens, runs of frames are carried at once
(`bursts.py`); what goes wrong on the wire is counted in `bus_errors.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

from bench.core.clock import NS_PER_S, Timer
from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.records import EXTENDED, FD, FrameRecord
from bench.core.world import World
from bench.link.bursts import burst
from bench.link.bus_errors import BusErrors, Meeting, Unacknowledged
from bench.link.sim_port import SimCanPort, Waiting, waiting_state
from bench.wire.can import CanFrame, frame_bits, identifier
from bench.wire.can_errors import BEHIND_ACK_BITS, LOST_SENDER_BITS, ControllerState, Disturbance
from bench.wire.can_fd import frame_time_ns
from bench.wire.outcome import ON_WIRE, SENT, Fate, OutcomeCallback, made_outcome, sent_on_wire

CATCH_UP_NS = 50_000_000
"""How far the bus may lag in real time and still catch up instead of starting anew (50 ms)."""
Disturb = Callable[[CanFrame, str], Disturbance | None]
"""Asked about every frame that begins, with its sender's part: which of its bits is destroyed, if any."""


class _Listener(NamedTuple):
    """Who is told of a frame, whom it calls, and whether the frame is counted for it already."""

    port: SimCanPort
    callbacks: Sequence[Callable[..., object]]
    counted: bool


_Audience = tuple[bool, tuple[_Listener, ...]]
"""Whether a frame is counted for its sender already, and who else is told of it."""


class _Flight(NamedTuple):
    """A frame whose end is scheduled."""

    port: SimCanPort
    begin_ns: int
    end_ns: int
    timer: Timer
    entry: Waiting
    seen_by: frozenset[str] | None
    """Before which parts a bit of it is destroyed; none of them where the whole frame is good."""
    withdrawn: bool = False
    """Whether its sender has taken it back meanwhile: it is not repeated when it fails."""


class SimCanBus:
    """A CAN bus of any number of nodes: classic, or FD when it has a data bit rate."""

    def __init__(
        self,
        world: World,
        name: str,
        bitrate_bit_s: int,
        data_bitrate_bit_s: int | None = None,
        *,
        bursts: bool = True,
    ) -> None:
        """Build an idle bus; ValueError when the data phase would be slower than the nominal one.

        `bursts = False` carries every frame alone, whatever could be carried at once.
        """
        if data_bitrate_bit_s is not None and data_bitrate_bit_s < bitrate_bit_s:
            raise ValueError(f"data bit rate {data_bitrate_bit_s} is below the nominal {bitrate_bit_s}")
        self.name = name
        self.fd = data_bitrate_bit_s is not None
        self.bursts = bursts
        self.world, self.clock = world, world.clock
        self.bitrate_bit_s, self.data_bitrate_bit_s = bitrate_bit_s, data_bitrate_bit_s or bitrate_bit_s
        self.disturb: Disturb | None = None
        self.free_at_ns = 0
        self.busy_ns = 0
        """How long frames and error frames have occupied the bus."""
        self.ports: list[SimCanPort] = []
        self.errors = BusErrors(self)
        self._passed_ns: list[int] = []
        """When undisturbed frames ended: what the counters of all nodes share."""
        self._audiences: dict[tuple[SimCanPort, int], _Audience] = {}
        self._epoch = 0
        self._newest_ns = 0
        self._unacknowledged: Unacknowledged | None = None
        self._flight: _Flight | None = None
        self._rival: SimCanPort | None = None
        """Who won the arbitration too: with the same identifier."""
        self.active = False

    @property
    def part(self) -> str:
        """The name under which its timers stand in a schedule."""
        return self.name

    def state(self, now_ns: int) -> State:
        """Return what is on the bus and what waits at its ports, in their order, instants as what is left of them."""
        lone, flight = self._unacknowledged, self._flight
        alone = None if lone is None else (self.ports.index(lone.port), now_ns - lone.begin_ns)
        under_way: State = ()
        if flight is not None:
            missed = None if flight.seen_by is None else tuple(sorted(flight.seen_by))
            heard = tuple(port.since_ns <= flight.begin_ns for port in self.ports)
            under_way = flight.port.life.part, now_ns - flight.begin_ns, flight.end_ns - now_ns, missed, heard
            under_way = *under_way, waiting_state(flight.entry), flight.withdrawn
        ports = tuple(port.state(now_ns) for port in self.ports)
        idle = max(0, self.free_at_ns - now_ns), self.active, self.disturb is not None
        return *idle, alone, under_way, ports, self.errors.state(now_ns)

    # Nodes ------------------------------------------------------------------------------------------

    def attach(self, life: Incarnation) -> SimCanPort:
        """Return a port of this life, which hears frames that begin from now on, until the life ends."""
        counter = life.counter("frame")
        port = SimCanPort(self, life, counter, self.clock.now_ns())
        self.ports.append(port)
        counter.follow(self._passed_ns, self.filters_changed)
        self.filters_changed()
        self._newest_ns = port.since_ns
        life.at_end(partial(self._left, port))
        self.joined(port)
        return port

    def filters_changed(self) -> None:
        """Who wants which frames is to be asked anew, on every bus: a node's counter may serve several."""
        self.world.points.epoch += 1

    def joined(self, port: SimCanPort) -> None:
        """A node takes part that did not before: a lone transmitter is heard from its next attempt on."""
        if self._unacknowledged is not None and self._unacknowledged.port is not port:
            self._end_unacknowledged(joining=True)
        self.wake()

    def listening(self) -> list[SimCanPort]:
        """Return the ports that send and acknowledge: not those in bus-off."""
        return [port for port in self.ports if not port.off] if self.errors.present else self.ports

    def _left(self, port: SimCanPort) -> None:
        """A node lost its power: a frame that it was sending breaks off, unless its last dominant bit is over."""
        self.ports.remove(port)
        port.counter.unfollow()
        self.filters_changed()
        self.errors.look()
        if self._unacknowledged is not None and self._unacknowledged.port is port:
            self._unacknowledged = None
            self._broken_off(port)
        flight = self._flight
        if flight is None or flight.port is not port:
            return
        # after the ACK slot only recessive bits are left: receivers have the frame whoever goes on driving them
        if self.clock.now_ns() < flight.end_ns - self.bits_ns(BEHIND_ACK_BITS):
            flight.timer.cancel()
            self._flight = None
            self.busy_ns += self.clock.now_ns() - flight.begin_ns
            self._broken_off(port)
            self.clock.call_at_ns(self.clock.now_ns(), self._run)

    def _broken_off(self, port: SimCanPort) -> None:
        self.world.journal.add(self.name, "error_frame", f"{port.life.part} lost power while sending")
        self.free_at_ns = self.clock.now_ns() + self.bits_ns(LOST_SENDER_BITS)
        self.busy_ns += self.bits_ns(LOST_SENDER_BITS)
        self.errors.received_badly(self.ports)

    # Arbitration ------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Begin arbitration at this instant, once the sender's own code has run, unless the bus is at work."""
        if not self.active:
            self.active = True
            self.clock.call_at_ns(self.clock.now_ns(), self._run)

    def _run(self) -> None:
        """Send frames until nothing waits or something else is due before the next one ends."""
        while (winner := self._arbitrate()) is not None:
            if self._rival is not None and self._rival.queue[0][0] != winner.queue[0][0]:
                ahead = self._collide(winner, self._rival)
                if ahead is None:
                    return
                winner = ahead
            entry = winner.queue.popleft()
            begin_ns = self._begin_ns()
            # A run is carried at once only where nobody can tell: with errors or faults on the bus each frame counts
            # for itself (ADR 10).
            if entry[3] is not None and self.bursts and not self.errors.present and self.disturb is None:
                entry, begin_ns = burst(self, winner, entry, begin_ns)
            if not self._carry(winner, entry, begin_ns):
                return
        self.active = False

    def _carry(self, winner: SimCanPort, entry: Waiting, begin_ns: int) -> bool:
        """Send one frame; returns False when its end has to be waited for."""
        frame = entry[0]
        if frame[2] & FD:
            end_ns = begin_ns + self.frame_ns(frame)
        else:  # `frame_ns`, written out
            end_ns = begin_ns + frame_bits(frame) * NS_PER_S // self.bitrate_bit_s
        if self.disturb is not None:
            trouble = self.disturb(frame, winner.life.part)
            if trouble is not None:
                return self._carry_badly(winner, entry, begin_ns, trouble)
        # Nothing else is due before the end of the frame: the loop would only come back here.
        if self.clock.advance_inline(end_ns):
            self._end(winner, entry, begin_ns, end_ns)
            return True
        timer = self.clock.call_at_ns(end_ns, self._end_later, winner, entry, begin_ns, end_ns)
        self._flight = _Flight(winner, begin_ns, end_ns, timer, entry, frozenset())
        return False

    def _carry_badly(self, winner: SimCanPort, entry: Waiting, begin_ns: int, trouble: Disturbance) -> bool:
        """Send a frame of which a bit is destroyed."""
        error_ns = self.errors.error_end_ns(winner, entry[0], begin_ns, trouble)
        if error_ns is None:  # only error-passive receivers saw it: the frame goes on, past them
            end_ns, missed_by = begin_ns + self.frame_ns(entry[0]), trouble.seen_by or frozenset()
            timer = self.clock.call_at_ns(end_ns, self._end_later, winner, entry, begin_ns, end_ns, missed_by)
        else:
            end_ns = error_ns
            timer = self.clock.call_at_ns(end_ns, self._failed, winner, entry, begin_ns, end_ns, trouble)
        self._flight = _Flight(winner, begin_ns, end_ns, timer, entry, trouble.seen_by)
        return False

    def _failed(self, winner: SimCanPort, entry: Waiting, begin_ns: int, end_ns: int, trouble: Disturbance) -> None:
        """An error frame is over: the frame waits for arbitration again, before the others of its node."""
        flight, self._flight = self._flight, None
        self.free_at_ns = end_ns
        self.busy_ns += end_ns - begin_ns
        # automatic retransmission (ISO 11898-1): the frame takes part in the next arbitration, and may lose it
        withdrawn = flight is not None and flight.withdrawn
        if not withdrawn:
            winner.queue.appendleft(entry)
        self.errors.destroyed(winner, trouble)
        if withdrawn:
            winner.tell((entry,), Fate.CANCELLED, end_ns, "taken back on the wire, where an error ended it")
        self._run()

    def frame_ns(self, frame: CanFrame) -> int:
        """Return how long a frame occupies this bus."""
        if frame[2] & FD:
            return frame_time_ns(frame, self.bitrate_bit_s, self.data_bitrate_bit_s)
        return frame_bits(frame) * NS_PER_S // self.bitrate_bit_s

    def bits_ns(self, bits: int) -> int:
        """Return how long so many bits take at the nominal rate."""
        return bits * NS_PER_S // self.bitrate_bit_s

    def _begin_ns(self) -> int:
        now_ns = self.clock.now_ns()
        if self.clock.virtual:
            return now_ns if now_ns > self.free_at_ns else self.free_at_ns
        # in real time the bus may lag behind the clock by late timers; it catches up unless it was idle
        return self.free_at_ns if now_ns - self.free_at_ns < CATCH_UP_NS else now_ns

    def _arbitrate(self) -> SimCanPort | None:
        """Return who sends next; nobody while no other node is there to acknowledge."""
        ports = self.ports
        if self.errors.present:
            # Bus-off and suspended controllers take no part (ISO 11898-1, fault confinement, from memory).
            ports = self.errors.may_send(max(self.free_at_ns, self.clock.now_ns()))
        # without another node nothing drives the ACK slot: an acknowledgement error, for ever repeated, and an
        # error-passive transmitter's counter stops there (ISO 11898-1, from memory: exception 1 of rule c)
        if len(ports) < 2 and len(self.listening()) < 2:
            self._begin_unacknowledged()
            return None
        winner, best = None, -1
        self._rival = None
        for port in ports:
            if port.queue:
                key = port.queue[0][1]
                if winner is None or key < best:
                    winner, best, self._rival = port, key, None
                elif key == best and self._rival is None:
                    self._rival = port
        return winner

    def _collide(self, one: SimCanPort, other: SimCanPort) -> SimCanPort | None:
        """Two nodes send one identifier with different data: both frames are destroyed at the first bit that differs.

        Returns who goes on all the same: the other one is error-passive, and its recessive flag disturbs nobody.
        """
        begin_ns = self._begin_ns()
        meeting = self.errors.meeting(one, other)
        if meeting.ahead.life.alive and meeting.behind.error_state is not ControllerState.ERROR_ACTIVE:
            self.errors.outdone(meeting, begin_ns + self.bits_ns(meeting.bits))
            return meeting.ahead
        end_ns = begin_ns + self.bits_ns(meeting.bits)
        timer = self.clock.call_at_ns(end_ns, self._collided, meeting, begin_ns, end_ns)
        self._flight = _Flight(meeting.behind, begin_ns, end_ns, timer, meeting.behind.queue[0], None)
        return None

    def _collided(self, meeting: Meeting, begin_ns: int, end_ns: int) -> None:
        """The error frame of a collision is over: both frames wait for arbitration again, where they still were."""
        self._flight = None
        self.free_at_ns = end_ns
        self.busy_ns += end_ns - begin_ns
        self.errors.collided(meeting)
        self._run()

    # Nobody listens ---------------------------------------------------------------------------------

    def _begin_unacknowledged(self) -> None:
        """A lone transmitter repeats its frame for ever; the attempts are counted when something ends that."""
        waiting = [port for port in self.listening() if port.queue]
        if waiting and self._unacknowledged is None:
            self._unacknowledged = Unacknowledged(waiting[0], self._begin_ns())

    def before_cancel(self, port: SimCanPort, is_meant: Callable[[CanFrame], bool]) -> None:
        """Frames of this port are about to be dropped: an attempt under way is ended first, or not repeated."""
        if self._flight is not None and self._flight.port is port and is_meant(self._flight.entry[0]):
            self._flight = self._flight._replace(withdrawn=True)
        if self._unacknowledged is not None and self._unacknowledged.port is port:
            self._end_unacknowledged(joining=False)
            self.wake()

    def _end_unacknowledged(self, *, joining: bool) -> None:
        sender, self._unacknowledged = self._unacknowledged, None
        if sender is None or not sender.port.queue:
            return
        frame = sender.port.queue[0][0]
        self.free_at_ns = self.errors.repeated(sender, self.frame_ns(frame), joining=joining)

    # A frame's end ----------------------------------------------------------------------------------

    def _end_later(
        self, winner: SimCanPort, entry: Waiting, begin_ns: int, end_ns: int, missed_by: frozenset[str] = frozenset()
    ) -> None:
        flight, self._flight = self._flight, None
        withdrawn = flight is not None and flight.withdrawn
        self._end(winner, entry, begin_ns, end_ns, missed_by, withdrawn=withdrawn)
        self._run()

    def _end(
        self,
        winner: SimCanPort,
        entry: Waiting,
        begin_ns: int,
        end_ns: int,
        missed_by: frozenset[str] = frozenset(),
        *,
        withdrawn: bool = False,
    ) -> None:
        """The frame's last bit has passed: it is everybody's, or nobody acknowledged it and it is repeated."""
        # A port that was attached in mid-frame has not seen its start and neither hears nor acknowledges it.
        if begin_ns < self._newest_ns or self.errors.present or len(self.ports) < 2:
            self._end_watched(winner, entry, begin_ns, end_ns, missed_by, withdrawn=withdrawn)
            return
        # Everybody received it: only who wants it is told, and who counts each one. Whoever leaves it to the
        # acceptance filter counts it later, from the list that all share.
        self.free_at_ns = end_ns
        self.busy_ns += end_ns - begin_ns
        frame, _, ended, _ = entry
        can_id, data, flags = frame
        self.world.journal.frame((end_ns, self.name, winner.life.part, can_id, flags, data))
        self._passed_ns.append(self.clock.now_ns())
        counts_later, audience = self._audience(winner, can_id | (flags & EXTENDED) << 31)
        if not counts_later:
            self._notify(winner, ended, end_ns)
        elif ended is not None:
            winner.life.tell(ended, made_outcome((SENT, end_ns, ON_WIRE, "")))
        for port, callbacks, counted in audience:
            life = port.life
            if not life.alive:
                continue
            if counted:
                life.take(callbacks, frame, end_ns)
            else:
                life.handle(port.counter, callbacks, frame, end_ns)

    def _end_watched(
        self,
        winner: SimCanPort,
        entry: Waiting,
        begin_ns: int,
        end_ns: int,
        missed_by: frozenset[str],
        *,
        withdrawn: bool,
    ) -> None:
        """The same with errors on the bus, or for a frame that somebody heard in part only."""
        receivers = self._receivers(winner, begin_ns, missed_by)
        if not receivers:
            self.free_at_ns = self.errors.repeated(Unacknowledged(winner, begin_ns), end_ns - begin_ns, joining=False)
            if withdrawn:
                winner.tell((entry,), Fate.CANCELLED, end_ns, "taken back on the wire, where nobody acknowledged it")
            else:
                winner.queue.appendleft(entry)
            return
        self.free_at_ns = end_ns
        self.busy_ns += end_ns - begin_ns
        frame, _, ended, _ = entry
        self.world.journal.frame(
            FrameRecord(end_ns, self.name, winner.life.part, frame.can_id, frame.flags, frame.data)
        )
        if self.errors.present:
            self.errors.succeeded(winner, receivers, end_ns)
        self._notify(winner, ended, end_ns)
        for port in receivers:
            if port.life.alive:
                port.life.handle(port.counter, port.wanting(identifier(frame)), frame, end_ns)

    def _audience(self, winner: SimCanPort, name: int) -> _Audience:
        """Return who is told of a node's frame with this identifier: who wants it, and who counts each one as it
        comes."""
        if self._epoch != self.world.points.epoch:
            self._audiences, self._epoch = {}, self.world.points.epoch
        known = self._audiences.get((winner, name))
        if known is None:
            others = [port for port in self.ports if port is not winner]
            listeners = (_Listener(p, p.wanting(name), p.counter.follows(self._passed_ns)) for p in others)
            told = tuple(each for each in listeners if each.callbacks or not each.counted)
            known = self._audiences[winner, name] = (winner.counter.follows(self._passed_ns), told)
        return known

    def _receivers(self, winner: SimCanPort, begin_ns: int, missed_by: frozenset[str]) -> list[SimCanPort]:
        """Return who received a frame that began then: not who joined later, is in bus-off, or could not read it."""
        if begin_ns >= self._newest_ns and not self.errors.present:
            return [port for port in self.ports if port is not winner]
        if missed_by:
            self.errors.missed(self.ports, missed_by)
        present = (port for port in self.ports if port.since_ns <= begin_ns and not port.off)
        return [port for port in present if port is not winner and port.life.part not in missed_by]

    def _notify(self, winner: SimCanPort, ended: OutcomeCallback | None, end_ns: int) -> None:
        if winner.life.alive:  # else it lost power while only recessive bits were left
            winner.life.handle(winner.counter, () if ended is None else (ended,), sent_on_wire(end_ns))
