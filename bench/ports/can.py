"""CAN: a bus, a node's access to it, an adapter and the driver that opens it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from bench.core.node import Incarnation
from bench.core.world import World
from bench.wire.can import CanFrame
from bench.wire.frame_run import FrameRun, RunTaker
from bench.wire.outcome import OutcomeCallback

FrameCallback = Callable[[CanFrame, int], None]
"""Called with a received frame and the instant of its end in nanoseconds."""


class CanPort(Protocol):
    """One node's access to one CAN bus."""

    def send(self, frame: CanFrame, ended: OutcomeCallback | None = None, run: FrameRun | None = None) -> None:
        """Queue a frame; `ended` is called exactly once, with how it ended (`bench.wire.outcome`), and never from
        within this call.

        A frame that nobody acknowledges has not ended: its controller repeats it until it is acknowledged, cancelled
        or flushed. Once the port's life has ended nobody is told anything any more (D3). What raises here (a frame
        that no controller could send) was not queued and has no outcome. `run` offers what would follow; a port that
        carries frame by frame leaves it alone.
        """

    def cancel(self, can_id: int, flags: int = 0, prefix: bytes = b"") -> None:
        """Take back what was not sent yet (a transmission that timed out): frames with this identifier, of the format
        that `flags` has (EXTENDED or not), whose data begin with `prefix` (the address byte, where links share an
        identifier).

        What is taken back is told so before this returns. What can no longer be (it is on the wire, or in an adapter
        that gives nothing back) keeps the outcome that it will have.
        """

    def subscribe(
        self, callback: FrameCallback, identifiers: Sequence[int] | None = None, taker: RunTaker | None = None
    ) -> None:
        """Call `callback` for frames of other nodes: every one, or those with an identifier that is named.

        Identifiers have their format, as `bench.wire.can.identifier` gives it.

        Who also gives a `taker` does not insist on single frames.
        """

    def on_bus_off(self, callback: Callable[[], None]) -> None:
        """Call `callback` when this controller has left the bus after too many errors.

        Then the frames that waited are told that they are lost; what is sent from within `callback` is not among them.
        """


@runtime_checkable
class PacedCanPort(CanPort, Protocol):
    """A port that keeps gaps shorter than an event loop's timers can (STmin under a millisecond)."""

    def send_at(self, frame: CanFrame, not_before_ns: int, ended: OutcomeCallback | None = None) -> None:
        """Queue a frame that must not begin before that instant of the run's clock; never early, a little late."""


class CanBus(Protocol):
    """A bus that nodes attach to; an attachment lives as long as the incarnation it was made for (D3)."""

    @property
    def fd(self) -> bool:
        """Whether the bus carries CAN FD frames."""

    def attach(self, life: Incarnation) -> CanPort:
        """Return the port of this life; frames sent carry `life.part` as their sender."""


class CanAdapterBus(CanBus, Protocol):
    """A bus behind an adapter of this machine; what an `otabench.can` driver returns."""

    def close(self) -> None:
        """Give the adapter back; no thread and no socket is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSpec:
    """What an `otabench.can` driver is asked to open; `options` are the driver's own."""

    name: str
    interface: str
    channel: str
    bitrate_bit_s: int
    data_bitrate_bit_s: int | None
    options: Mapping[str, str | int | float | bool]
    named_by: str = "channels"
    """What the user named it with: a key of the bench file, or an option."""

    @property
    def fd(self) -> bool:
        """Whether the channel carries CAN FD frames."""
        return self.data_bitrate_bit_s is not None


FRAMES_LOST = "frames_lost"
"""The kind of a journal line of a channel: how many frames of other nodes were lost in front of its reader."""
SenderOf = Callable[[CanFrame], str]
"""Who sends such a frame, by its identifier: the part that the journal names for a frame of another node."""
OpenCanBus = Callable[[World, ChannelSpec, SenderOf], CanAdapterBus]
"""A driver of the entry point group `otabench.can`; EquipmentError when the adapter cannot be opened."""
