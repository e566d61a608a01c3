"""The ECU's small memory (EEPROM): blocks of records, each in two copies with sequence number and CRC.

A write goes to the copy that is not current, record by record of 16 bytes; a power cut in the middle leaves a
copy whose CRC is wrong, so the old value counts; but where the last record is the torn one and reads as valid, the new
value does. The device writes one record at a time: blocks wait for each other.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from bench.core.clock import NS_PER_US
from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.world import World
from ecu_sim.memory.torn import Torn, TornReads, torn_cells

RECORD_BYTES = 16
FINGERPRINT_BYTES = 10
_SEQUENCE_BYTES = _CRC_BYTES = 4
_FIXED = struct.Struct(">1s1sBBxxxxI10s18s")
COPY_BYTES = _SEQUENCE_BYTES + _FIXED.size + _CRC_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class NvmRecord:
    """What the ECU must remember. `release_floor` is the smallest release counter that it runs."""

    active_bank: str
    trial_bank: str | None = None
    trial_boots: int = 0
    release_floor: int = 0
    security_attempts: int = 0
    fingerprint: bytes = bytes(FINGERPRINT_BYTES)

    def encode(self) -> bytes:
        """Return the block's content."""
        return _FIXED.pack(
            self.active_bank.encode(), (self.trial_bank or "\x00").encode(), self.trial_boots,
            self.security_attempts, self.release_floor, self.fingerprint, bytes(18),
        )  # fmt: skip

    @classmethod
    def decode(cls, content: bytes) -> NvmRecord:
        """Read a block's content."""
        active, trial, trial_boots, attempts, floor, fingerprint, _ = _FIXED.unpack(content)
        return cls(
            active_bank=active.decode("latin-1"), trial_bank=None if trial == b"\x00" else trial.decode("latin-1"),
            trial_boots=trial_boots, release_floor=floor, security_attempts=attempts,
            fingerprint=fingerprint,
        )  # fmt: skip


def encode_copy(sequence: int, content: bytes) -> bytes:
    """Return one copy of a block: sequence number, content, and a CRC-32 over both."""
    body = sequence.to_bytes(_SEQUENCE_BYTES, "big") + content
    return body + zlib.crc32(body).to_bytes(_CRC_BYTES, "big")


def decode_copy(raw: bytes) -> tuple[int, bytes] | None:
    """Return (sequence, content), or None when the CRC is wrong."""
    body = raw[:-_CRC_BYTES]
    # A cut leaves a copy of old and new records: only the CRC over all of it tells that it is none.
    if zlib.crc32(body).to_bytes(_CRC_BYTES, "big") != raw[-_CRC_BYTES:]:
        return None
    return int.from_bytes(body[:_SEQUENCE_BYTES], "big"), body[_SEQUENCE_BYTES:]


@dataclass(frozen=True, slots=True)
class _Write:
    """A write under way."""

    life: Incarnation
    copy: int
    data: bytes
    start_ns: int

    def state(self, now_ns: int) -> State:
        """Return what is written where, and for how long by now."""
        return self.copy, self.data, now_ns - self.start_ns


@dataclass(frozen=True, slots=True)
class NvmCopy:
    """One copy of a block as it stands in its cells; `torn` tells which record a cut left torn."""

    raw: bytes
    torn: Torn | None = None

    def reading(self, boot: int) -> bytes | None:
        """Return what is read in a boot, or None when the device reports an error."""
        torn = self.torn
        if torn is None:
            return self.raw
        if torn.reads is TornReads.ECC_ERROR:
            return None
        at = torn.first_unit * RECORD_BYTES
        return self.raw[:at] + torn.reading(boot) + self.raw[at + RECORD_BYTES :]

    def symbols(self, boot: int) -> bytes:
        """Return the copy for a hash: the torn record as a symbol, never as it reads."""
        if self.torn is None:
            return self.raw
        at = self.torn.first_unit * RECORD_BYTES
        return b"|".join((self.raw[:at], b"TORN", self.torn.state(boot), self.raw[at + RECORD_BYTES :]))


