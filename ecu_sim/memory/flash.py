"""Flash that is stricter than a chip: write-once until erased, torn by power loss in the middle (D3).

One driver call is one operation of several units (program) or sectors (erase), announced as a fault point. What
a power cut leaves is computed from the operation's start and the instant at which the life ended, at the next
access: units before are done, the one under way is torn, those after are untouched.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.core.records import FlashOperation, SectorWear
from bench.core.world import World
from ecu_sim.memory.pages import ERASED_BYTE, HASH_MODULUS, Cell, RegionStore, StoreSnapshot
from ecu_sim.memory.torn import TornReads, torn_cells
from ecu_sim.personality.region import FlashRegion

DIGESTS_KEPT = 1024


class FlashFault(Exception):
    """The driver was asked for what the flash forbids; nothing was changed."""


class EccError(FlashFault):
    """Cells that were read are torn, and this chip reports them as uncorrectable."""


@dataclass(frozen=True, slots=True)
class _Operation:
    """A driver call under way: all that is needed to know what a cut at any instant leaves."""

    life: Incarnation
    store: RegionStore
    erase: bool
    first: int
    count: int
    data: bytes
    start_ns: int = 0

    def state(self, now_ns: int) -> State:
        """Return what is done; how long it takes is in the state of who does it."""
        del now_ns
        return self.store.region.name, self.erase, self.first, self.count, self.data

    @property
    def event(self) -> str:
        """The event whose points it is one of."""
        return "erase" if self.erase else "program"

    def duration_ns(self, count: int) -> int:
        """Return how long the first `count` units or sectors take."""
        region = self.store.region
        if self.erase:
            return sum(region.erase_ns(self.first + n) for n in range(count))
        return count * region.program_ns

    def step_ns(self, n: int) -> int:
        """Return how long the n-th takes, counted from 0."""
        region = self.store.region
        return region.erase_ns(self.first + n) if self.erase else region.program_ns

    def progress(self, at_ns: int) -> tuple[int, bool]:
        """Return how many are done at an instant, and whether the next one has begun."""
        left_ns = at_ns - self.start_ns
        if not self.erase:
            done, into_next_ns = divmod(left_ns, self.store.region.program_ns)
            return min(done, self.count), done < self.count and into_next_ns > 0
        for n in range(self.count):
            step_ns = self.step_ns(n)
            if left_ns < step_ns:
                return n, left_ns > 0
            left_ns -= step_ns
        return self.count, False


@dataclass(frozen=True, slots=True)
class FlashSnapshot:
    """All flash of an ECU at one instant; its pages are shared with whoever took it."""

    stores: tuple[StoreSnapshot, ...]
    wear: dict[tuple[str, int], int]
    programs: int
    erases: int
    driver_faults: tuple[str, ...]
    torn_reads: TornReads
    boot: int


class Flash:
    """The flash of one ECU; it outlives power cuts. Offsets count from a region's begin."""

    def __init__(self, world: World, ecu: str, regions: Iterable[FlashRegion], *, code_partition: str = "") -> None:
        self._world, self._ecu, self._code_partition = world, ecu, code_partition
        self._stores = {region.name: RegionStore(region) for region in regions}
        self._running: dict[str, _Operation] = {}
        self._boot = 0
        self._wear: dict[tuple[str, int], int] = {}
        self._wear_shared = False
        self.programs = 0
        self.erases = 0
        self.driver_faults: list[str] = []
        self._unlocked: tuple[Incarnation, str] | None = None
        self.torn_reads = TornReads.MIXED
        """How what the next cut tears will read."""

    # Reading ----------------------------------------------------------------------------------------

    @property
    def wear(self) -> Mapping[tuple[str, int], int]:
        """Erases begun, per (region, sector)."""
        return self._wear

    def worn(self) -> tuple[SectorWear, ...]:
        """Return every sector that was erased."""
        return tuple(
            SectorWear(name, sector, n, self.region(name).endurance_cycles)
            for (name, sector), n in sorted(self._wear.items())
        )

    def region(self, name: str) -> FlashRegion:
        """Return a region; KeyError when there is none."""
        return self._stores[name].region

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return bytes; EccError where the torn read so, FlashFault (recorded) while the partition is busy."""
        return b"".join(self._readable(name, offset, length).pieces(offset, length))

    def raw(self, name: str, offset: int, length: int) -> bytes:
        """Return bytes as somebody finds them who reads the chip without the driver."""
        self.settle()
        return b"".join(self._checked(name, offset, length).pieces(offset, length))

    def digest(self, name: str, offset: int, length: int) -> str:
        """Return the SHA-256 (hexadecimal) of what `read` returns; unchanged bytes are hashed once."""
        store = self._readable(name, offset, length)
        return _DIGESTS.digest(store, offset, length)

    def is_erased(self, name: str, offset: int, length: int) -> bool:
        """Return whether every unit that the range touches may be programmed."""
        store = self._settled(name, offset, length)
        return store.is_erased(*store.region.units_of(offset, length))

    def cells(self, name: str, offset: int, length: int) -> bytes:
        """Return the state (`Cell`) of every unit that the range touches, as a driver with ECC can tell it."""
        store = self._settled(name, offset, length)
        return store.cells(*store.region.units_of(offset, length))

    def torn(self, name: str) -> tuple[tuple[int, int], ...]:
        """Return (offset, length) of the torn stretches of a region, in order."""
        self.settle()
        store = self._stores[name]
        unit_bytes = store.region.unit_bytes
        stretches: list[tuple[int, int]] = []
        for torn in sorted(store.torn, key=lambda torn: torn.first_unit):
            offset, length = torn.first_unit * unit_bytes, torn.count * unit_bytes
            if stretches and sum(stretches[-1]) == offset:
                stretches[-1] = stretches[-1][0], stretches[-1][1] + length
            else:
                stretches.append((offset, length))
        return tuple(stretches)

    def _checked(self, name: str, offset: int, length: int) -> RegionStore:
        store = self._stores[name]
        if offset < 0 or length < 0 or offset + length > store.region.size_bytes:
            raise ValueError(f"{length} bytes at 0x{offset:X} leave region {name} of {store.region.size_bytes} bytes")
        return store

    def _settled(self, name: str, offset: int, length: int) -> RegionStore:
        """Return a store that can be asked now."""
        self.settle()
        store = self._checked(name, offset, length)
        partition = store.region.partition
        if partition and any(running.store.region.partition == partition for running in self._running.values()):
            raise self._fault(f"read of {name} 0x{offset:X} while partition {partition} is being changed")
        return store

    def _readable(self, name: str, offset: int, length: int) -> RegionStore:
        store = self._settled(name, offset, length)
        if store.torn and length and store.unreadable(*store.region.units_of(offset, length)):
            text = f"uncorrectable error in {name} 0x{offset:08X} {length}"
            self._journal("flash.ecc", text)
            raise EccError(text)
        return store

    # The driver -------------------------------------------------------------------------------------

    async def program(self, life: Incarnation, name: str, offset: int, data: bytes) -> None:
        """Program whole, erased units; `FlashFault` (recorded) when a rule forbids it, before anything changes."""
        store = self._open(life, name, offset, len(data))
        unit_bytes = store.region.unit_bytes
        if not data or offset % unit_bytes or len(data) % unit_bytes:
            raise self._fault(f"program of {len(data)} bytes at {name} 0x{offset:X}: not whole units")
        first, count = offset // unit_bytes, len(data) // unit_bytes
        # Programming only clears bits: over old cells the result is the AND of both, with check bits of neither.
        if not store.is_erased(first, count):
            raise self._fault(f"program at {name} 0x{offset:X}: unit is not erased")
        self.programs += 1
        self._journal("flash.program", f"{name} 0x{offset:08X} {len(data)} {hashlib.sha256(data).hexdigest()}")
        self._record("program", name, offset, len(data))
        await self._operate(_Operation(life, store, False, first, count, data))

    async def erase(self, life: Incarnation, name: str, first_sector: int, count: int) -> None:
        """Erase sectors; `FlashFault` (recorded) when the region is protected or one of them is worn out."""
        store = self._open(life, name, 0, 0)
        region = store.region
        if count <= 0 or first_sector < 0 or first_sector + count > region.sector_count:
            raise self._fault(f"erase of {count} sectors from {first_sector} leaves {name}")
        sectors = range(first_sector, first_sector + count)
        self._refuse_worn(region, sectors)
        self.erases += 1
        if self._wear_shared:
            self._wear, self._wear_shared = self._wear.copy(), False
        for sector in sectors:
            # Counted when the erase begins: a cut in the middle wears the cells as much.
            self._wear[name, sector] = self._wear.get((name, sector), 0) + 1
        self._journal("flash.erase", f"{name} sectors {first_sector}..{first_sector + count - 1}")
        first, last = region.begins[sectors.start], region.begins[sectors.stop]
        self._record("erase", name, first, last - first)
        await self._operate(_Operation(life, store, True, first_sector, count, b""))

    def _refuse_worn(self, region: FlashRegion, sectors: range) -> None:
        rated = region.endurance_cycles
        if rated is None:
            return
        for sector in sectors:
            if self._wear.get((region.name, sector), 0) >= rated:
                raise self._fault(f"erase of {region.name} sector {sector} fails: worn out after {rated} erases")

    def _open(self, life: Incarnation, name: str, offset: int, length: int) -> RegionStore:
        life.check()
        self.settle()
        store = self._stores[name]
        region = store.region
        # A flash controller has one state machine: a second command in the middle of the first aborts it on real chips.
        if region.device in self._running:
            raise self._fault(f"operation on {name} while another one runs")
        if region.protected and self._unlocked != (life, name):
            raise self._fault(f"operation on protected region {name}")
        # Read-while-write works between partitions only: code that runs from the one that is being changed reads
        # rubbish.
        if region.partition and region.partition == self._code_partition:
            raise self._fault(f"operation on {name} while code runs from its partition {region.partition}")
        if offset < 0 or offset + length > region.size_bytes:
            raise self._fault(f"operation at {name} 0x{offset:X} leaves the region")
        return store

    def unlock(self, life: Incarnation, name: str) -> None:
        """Open a protected region to one life, until `lock` or the next boot: the boot manager's privilege."""
        self._unlocked = life, name

    def lock(self) -> None:
        """Protect what was unlocked."""
        self._unlocked = None

    def _fault(self, text: str) -> FlashFault:
        self.driver_faults.append(text)
        self._journal("flash.fault", text)
        return FlashFault(text)

    def _record(self, kind: str, name: str, offset: int, length: int) -> None:
        now_ns = self._world.clock.now_ns()
        self._world.flash_operation(FlashOperation(now_ns, self._ecu, kind, name, offset, length))

    def _journal(self, kind: str, text: str) -> None:
        self._world.journal.add(self._ecu, kind, text)

    async def _operate(self, planned: _Operation) -> None:
        """Let the operation take its time; announces it, and stops in the middle only when armed there."""
        life, device = planned.life, planned.store.region.device
        effect = life.effect(planned.event, planned.count)
        operation = self._running[device] = replace(planned, start_ns=life.now_ns())
        torn_units = effect.torn_at
        total_ns = operation.duration_ns(operation.count)
        if torn_units is not None and torn_units < operation.count:
            first_ns = operation.duration_ns(torn_units) + operation.step_ns(torn_units) // 2
            await life.sleep_ns(first_ns)
            effect.inside(torn_units)
            total_ns -= first_ns
        await life.sleep_ns(total_ns)
        del self._running[device]
        self._apply(operation, operation.count)
        effect.end()

    # What is left -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Leave what physics leaves of operations whose life has ended."""
        for device, operation in tuple(self._running.items()) if self._running else ():
            ended_ns = operation.life.ended_ns
            if ended_ns is None:
                continue
            del self._running[device]
            done, begun = operation.progress(ended_ns)
            self._apply(operation, done)
            # Time had passed in a unit: neither the old nor the new, and what it reads is for `TornReads` to say.
            if begun:
                self._tear(operation, done)

    def begin_boot(self) -> None:
        """Begin another boot: what changes between boots reads anew."""
        self.settle()
        self._boot, self.torn_reads = self._boot + 1, TornReads.MIXED
        for store in self._stores.values():
            if store.torn:
                store.begin_boot(self._boot)

    def _apply(self, operation: _Operation, count: int) -> None:
        store, region = operation.store, operation.store.region
        if not operation.erase:
            data = operation.data if count == operation.count else operation.data[: count * region.unit_bytes]
            store.write(operation.first * region.unit_bytes, data, Cell.PROGRAMMED)
        elif count:
            store.erase(region.begins[operation.first], region.begins[operation.first + count])

    def _tear(self, operation: _Operation, done: int) -> None:
        """Leave a unit (program) or a sector (erase) that is neither old nor new."""
        store, region, index = operation.store, operation.store.region, operation.first + done
        if operation.erase:
            begin, end = region.begins[index], region.begins[index + 1]
            new = bytes((ERASED_BYTE,)) * (end - begin)
        else:
            begin, end = index * region.unit_bytes, (index + 1) * region.unit_bytes
            at = done * region.unit_bytes
            new = operation.data[at : at + region.unit_bytes]
        old = b"".join(store.pieces(begin, end - begin))
        torn = torn_cells(
            partial(self._world.seeds.of, self._ecu), f"{region.name} {begin:08X}",
            *region.units_of(begin, end - begin), old, new, erase=operation.erase, reads=self.torn_reads,
        )  # fmt: skip
        store.tear(torn, self._boot)
        purpose = "torn erase" if operation.erase else "torn program"
        self._journal("flash.torn", f"{region.name} 0x{begin:08X} {end - begin} {purpose}{self._rule()}")

    def _rule(self) -> str:
        return "" if self.torn_reads is TornReads.MIXED else f", reads {self.torn_reads}"

    # State ------------------------------------------------------------------------------------------

    def continuing(self, now_ns: int) -> State:
        """Return all that reading, changing and cutting depend on, operations under way by how far they are."""
        self.settle()
        running = tuple((each.state(now_ns), now_ns - each.start_ns) for each in self._running.values())
        unlocked = "" if self._unlocked is None or not self._unlocked[0].alive else self._unlocked[1]
        return self._hash(), running, unlocked, str(self.torn_reads)

    def state_value(self) -> int:
        """Return the hash of all cells (torn ones as symbols), and of the wear where a rated endurance makes it count.

        What was counted only (programs, erases, faults) is history, not state. ValueError while an operation runs.
        """
        self._refuse_running()
        return self._hash()

    def _hash(self) -> int:
        total = sum(store.total(self._boot) for store in self._stores.values())
        counts = self._counted_wear()
        if counts:
            total += int.from_bytes(hashlib.sha256(repr(counts).encode()).digest(), "big")
        return total % HASH_MODULUS

    def _counted_wear(self) -> list[tuple[tuple[str, int], int]]:
        rated = {name for name, store in self._stores.items() if store.region.endurance_cycles is not None}
        return sorted((sector, n) for sector, n in self._wear.items() if sector[0] in rated) if rated else []

    def snapshot(self) -> FlashSnapshot:
        """Return all flash as it is now; costs what has changed since the last one. ValueError in an operation."""
        self._refuse_running()
        self._wear_shared = True
        return FlashSnapshot(
            tuple(store.snapshot() for store in self._stores.values()), self._wear, self.programs, self.erases,
            tuple(self.driver_faults), self.torn_reads, self._boot,
        )  # fmt: skip

    def restore(self, snapshot: FlashSnapshot) -> None:
        """Go back to a snapshot of flash of the same layout."""
        self._running = {}
        for store, saved in zip(self._stores.values(), snapshot.stores, strict=True):
            store.restore(saved)
        self._wear, self._wear_shared = snapshot.wear, True
        self.programs, self.erases = snapshot.programs, snapshot.erases
        self.driver_faults = list(snapshot.driver_faults)
        self.torn_reads, self._boot = snapshot.torn_reads, snapshot.boot

    def _refuse_running(self) -> None:
        self.settle()
        if self._running:
            raise ValueError(f"{self._ecu}: flash has no state to keep while an operation runs")

    # From outside the ECU ---------------------------------------------------------------------------

    def preload(self, name: str, offset: int, data: bytes) -> None:
        """Put bytes there as a factory does, from a unit's begin; costs no time, announces nothing."""
        self.settle()
        store = self._checked(name, offset, len(data))
        if offset % store.region.unit_bytes:
            raise ValueError(f"0x{offset:X} is no unit's begin")
        store.overwrite(offset, padded(bytes(data), store.region.unit_bytes))

    def flip_bit(self, name: str, offset: int, bit: int) -> None:
        """Flip one bit of a cell (bit rot); the unit's state stays."""
        self.settle()
        store = self._checked(name, offset, 1)
        if not 0 <= bit < 8:
            raise ValueError(f"a byte has no bit {bit}")
        store.flip(offset, bit)
        self._record("rot", name, offset, 1)
        self._journal("flash.rot", f"{name} 0x{offset:08X} bit {bit}")


class _Digests:
    """Hashes of what stands in flash, by content: nothing is hashed twice, whichever ECU or restored state holds it."""

    def __init__(self) -> None:
        self._known: OrderedDict[tuple[object, int, int], str] = OrderedDict()

    def digest(self, store: RegionStore, offset: int, length: int) -> str:
        keys = [(key, offset, length) for key in dict.fromkeys((store.version, store.content_key()))]
        found = next((self._known[key] for key in keys if key in self._known), None)
        if found is None:
            sha256 = hashlib.sha256()
            for piece in store.pieces(offset, length):
                sha256.update(piece)
            found = sha256.hexdigest()
        for key in keys:
            self._known[key] = found
            self._known.move_to_end(key)
        while len(self._known) > DIGESTS_KEPT:
            self._known.popitem(last=False)
        return found


_DIGESTS = _Digests()


def padded(data: bytes, unit_bytes: int) -> bytes:
    """Return `data` filled up with erased bytes to whole units."""
    return data + bytes((ERASED_BYTE,)) * (-len(data) % unit_bytes)
