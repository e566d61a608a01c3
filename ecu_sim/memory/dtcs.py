"""Diagnostic trouble codes: what the ECU noticed, with the status byte of ISO 14229-1 (annex D.2), kept in NVM.

Each stored DTC has a slot of its own: status, counters, and the snapshot of its first failure. A DTC that never
failed since it was cleared needs no slot; of it only the two "test not completed" bits say something.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

from bench.core.clock import NS_PER_MS
from bench.core.continuing import State
from bench.core.node import Incarnation
from ecu_sim.memory.nvm import NvmBlock, NvmDevice

SLOTS = 22
"""How many DTCs are kept; the oldest one makes room."""
AGED_CYCLES = 40
"""Operation cycles without a failure after which a DTC is forgotten."""
VERSION_BYTES = 16
LAST_ORDER = 0xFF


class Dtc(IntEnum):
    """DTCs that any ECU may set: two bytes of SAE J2012 and a failure type byte."""

    MEMORY_FAULT = 0x060144
    NOT_PROGRAMMED = 0x060251
    PROGRAMMING_INTERRUPTED = 0x060254
    CRASH_LOOP = 0x060747
    LOST_COMMUNICATION = 0xC10087
    """With the first partner; the n-th partner's is n * 0x100 higher."""
    UNDERVOLTAGE = 0xF00316


class Status(IntFlag):
    """Bits of statusOfDTC."""

    TEST_FAILED = 0x01
    FAILED_THIS_CYCLE = 0x02
    PENDING = 0x04
    CONFIRMED = 0x08
    NOT_COMPLETED_SINCE_CLEAR = 0x10
    FAILED_SINCE_CLEAR = 0x20
    NOT_COMPLETED_THIS_CYCLE = 0x40


AVAILABLE = Status(0x7F)
"""DTCStatusAvailabilityMask: every bit but warningIndicatorRequested."""
NEVER_TESTED = Status.NOT_COMPLETED_SINCE_CLEAR | Status.NOT_COMPLETED_THIS_CYCLE
FAILED = Status.TEST_FAILED | Status.FAILED_THIS_CYCLE | Status.PENDING | Status.CONFIRMED | Status.FAILED_SINCE_CLEAR


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What surrounded a failure: supply, diagnostic session, time since the boot, version of the running image."""

    supply_mv: int = 0
    session: int = 0
    uptime_ms: int = 0
    version: str = ""


_SLOT = struct.Struct(f">IBBBBHBxI{VERSION_BYTES}s8x")


@dataclass(frozen=True, slots=True)
class StoredDtc:
    """One DTC: `occurrences` counts failures that followed a pass, `aged_cycles` cycles that passed since."""

    code: int
    status: Status
    order: int = 0
    """Rank by age: the oldest has the smallest."""
    occurrences: int = 1
    aged_cycles: int = 0
    snapshot: Snapshot = Snapshot()

    def encode(self) -> bytes:
        """Return the slot's content."""
        seen = self.snapshot
        return _SLOT.pack(
            self.code, self.status, self.order, self.occurrences, self.aged_cycles, seen.supply_mv, seen.session,
            seen.uptime_ms, seen.version.encode()[:VERSION_BYTES],
        )  # fmt: skip

    @classmethod
    def decode(cls, content: bytes) -> StoredDtc | None:
        """Read a slot's content; None when the slot is free."""
        code, status, order, occurrences, aged, supply_mv, session, uptime_ms, version = _SLOT.unpack(content)
        if not code:
            return None
        text = version.rstrip(b"\x00").decode("utf-8", "replace")
        return cls(code, Status(status), order, occurrences, aged, Snapshot(supply_mv, session, uptime_ms, text))

    def failed(self) -> StoredDtc:
        """Return it after another failed test."""
        again = 0 if self.status & Status.TEST_FAILED else 1
        status = (self.status | FAILED) & ~NEVER_TESTED
        return replace(self, status=status, occurrences=min(self.occurrences + again, 0xFF), aged_cycles=0)

    def passed(self) -> StoredDtc:
        """Return it after a test without failure."""
        return replace(self, status=self.status & ~(Status.TEST_FAILED | NEVER_TESTED))

    def in_new_cycle(self) -> StoredDtc | None:
        """Return it as a new operation cycle finds it; None once it has aged away."""
        tested = not self.status & Status.NOT_COMPLETED_THIS_CYCLE
        clean = tested and not self.status & Status.FAILED_THIS_CYCLE
        aged = self.aged_cycles + 1 if clean else self.aged_cycles
        if aged >= AGED_CYCLES:
            return None
        dropped = Status.FAILED_THIS_CYCLE | (Status.PENDING if clean else Status(0))
        status = (self.status & ~dropped) | Status.NOT_COMPLETED_THIS_CYCLE
        return replace(self, status=status, aged_cycles=aged)


FREE = bytes(_SLOT.size)
"""What a free slot holds."""