class NvmDevice:
    """The chip: when it is free again. Its contents are the blocks."""

    def __init__(self, world: World, ecu: str, record_us: int) -> None:
        self.world, self.ecu = world, ecu
        self.step_ns = record_us * NS_PER_US
        self.blocks: list[NvmBlock] = []
        self.boot = 0
        self.torn_reads = TornReads.MIXED
        """How what the next cut tears will read."""
        self._life: Incarnation | None = None
        self._free_ns = 0
        self._hashed: tuple[tuple[tuple[tuple[NvmCopy, ...], ...], int], bytes] | None = None
        """What was hashed last (copies of all blocks, boot) and its hash: NVM rests while flash is programmed."""

    def reserve(self, life: Incarnation, records: int) -> int:
        """Return how long the device is still busy (ns), and keep it busy for `records` more after that."""
        now_ns = life.now_ns()
        # The queue of a life that has ended is gone with its RAM.
        start_ns = max(now_ns, self._free_ns) if life is self._life else now_ns
        self._life, self._free_ns = life, start_ns + records * self.step_ns
        return start_ns - now_ns

    def begin_boot(self) -> None:
        """Begin another boot: writes that were cut have left what they left."""
        for block in self.blocks:
            block.settle()
        self.boot, self.torn_reads = self.boot + 1, TornReads.MIXED

    @property
    def unreadable(self) -> bool:
        """Whether a copy of a block cannot be read."""
        return any(copy.reading(self.boot) is None for block in self.blocks for copy in block.copies)

    def snapshot(self) -> NvmSnapshot:
        """Return the blocks as they are now. ValueError while one is written."""
        return NvmSnapshot(self._settled(), self.boot, self.torn_reads)

    def _settled(self) -> tuple[tuple[NvmCopy, ...], ...]:
        return tuple([block.settled_copies() for block in self.blocks])

    def restore(self, snapshot: NvmSnapshot) -> None:
        """Go back to a snapshot of a device with the same blocks."""
        for block, copies in zip(self.blocks, snapshot.blocks, strict=True):
            block.put(copies)
        self.boot, self.torn_reads = snapshot.boot, snapshot.torn_reads
        self._life, self._free_ns = None, 0

    def state_value(self) -> bytes:
        """Return the hash of all blocks, torn records as symbols. ValueError while one is written."""
        state = self._settled(), self.boot
        if self._hashed is None or self._hashed[0] != state:
            digest = hashlib.sha256()
            for block in self.blocks:
                for part in block.state():
                    digest.update(len(part).to_bytes(4, "big") + part)
            self._hashed = state, digest.digest()
        return self._hashed[1]

    def continuing(self, now_ns: int) -> State:
        """Return all that reading, writing and cutting depend on, writes under way by how far they are."""
        for block in self.blocks:
            block.settle()
        writes = tuple((n, *block.writing(now_ns)) for n, block in enumerate(self.blocks) if block.writing(now_ns))
        busy_ns = max(0, self._free_ns - now_ns) if self._life is not None and self._life.alive else 0
        stored = self.state_value() if not writes else b"".join(b"|".join(block.symbols()) for block in self.blocks)
        return stored, writes, busy_ns, str(self.torn_reads)


