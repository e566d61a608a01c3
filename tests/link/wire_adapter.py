"""An adapter of python-can with a wire behind it, for one process: frames take their time, echoes can be lost."""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import can

from bench.core.clock import NS_PER_S
from bench.link.can_adapter import from_message
from bench.ports.can import ChannelSpec
from bench.wire.can import CanFrame, frame_bits

SPEC = ChannelSpec(
    name="can0", interface="slcan", channel="wire", bitrate_bit_s=125_000, data_bitrate_bit_s=None, options={}
)
"""125 kbit/s: a frame of 8 bytes takes a millisecond, which is long beside what a host is late by."""
ECHO_SPEC = replace(SPEC, interface="socketcan")
BUS_OFF_CLASS = 0x40
Partner = Callable[[CanFrame], tuple[CanFrame, ...]]


class WireAdapter(can.BusABC):
    """`send` puts a frame into the adapter's queue and returns at once; `partner` answers what crossed the wire."""

    def __init__(self, spec: ChannelSpec = SPEC, partner: Partner = lambda _frame: ()) -> None:
        super().__init__(channel=spec.channel)
        self._bitrate_bit_s, self._echoes, self._partner = spec.bitrate_bit_s, spec.interface == "socketcan", partner
        self.wire: list[tuple[int, int, CanFrame]] = []
        """When our frames began and ended on the wire, and which they were."""
        self.lost_echoes = 0
        """How many echoes get lost from now on."""
        self.acknowledged = True
        self.held: list[CanFrame] = []
        """What the controller repeats for want of an acknowledgement."""
        self._free_ns = 0
        self._coming: list[tuple[int, int, can.Message]] = []
        self._numbers = count()
        self._changed = threading.Condition()

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """See `can.BusABC`."""
        del timeout
        with self._changed:
            if self.acknowledged:
                self._carry(from_message(msg))
            else:
                self.held.append(from_message(msg))

    def acknowledge(self) -> None:
        """Another node is there again: what was repeated crosses."""
        with self._changed:
            self.acknowledged = True
            held, self.held = self.held, []
            for frame in held:
                self._carry(frame)

    def bus_off(self, *, flushes: bool = True) -> None:
        """The controller leaves the bus: an error frame says so, and what it held is flushed where its driver does."""
        with self._changed:
            if flushes:
                self.held.clear()
            self._come(
                time.monotonic_ns(), can.Message(is_error_frame=True, arbitration_id=BUS_OFF_CLASS, data=bytes(8))
            )

    def hear(self, frame: CanFrame) -> None:
        """Have another node send a frame that is over now."""
        with self._changed:
            self._come(time.monotonic_ns(), _message(frame, is_rx=True))

    def _carry(self, frame: CanFrame) -> None:
        begin_ns = max(time.monotonic_ns(), self._free_ns)
        end_ns = self._free_ns = begin_ns + frame_bits(frame) * NS_PER_S // self._bitrate_bit_s
        self.wire.append((begin_ns, end_ns, frame))
        if self._echoes and self.lost_echoes:
            self.lost_echoes -= 1
        elif self._echoes:
            self._come(end_ns, _message(frame, is_rx=False))
        for answer in self._partner(frame):
            end_ns = self._free_ns = end_ns + frame_bits(answer) * NS_PER_S // self._bitrate_bit_s
            self._come(end_ns, _message(answer, is_rx=True))

    def _come(self, due_ns: int, message: can.Message) -> None:
        heapq.heappush(self._coming, (due_ns, next(self._numbers), message))
        self._changed.notify_all()

    def _recv_internal(self, timeout: float | None) -> tuple[can.Message | None, bool]:
        end_ns = time.monotonic_ns() + round((timeout or 0) * NS_PER_S)
        with self._changed:
            while True:
                now_ns = time.monotonic_ns()
                if self._coming and self._coming[0][0] <= now_ns:
                    return heapq.heappop(self._coming)[2], False
                if now_ns >= end_ns:
                    return None, False
                due_ns = min(end_ns, self._coming[0][0] if self._coming else end_ns)
                self._changed.wait((due_ns - now_ns) / NS_PER_S)


def _message(frame: CanFrame, *, is_rx: bool) -> can.Message:
    return can.Message(arbitration_id=frame.can_id, data=frame.data, is_extended_id=False, is_rx=is_rx)
