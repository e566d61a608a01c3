"""What goes wrong on a simulated bus: error frames, error counters, bus-off and recovery (ISO 11898-1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.core.clock import NS_PER_S
from bench.core.continuing import State
from bench.core.records import FD
from bench.link.sim_port import Bus, SimCanPort
from bench.wire.can import CanFrame, frame_bits
from bench.wire.can_errors import (
    DELIMITER_BITS,
    INTERMISSION_BITS,
    RECESSIVE_BITS,
    RECOVERY_SEQUENCES,
    SUSPEND_BITS,
    ControllerState,
    Disturbance,
    error_frame_bits,
    unacknowledged_attempts,
    unacknowledged_bits,
)
from bench.wire.can_fd import ACK_AND_END_BITS, frame_phases
from bench.wire.can_wire import first_difference, flag_bits
from bench.wire.outcome import Fate

BEHIND_FLAGS_BITS = DELIMITER_BITS + INTERMISSION_BITS


class Unacknowledged(NamedTuple):
    """A transmitter that nobody acknowledges, and when its first attempt began."""

    port: SimCanPort
    begin_ns: int


class Meeting(NamedTuple):
    """Two nodes that send one identifier with different data."""

    ahead: SimCanPort
    """Whose bit is dominant where the frames differ first."""
    behind: SimCanPort
    at_bit: int
    bits: int
    """Up to the end of the error frame that this raises, intermission included."""


class _Seen(NamedTuple):
    """The bus as a controller in bus-off saw it when it looked last."""

    now_ns: int
    busy_ns: int
    tails: int


class BusErrors:
    """Counts errors at the controllers of one bus and keeps those in bus-off away from it."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self.present = False
        """Whether some controller has errors to its account: then nothing is taken for granted."""
        self._states: dict[SimCanPort, ControllerState] = {}
        self._recovering: dict[SimCanPort, tuple[int, _Seen]] = {}
        """What controllers in bus-off have to see, and what they had seen when they looked last."""
        self._tails = 0
        """How many frames and error frames ended: each with 11 recessive bits, which a controller in bus-off counts."""

    def state(self, now_ns: int) -> State:
        """Return what controllers in bus-off still have to see, by their place among the ports."""
        bus, places = self._bus, {port: n for n, port in enumerate(self._bus.ports)}
        left = (
            (places[port], sequences, now_ns - seen.now_ns, bus.busy_ns - seen.busy_ns, self._tails - seen.tails)
            for port, (sequences, seen) in self._recovering.items()
            if port in places
        )
        return self.present, tuple(left)

    def look(self) -> None:
        """Take note of changed counters."""
        ports = self._bus.ports
        self.present = any(port.off or not port.confined.clean for port in ports)
        for port in ports:
            state = port.error_state
            if state is not self._states.get(port, ControllerState.ERROR_ACTIVE):
                self._note(f"{port.life.part} is {state} (TEC {port.confined.tec}, REC {port.confined.rec})")
            self._states[port] = state
            if state is ControllerState.BUS_OFF and not port.off:
                self._switch_off(port)
        self._states = {port: state for port, state in self._states.items() if port in ports}
        self._recovering = {port: left for port, left in self._recovering.items() if port in ports}

    def _note(self, text: str) -> None:
        self._bus.world.journal.add(self._bus.name, "error_state", text)

    # Destroyed frames -------------------------------------------------------------------------------

    def error_end_ns(self, sender: SimCanPort, frame: CanFrame, begin_ns: int, trouble: Disturbance) -> int | None:
        """Return when the error frame is over, or None when nobody destroys the frame by a flag of its own.

        ValueError when the frame has no such bit.
        """
        nominal, fast = frame_phases(frame) if frame.flags & FD else (frame_bits(frame), 0)
        if not 0 <= trouble.at_bit < nominal + fast:
            raise ValueError(f"the frame has no bit {trouble.at_bit}; it has {nominal + fast}")
        # an error-passive receiver's flag is recessive and overwrites nothing (ISO 11898-1, from memory)
        if trouble.seen_by is not None and not self._flagged(trouble.seen_by):
            return None
        before = nominal - ACK_AND_END_BITS if fast else nominal
        bits = trouble.at_bit + 1
        quick = min(max(0, bits - before), fast)
        if frame.flags & FD:
            flags = error_frame_bits(trouble.at_bit, nominal + fast)
        else:
            on_the_bus = trouble.seen_by is None
            passive = on_the_bus and sender.error_state is not ControllerState.ERROR_ACTIVE
            flags = flag_bits(frame, trouble.at_bit, on_the_bus=on_the_bus, passive=passive) + BEHIND_FLAGS_BITS
        slow = bits - quick + flags
        return begin_ns + self._bus.bits_ns(slow) + quick * NS_PER_S // self._bus.data_bitrate_bit_s

    def _flagged(self, seen_by: frozenset[str]) -> bool:
        """Whether one of these parts sends an active error flag."""
        return any(
            port.life.part in seen_by and port.error_state is ControllerState.ERROR_ACTIVE for port in self._bus.ports
        )

    def destroyed(self, sender: SimCanPort, trouble: Disturbance) -> None:
        """Count a frame that an error frame ended."""
        where = "the bus" if trouble.seen_by is None else " ".join(sorted(trouble.seen_by))
        text = f"bit {trouble.at_bit} of a frame of {sender.life.part} destroyed at {where}"
        self._bus.world.journal.add(self._bus.name, "error_frame", text)
        self._tails += 1
        sender.confined.transmit_failed()
        self._suspend(sender, self._bus.free_at_ns)
        receivers = [port for port in self._bus.ports if port is not sender]
        # who sends the first flag has seen the error itself and counts 8 more (ISO 11898-1, fault confinement, from
        # memory: rules a and b); the others only answer its flag
        self.received_badly(receivers, trouble.seen_by or frozenset())

    def received_badly(self, receivers: Iterable[SimCanPort], first: frozenset[str] = frozenset()) -> None:
        """Count an error at receivers; the parts in `first` saw it before the others."""
        for port in receivers:
            if not port.off:
                port.confined.receive_failed(primary=port.life.part in first)
        self.look()

    # Two senders of one identifier -------------------------------------------------------------------

    def meeting(self, one: SimCanPort, other: SimCanPort) -> Meeting:
        """Return where the frames in front of two queues differ first, and who reads back another bit than it sent."""
        frames = one.queue[0][0], other.queue[0][0]
        at_bit, first_is_ahead = first_difference(*frames)
        ahead, behind = (one, other) if first_is_ahead else (other, one)
        frame = frames[0] if first_is_ahead else frames[1]
        if frame.flags & FD:
            behind_bits = error_frame_bits(at_bit, sum(frame_phases(frame)))
        else:
            behind_bits = flag_bits(frame, at_bit, on_the_bus=False) + BEHIND_FLAGS_BITS
        return Meeting(ahead, behind, at_bit, at_bit + 1 + behind_bits)

    def collided(self, meeting: Meeting) -> None:
        """Count an error frame that both senders raised: a bit error of the one, its flag in the other's frame."""
        senders = (meeting.ahead, meeting.behind)
        names = " and ".join(sorted(port.life.part for port in senders))
        self._bus.world.journal.add(
            self._bus.name, "error_frame", f"{names} sent one identifier: bit {meeting.at_bit} differs"
        )
        self._tails += 1
        for port in senders:
            if port in self._bus.ports:
                port.confined.transmit_failed()
                self._suspend(port, self._bus.free_at_ns)
        self.received_badly([port for port in self._bus.ports if port not in senders])

    def outdone(self, meeting: Meeting, end_ns: int) -> None:
        """Count the bit error of an error-passive sender whose flag nobody sees."""
        meeting.behind.confined.transmit_failed()
        self._suspend(meeting.behind, end_ns)
        text = f"{meeting.behind.life.part} gave way to {meeting.ahead.life.part}: bit {meeting.at_bit} differs"
        self._bus.world.journal.add(self._bus.name, "error_frame", text)
        self.look()

    def missed(self, ports: Iterable[SimCanPort], missed_by: frozenset[str]) -> None:
        """Count a frame that error-passive receivers could not read, and could not destroy either."""
        self.received_badly([port for port in ports if port.life.part in missed_by])

    # Frames that nobody acknowledged ----------------------------------------------------------------

    def repeated(self, sender: Unacknowledged, frame_ns: int, *, joining: bool) -> int:
        """Count the attempts of a lone transmitter up to now and return when its next one begins.

        `joining`: another node listens from now on and needs 11 recessive bits before it takes part.
        """
        bus, confined = self._bus, sender.port.confined
        waited_ns = max(1, bus.clock.now_ns() - sender.begin_ns + (bus.bits_ns(RECESSIVE_BITS) if joining else 0))
        active_ns, passive_ns = (frame_ns + bus.bits_ns(unacknowledged_bits(passive=p)) for p in (False, True))
        attempts, taken_ns = unacknowledged_attempts(waited_ns, active_ns, passive_ns, confined)
        confined.not_acknowledged(attempts)
        bus.busy_ns += taken_ns
        text = f"{sender.port.life.part} was not acknowledged in {attempts} attempt(s)"
        bus.world.journal.add(bus.name, "error_frame", text)
        self.look()
        return sender.begin_ns + taken_ns

    # Good frames ------------------------------------------------------------------------------------

    def succeeded(self, sender: SimCanPort, receivers: Sequence[SimCanPort], end_ns: int) -> None:
        """Count a good frame; an error-passive sender pauses before its next one."""
        self._tails += 1
        sender.confined.transmitted()
        for port in receivers:
            port.confined.received()
        self.look()
        self._suspend(sender, end_ns)

    def _suspend(self, sender: SimCanPort, end_ns: int) -> None:
        # suspend transmission: an error-passive sender waits 8 bits after the intermission, so that a node with a
        # damaged transmitter leaves the bus to the others first (ISO 11898-1, from memory)
        if sender.error_state is ControllerState.ERROR_PASSIVE:
            sender.suspended_until_ns = end_ns + self._bus.bits_ns(SUSPEND_BITS)

    def may_send(self, begin_ns: int) -> list[SimCanPort]:
        """Return the ports that may begin a frame now; when all that have one pause, the bus looks again later."""
        ports = [port for port in self._bus.ports if not port.off]
        ready = [port for port in ports if port.suspended_until_ns <= begin_ns]
        if not any(port.queue for port in ready):
            paused = [port.suspended_until_ns for port in ports if port.queue]
            if paused:
                self._bus.clock.call_at_ns(min(paused), self._bus.wake)
        return ready

    # Bus-off ----------------------------------------------------------------------------------------

    def _switch_off(self, port: SimCanPort) -> None:
        """The controller leaves the bus; what waited in it is lost, and it begins to count recessive bits."""
        # TEC over 255: the controller may not send again, not even an acknowledgement, before it has seen 128 times 11
        # recessive bits (ISO 11898-1, from memory); whoever forgets the pause sees it shout its bus down again at once
        port.off = True
        # Out of the queue first: what somebody sends from within `on_off` waits for the recovery.
        lost = tuple(port.queue)
        port.queue.clear()
        port.life.call(tuple(port.on_off))
        port.tell(lost, Fate.LOST, self._bus.clock.now_ns(), "bus-off")
        self._count_recessive(port, RECOVERY_SEQUENCES)

    def _count_recessive(self, port: SimCanPort, left: int) -> None:
        """Look again when the bus could have been recessive long enough."""
        bus = self._bus
        now_ns = bus.clock.now_ns()
        due_ns = now_ns + bus.bits_ns(left * RECESSIVE_BITS)
        self._recovering[port] = left, _Seen(now_ns, bus.busy_ns, self._tails)
        port.life.call_at_ns(due_ns, self._recover, port)

    def _recover(self, port: SimCanPort) -> None:
        """Come back, unless frames took so much of the time that some sequences are missing."""
        bus = self._bus
        left, seen = self._recovering.pop(port)
        idle_ns = bus.clock.now_ns() - seen.now_ns - (bus.busy_ns - seen.busy_ns)
        left -= max(0, idle_ns) // bus.bits_ns(RECESSIVE_BITS) + self._tails - seen.tails
        if left > 0:
            self._count_recessive(port, left)
            return
        port.confined.recovered()
        port.off = False
        self.look()
        bus.joined(port)