class NvmBlock:
    """A value of fixed length that outlives power cuts: the last one whose write came to its end."""

    def __init__(self, device: NvmDevice, factory: bytes) -> None:
        self._device, self._factory = device, factory
        self._copy_bytes = _SEQUENCE_BYTES + len(factory) + _CRC_BYTES
        if self._copy_bytes % RECORD_BYTES:
            raise ValueError(f"a block of {len(factory)} bytes does not fill records of {RECORD_BYTES}")
        self._running: _Write | None = None
        self.copies: tuple[NvmCopy, ...] = ()
        self.preload(factory)
        device.blocks.append(self)

    def preload(self, content: bytes) -> None:
        """Put a value there as a factory does."""
        self.put((NvmCopy(encode_copy(1, content)), NvmCopy(b"\xff" * self._copy_bytes)))

    def put(self, copies: tuple[NvmCopy, ...]) -> None:
        """Put both copies there."""
        self._running, self.copies = None, copies

    @property
    def content(self) -> bytes:
        """The value that counts: the whole copy with the highest sequence number, else the factory's."""
        found = self._current()
        return self._factory if found is None else found[2]

    async def store(self, life: Incarnation, content: bytes) -> None:
        """Write; returns when it counts. A cut before leaves the old value.

        A newest copy that a cut left weak (the device can tell by its margin) is written again in place first, so that
        there is a firm copy at every instant.
        """
        life.check()
        if len(content) != len(self._factory):
            raise ValueError(f"{len(content)} bytes for a block of {len(self._factory)}")
        # A value that counts only because a torn copy reads well: overwriting the other copy now would leave none for
        # sure.
        if self._weak_copy() is not None:
            await self._write(life, self._weak_copy)
        await self._write(life, lambda: self._next_copy(content))

    async def keep(self, life: Incarnation, content: bytes) -> None:
        """Have a value count, now and at every boot that follows; writes nothing when it stands and no copy is torn.

        A value that counts only because a torn copy reads well today, or ill, may be another one tomorrow.
        """
        life.check()
        if content != self.content:
            await self.store(life, content)
        elif self._weak_copy() is not None:
            await self._write(life, self._weak_copy)
        elif any(copy.torn is not None for copy in self.copies):
            await self.store(life, content)

    def _weak_copy(self) -> tuple[int, bytes] | None:
        """Return the newest copy and its bytes when it is torn and reads well all the same."""
        found = self._current()
        if found is None or self.copies[found[0]].torn is None:
            return None
        return found[0], encode_copy(*found[1:])

    def _next_copy(self, content: bytes) -> tuple[int, bytes]:
        """Return the copy that is not the newest, and what makes it so."""
        found = self._current()
        # Never the newest copy: until the new one is whole the old one must stand.
        current, sequence = (1, 0) if found is None else found[:2]
        return 1 - current, encode_copy((sequence + 1) & 0xFFFF_FFFF, content)

    async def _write(self, life: Incarnation, plan: Callable[[], tuple[int, bytes] | None]) -> None:
        """Write a copy once the device is free; what to write where is asked then, and may be nothing."""
        records = self._copy_bytes // RECORD_BYTES
        wait_ns = self._device.reserve(life, records)
        if wait_ns:
            await life.sleep_ns(wait_ns)
        planned = plan()
        if planned is None:
            return
        write = self._running = _Write(life, *planned, life.now_ns())
        self._device.world.journal.add(self._device.ecu, "nvm.write", write.data)
        await life.sleep_ns(records * self._device.step_ns)
        self._running = None
        self._set(write.copy, NvmCopy(write.data))

    def _set(self, copy: int, value: NvmCopy) -> None:
        self.copies = (value, self.copies[1]) if copy == 0 else (self.copies[0], value)

    def _current(self) -> tuple[int, int, bytes] | None:
        """Return (copy, sequence, content) of the newest whole copy."""
        self.settle()
        best: tuple[int, int, bytes] | None = None
        for copy, stored in enumerate(self.copies):
            raw = stored.reading(self._device.boot)
            found = None if raw is None else decode_copy(raw)
            if found is not None and (best is None or found[0] > best[1]):
                best = copy, *found
        return best

    def settle(self) -> None:
        """Leave what a write whose life has ended left: records before, one torn, none after."""
        write = self._running
        if write is None or write.life.ended_ns is None:
            return
        self._running = None
        device = self._device
        done, into_next_ns = divmod(write.life.ended_ns - write.start_ns, device.step_ns)
        old, split = self.copies[write.copy].reading(device.boot), min(done * RECORD_BYTES, self._copy_bytes)
        old = b"\xff" * self._copy_bytes if old is None else old
        raw, torn = write.data[:split] + old[split:], None
        if into_next_ns and split < self._copy_bytes:
            end = split + RECORD_BYTES
            place = f"nvm {device.blocks.index(self)} {write.copy} {done}"
            torn = torn_cells(
                partial(device.world.seeds.of, device.ecu), place, done, 1, old[split:end], write.data[split:end],
                erase=False, reads=device.torn_reads,
            )  # fmt: skip
        self._set(write.copy, NvmCopy(raw, torn))

    def settled_copies(self) -> tuple[NvmCopy, ...]:
        """Return both copies; ValueError while one is written."""
        self.settle()
        if self._running is not None:
            raise ValueError(f"{self._device.ecu}: NVM has no state to keep while a block is written")
        return self.copies

    def writing(self, now_ns: int) -> State:
        """Return the write under way, as it may be cut any time: which copy, over what, and how far it is."""
        write = self._running
        if write is None:
            return ()
        old = self.copies[write.copy].symbols(self._device.boot)
        return *write.state(now_ns), old

    def state(self) -> tuple[bytes, bytes]:
        """Return what counts, then what the other copy holds, for a hash. ValueError while one is written.

        How often the block was written (its sequence numbers) and which copy is the newer one is no difference.
        """
        self.settled_copies()
        return self.symbols()

    def symbols(self) -> tuple[bytes, bytes]:
        """Return the same, whether one is written or not: until its end a write changes nothing."""
        copies, current = self.copies, self._current()
        boot = self._device.boot
        if current is None:
            return copies[0].symbols(boot), copies[1].symbols(boot)
        other = copies[1 - current[0]]
        older = decode_copy(other.raw) if other.torn is None else None
        counts = copies[current[0]]
        newest = current[2] if counts.torn is None else counts.symbols(boot)
        return newest, other.symbols(boot) if older is None else older[1]


@dataclass(frozen=True, slots=True)
class NvmSnapshot:
    """All blocks at one instant."""

    blocks: tuple[tuple[NvmCopy, ...], ...]
    boot: int
    torn_reads: TornReads


class Nvm:
    """The record of one ECU; it outlives power cuts. `device` takes further blocks."""

    def __init__(self, world: World, ecu: str, factory: NvmRecord, record_us: int) -> None:
        self.device = NvmDevice(world, ecu, record_us)
        self._block = NvmBlock(self.device, factory.encode())

    def preload(self, record: NvmRecord) -> None:
        """Put a record there as a factory does."""
        self._block.preload(record.encode())

    @property
    def record(self) -> NvmRecord:
        """The value that counts."""
        return NvmRecord.decode(self._block.content)

    async def store(self, life: Incarnation, record: NvmRecord) -> None:
        """Write `record`; returns when it counts. A cut before leaves the old value."""
        await self._block.store(life, record.encode())

    async def keep(self, life: Incarnation, record: NvmRecord) -> None:
        """Have `record` count at every boot that follows; writes only what needs it (`NvmBlock.keep`)."""
        await self._block.keep(life, record.encode())
