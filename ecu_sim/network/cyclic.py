"""Cyclic application frames with counter and checksum: the bytes are made once, a period costs one timer."""

from __future__ import annotations

from collections.abc import Callable

from bench.core.clock import NS_PER_MS
from bench.core.continuing import State, left_ns
from bench.core.node import Incarnation
from bench.core.records import BRS, EXTENDED, FD
from bench.core.specs import FrameSpec
from bench.ports.can import CanPort
from bench.wire.can import CanFrame
from ecu_sim.network.slot import TransmitSlot

COUNTS = 15
"""The counter has the values 0 to 14; 15 means that there is none."""
CRC8_POLYNOMIAL, CRC8_START = 0x1D, 0xFF
"""SAE J1850, as end-to-end protection of vehicle frames uses it."""
FILLER = 0xFF


def crc8(data: bytes) -> int:
    """Return the CRC-8 of SAE J1850 (start and final inversion 0xFF)."""
    crc = CRC8_START
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 & 0xFF ^ (CRC8_POLYNOMIAL if crc & 0x80 else 0)
    return crc ^ 0xFF


def frame_data(spec: FrameSpec, count: int, *, inhibit: bool) -> bytes:
    """Return the data bytes of one frame: checksum, counter, then filler with the inhibit bit."""
    body = bytearray((FILLER,)) * (spec.length - 1)
    body[0] = 0xF0 | count
    if spec.inhibit_bit is not None and not inhibit:
        body[spec.inhibit_bit // 8 - 1] &= ~(1 << spec.inhibit_bit % 8) & 0xFF
    return bytes((crc8(spec.can_id.to_bytes(4, "big") + body),)) + body


def frames_of(spec: FrameSpec, *, inhibit: bool) -> tuple[CanFrame, ...]:
    """Return all frames that one specification can send, by counter."""
    flags = (EXTENDED if spec.id_29_bit else 0) | (FD | BRS if spec.fd else 0)
    return tuple(CanFrame(spec.can_id, frame_data(spec, count, inhibit=inhibit), flags) for count in range(COUNTS))


class CyclicFrame:
    """One frame of one life, sent each period unless `may_send` says no."""

    def __init__(
        self,
        life: Incarnation,
        port: CanPort,
        spec: FrameSpec,
        may_send: Callable[[], bool],
        inhibits: Callable[[], bool],
    ) -> None:
        self._life, self._may_send, self._inhibits = life, may_send, inhibits
        self._slot = TransmitSlot(port)
        self._calm = frames_of(spec, inhibit=False)
        self._warning = None if spec.inhibit_bit is None else frames_of(spec, inhibit=True)
        self._period_ns = spec.period_ms * NS_PER_MS
        self._offset_ns = spec.offset_ms * NS_PER_MS
        self._count = 0
        self._due_ns: int | None = None
        self.label = spec.can_id
        """Which of the ECU's frames it is."""

    def state(self, now_ns: int) -> State:
        """Return the counter, when the next frame is due, and whether the last one still waits."""
        return self._count, left_ns(self._due_ns, now_ns), self._slot.state(now_ns)

    def start(self) -> None:
        """Send the first frame after the offset."""
        due_ns = self._due_ns = self._life.now_ns() + self._offset_ns
        self._life.call_at_ns(due_ns, self._send, due_ns)

    def _send(self, due_ns: int) -> None:
        if self._may_send():
            ring = self._calm if self._warning is None or not self._inhibits() else self._warning
            if self._slot.send(ring[self._count], due_ns):
                self._count = (self._count + 1) % COUNTS
        due_ns = self._due_ns = due_ns + self._period_ns
        self._life.call_at_ns(due_ns, self._send, due_ns)
