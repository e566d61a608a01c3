"""The ECU's small memory: one record in two copies with sequence number and CRC.

A write goes to the copy that is not current, record by record of 16 bytes; a power cut in the middle leaves a
copy whose CRC is wrong, so the old value counts.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from bench.core.clock import NS_PER_US
from bench.core.node import Incarnation
from bench.core.world import World
from ecu_sim.flash import mixed

RECORD_BYTES = 16
FINGERPRINT_BYTES = 10
_FIXED = struct.Struct(">I1s1sBBBxxxI10s18s")
_CRC_BYTES = 4
COPY_BYTES = _FIXED.size + _CRC_BYTES
assert COPY_BYTES % RECORD_BYTES == 0

FLAG_NO_APPLICATION = 0x01
"""DTC: a boot found no image that it may run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmRecord:
    """What the ECU must remember. `release_floor` is the smallest release counter that it runs."""

    active_bank: str
    trial_bank: str | None = None
    trial_boots: int = 0
    release_floor: int = 0
    security_attempts: int = 0
    flags: int = 0
    fingerprint: bytes = bytes(FINGERPRINT_BYTES)

    def encode(self, sequence: int) -> bytes:
        """Return one copy: the fields, the sequence number, and a CRC-32 over both."""
        body = _FIXED.pack(
            sequence, self.active_bank.encode(), (self.trial_bank or "\x00").encode(), self.trial_boots,
            self.security_attempts, self.flags, self.release_floor, self.fingerprint, bytes(18),
        )  # fmt: skip
        return body + zlib.crc32(body).to_bytes(_CRC_BYTES, "big")


def decode_copy(raw: bytes) -> tuple[int, NvmRecord] | None:
    """Return (sequence, record), or None when the CRC is wrong."""
    body = raw[: _FIXED.size]
    if zlib.crc32(body).to_bytes(_CRC_BYTES, "big") != raw[_FIXED.size :]:
        return None
    sequence, active, trial, trial_boots, attempts, flags, floor, fingerprint, _ = _FIXED.unpack(body)
    return sequence, NvmRecord(
        active_bank=active.decode("latin-1"), trial_bank=None if trial == b"\x00" else trial.decode("latin-1"),
        trial_boots=trial_boots, release_floor=floor, security_attempts=attempts, flags=flags, fingerprint=fingerprint,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Write:
    """A write under way."""

    life: Incarnation
    copy: int
    data: bytes
    start_ns: int


class Nvm:
    """The record store of one ECU; it outlives power cuts."""

    def __init__(self, world: World, ecu: str, factory: NvmRecord, record_us: int) -> None:
        self._world, self._ecu, self._factory = world, ecu, factory
        self._step_ns = record_us * NS_PER_US
        self._copies = [factory.encode(1), b"\xff" * COPY_BYTES]
        self._running: _Write | None = None

    def preload(self, record: NvmRecord) -> None:
        """Put a record there as a factory does."""
        self._running = None
        self._copies = [record.encode(1), b"\xff" * COPY_BYTES]

    @property
    def record(self) -> NvmRecord:
        """The value that counts: the whole copy with the highest sequence number, else the factory's."""
        found = self._current()
        return self._factory if found is None else found[2]

    async def store(self, life: Incarnation, record: NvmRecord) -> None:
        """Write `record`; returns when it counts. A cut before leaves the old value."""
        life.check()
        found = self._current()
        if self._running is not None:
            raise RuntimeError(f"{self._ecu}: two NVM writes at once")
        current, sequence = (1, 0) if found is None else found[:2]
        write = _Write(life, 1 - current, record.encode((sequence + 1) & 0xFFFF_FFFF), life.now_ns())
        self._running = write
        self._world.journal.add(self._ecu, "nvm.write", write.data)
        await life.sleep_ns(COPY_BYTES // RECORD_BYTES * self._step_ns)
        self._running = None
        self._copies[write.copy] = write.data

    def _current(self) -> tuple[int, int, NvmRecord] | None:
        """Return (copy, sequence, record) of the newest whole copy."""
        self._settle()
        best: tuple[int, int, NvmRecord] | None = None
        for copy, raw in enumerate(self._copies):
            found = decode_copy(raw)
            if found is not None and (best is None or found[0] > best[1]):
                best = copy, *found
        return best

    def _settle(self) -> None:
        """Leave what a write whose life has ended left: records before, one torn, none after."""
        write = self._running
        if write is None or write.life.ended_ns is None:
            return
        self._running = None
        done, into_next_ns = divmod(write.life.ended_ns - write.start_ns, self._step_ns)
        old, split = self._copies[write.copy], min(done * RECORD_BYTES, COPY_BYTES)
        raw = write.data[:split] + old[split:]
        if into_next_ns and split < COPY_BYTES:
            end = split + RECORD_BYTES
            mask = self._world.seeds.draw(self._ecu, "torn nvm", RECORD_BYTES)
            raw = raw[:split] + mixed(old[split:end], write.data[split:end], mask) + raw[end:]
        self._copies[write.copy] = raw
