"""Fault confinement of a CAN controller: error counters, error-passive, bus-off (ISO 11898-1, fault confinement)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

PASSIVE_FROM, BUS_OFF_FROM = 128, 256
"""Counter values at which a controller becomes error-passive, and (transmit counter) leaves the bus."""
REC_AFTER_PASSIVE = 127
"""What a receive counter over 127 is set to by a good frame (the standard allows 119 to 127)."""
REC_LARGEST = 255
TRANSMIT_STEP, PRIMARY_STEP = 8, 8
FLAG_BITS, DELIMITER_BITS, INTERMISSION_BITS = 6, 8, 3
SUSPEND_BITS = 8
"""How long an error-passive transmitter waits after intermission before it sends again."""
RECOVERY_SEQUENCES, RECESSIVE_BITS = 128, 11
"""A controller comes back from bus-off after so many sequences of so many recessive bits."""
UNSTUFFED_END_BITS = 1 + 1 + 1 + 7 + 3
"""CRC delimiter, ACK slot, ACK delimiter, end of frame, intermission."""


class ControllerState(StrEnum):
    """What a controller may do after errors."""

    ERROR_ACTIVE = "error_active"
    ERROR_PASSIVE = "error_passive"
    BUS_OFF = "bus_off"


class FaultConfinement:
    """TEC and REC of one controller; every method is an event on the bus that the standard counts."""

    __slots__ = ("rec", "tec")

    def __init__(self) -> None:
        self.tec = 0
        self.rec = 0

    @property
    def state(self) -> ControllerState:
        """The state that the counters stand for."""
        if self.tec >= BUS_OFF_FROM:
            return ControllerState.BUS_OFF
        # REC makes passive too, but never bus-off: a receiver disturbs with active flags only (ISO 11898-1, fault
        # confinement, from memory).
        passive = self.tec >= PASSIVE_FROM or self.rec >= PASSIVE_FROM
        return ControllerState.ERROR_PASSIVE if passive else ControllerState.ERROR_ACTIVE

    @property
    def clean(self) -> bool:
        """Whether both counters are zero."""
        return not self.tec and not self.rec

    def transmit_failed(self) -> None:
        """The transmitter sent an error flag."""
        self.tec += TRANSMIT_STEP

    def not_acknowledged(self, times: int = 1) -> None:
        """Nobody acknowledged, so many times in a row: counted only until the controller is error-passive."""
        # Exception 1 of rule c: else the first node that is switched on would be off the bus before the second one is
        # there to acknowledge.
        while times and self.state is ControllerState.ERROR_ACTIVE:
            self.tec += TRANSMIT_STEP
            times -= 1

    def receive_failed(self, *, primary: bool) -> None:
        """A receiver saw an error; `primary`: its own flag came first, a dominant bit followed it."""
        # Rule b: 8 more for whose flag was answered by a dominant bit, so that a receiver with a fault of its own
        # becomes passive long before those who only follow it.
        self.rec = min(REC_LARGEST, self.rec + 1 + (PRIMARY_STEP if primary else 0))

    def transmitted(self) -> None:
        """A frame was sent and acknowledged."""
        self.tec = max(0, self.tec - 1)

    def received(self) -> None:
        """A frame was received and acknowledged."""
        # Rule h: one good frame takes a passive receiver to a value just below passive, or it would need 128 good
        # frames for one burst.
        self.rec = REC_AFTER_PASSIVE if self.rec > REC_AFTER_PASSIVE else max(0, self.rec - 1)

    def recovered(self) -> None:
        """The controller came back from bus-off."""
        self.tec = self.rec = 0


@dataclass(frozen=True, slots=True)
class Disturbance:
    """A destroyed bit of a frame: `at_bit` counts from its start of frame (0), stuff bits included.

    Without `seen_by` the bit is wrong on the bus, for the transmitter too; else only in front of these parts.
    """

    at_bit: int
    seen_by: frozenset[str] | None = None


def error_frame_bits(at_bit: int, frame_bits: int) -> int:
    """Return the bits of a CAN FD frame's error frame with intermission, counted from the end of the destroyed bit.

    At their longest: whoever sees the bit sends its flag right behind it, and where bits are stuffed the others' flags
    begin when the first one ends. Behind the CRC any dominant bit is an error at once, and the flags are one. Those of
    classic frames are computed from the bits (`bench.wire.can_wire.flag_bits`).
    """
    stuffed = at_bit < frame_bits - UNSTUFFED_END_BITS
    return (2 if stuffed else 1) * FLAG_BITS + DELIMITER_BITS + INTERMISSION_BITS


LOST_SENDER_BITS = FLAG_BITS + FLAG_BITS + DELIMITER_BITS + INTERMISSION_BITS
"""A transmitter that stops in mid-frame: six recessive bits break the stuffing, then the others' error frame."""
BEHIND_ACK_BITS = 1 + 7 + INTERMISSION_BITS
"""ACK delimiter, end of frame, intermission: recessive, so a frame is whole once its ACK slot has passed."""


def unacknowledged_bits(*, passive: bool) -> int:
    """Return by how many bits an attempt that nobody acknowledges is longer than the frame, up to the next attempt.

    An error flag takes the place of the ACK delimiter and what follows; error-passive, a pause comes on top.
    """
    return FLAG_BITS + DELIMITER_BITS + INTERMISSION_BITS - BEHIND_ACK_BITS + (SUSPEND_BITS if passive else 0)


def unacknowledged_attempts(
    waited_ns: int, active_ns: int, passive_ns: int, confined: FaultConfinement
) -> tuple[int, int]:
    """Return how many attempts a lone transmitter ends in `waited_ns` at least, and how long they take.

    An attempt takes `active_ns`, once the transmitter is error-passive `passive_ns`. Nothing is changed.
    """
    # Each missing acknowledgement counts 8 until the controller is passive; from then on the pause between attempts is
    # longer, and nothing counts any more.
    active_left = max(0, -(-(PASSIVE_FROM - confined.tec) // TRANSMIT_STEP))
    if confined.state is not ControllerState.ERROR_ACTIVE:
        active_left = 0
    active = min(active_left, -(-waited_ns // active_ns))
    taken_ns = active * active_ns
    passive = max(0, -(-(waited_ns - taken_ns) // passive_ns))
    return active + passive, taken_ns + passive * passive_ns