class DtcStore:
    """The slots of an ECU; they outlive power cuts."""

    def __init__(self, device: NvmDevice) -> None:
        self.slots = tuple(NvmBlock(device, FREE) for _ in range(SLOTS))

    def owns(self, block: NvmBlock) -> bool:
        """Return whether a block of the device is one of the slots."""
        return any(block is slot for slot in self.slots)


class DtcMemory:
    """The DTCs of one life. Reports count at once and are written in the background; 0x85 off makes them silent.

    `observe` gives the snapshot of a failure; `new_cycle` says whether an operation cycle begins with this life.
    """

    def __init__(self, life: Incarnation, store: DtcStore, *, new_cycle: bool = True) -> None:
        self._life, self._slots = life, store.slots
        self._born_ns = life.now_ns()
        self.setting_on = True
        self.begun_cycle = new_cycle
        """Whether this life began an operation cycle."""
        self.observe: Callable[[], Snapshot] = lambda: Snapshot(uptime_ms=self.uptime_ms)
        self._entries = [StoredDtc.decode(block.content) for block in self._slots]
        self._tested: dict[int, Status] = dict.fromkeys(
            (int(code) for code in Dtc if code is not Dtc.LOST_COMMUNICATION), NEVER_TESTED
        )
        """DTCs that this ECU may set, and their status while they have no slot."""
        if new_cycle:
            self._begin_cycle()

    def state(self, now_ns: int) -> State:
        """Return what is stored and tested, whether that goes on, and how old this life is, which a tester can read."""
        entries = tuple(None if entry is None else entry.encode() for entry in self._entries)
        tested = tuple((code, int(status)) for code, status in self._tested.items())
        return entries, tested, self.setting_on, self.begun_cycle, now_ns - self._born_ns

    # Reading ----------------------------------------------------------------------------------------

    @property
    def uptime_ms(self) -> int:
        """How long this life has lasted; it stops at 32 bits."""
        return min((self._life.now_ns() - self._born_ns) // NS_PER_MS, 0xFFFF_FFFF)

    @property
    def stored(self) -> tuple[StoredDtc, ...]:
        """All DTCs that failed since they were cleared, oldest first."""
        return tuple(sorted((entry for entry in self._entries if entry is not None), key=lambda dtc: dtc.order))

    def find(self, code: int) -> StoredDtc | None:
        """Return a stored DTC, or None."""
        return next((entry for entry in self._entries if entry is not None and entry.code == code), None)

    def supported(self) -> tuple[tuple[int, Status], ...]:
        """Return (DTC, status) of every DTC that this ECU may set, by code."""
        stored = {dtc.code: dtc.status for dtc in self.stored}
        return tuple(sorted((self._tested | stored).items()))

    def declare(self, codes: Iterable[int]) -> None:
        """Add DTCs that this ECU may set (of its partners on the bus)."""
        for code in codes:
            self._tested.setdefault(code, NEVER_TESTED)

    # Tests ------------------------------------------------------------------------------------------

    def report(self, code: int, *, failed: bool) -> None:
        """Take a test's result: a failure stores the DTC, a pass ends `TEST_FAILED` of one that is stored."""
        if not self.setting_on:
            return
        self._tested[code] = Status(0)
        known = self.find(code)
        if known is not None:
            self._put(self._entries.index(known), known.failed() if failed else known.passed())
        elif failed:
            self._store_new(code)

    def _store_new(self, code: int) -> None:
        """Take a free slot, or the oldest DTC's."""
        stored = self.stored
        oldest = stored[0] if len(stored) == SLOTS else None
        kept = stored if oldest is None else stored[1:]
        if kept and kept[-1].order == LAST_ORDER:
            kept = self._rank_anew(kept)
        order = kept[-1].order + 1 if kept else 0
        self._put(self._entries.index(oldest), StoredDtc(code, FAILED, order, snapshot=self.observe()))

    def _rank_anew(self, kept: tuple[StoredDtc, ...]) -> tuple[StoredDtc, ...]:
        ranked = tuple(replace(dtc, order=rank) for rank, dtc in enumerate(kept))
        for old, new in zip(kept, ranked, strict=True):
            self._put(self._entries.index(old), new)
        return ranked

    def _begin_cycle(self) -> None:
        for index, entry in enumerate(self._entries):
            if entry is not None:
                self._put(index, entry.in_new_cycle())

    def _put(self, index: int, entry: StoredDtc | None) -> None:
        """Change a slot, and write it in the background when that made a difference."""
        if entry != self._entries[index]:
            self._entries[index] = entry
            self._life.spawn(self._slots[index].store(self._life, _content(entry)), "dtc")

    # 0x14 -------------------------------------------------------------------------------------------

    async def clear(self, code: int | None = None) -> None:
        """Forget one DTC, or all: stored data and what was tested."""
        for known in self._tested:
            if code in (None, known):
                self._tested[known] = NEVER_TESTED
        for index, entry in enumerate(self._entries):
            if entry is not None and code in (None, entry.code):
                self._entries[index] = None
                await self._slots[index].store(self._life, FREE)


def _content(entry: StoredDtc | None) -> bytes:
    return FREE if entry is None else entry.encode()
