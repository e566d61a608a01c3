"""Flash that is stricter than a chip: write-once until erased, torn by power loss in the middle (D3).

One driver call is one operation of several units (program) or sectors (erase), announced as a fault point. What
a power cut leaves is computed from the operation's start and the instant at which the life ended, at the next
access: units before are done, the one under way is torn, those after are untouched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum

from bench.core.node import Incarnation
from bench.core.points import PointCounter
from bench.core.records import FlashOperation
from bench.core.world import World
from ecu_sim.personality.geometry import FlashRegion

ERASED_BYTE = 0xFF


class FlashFault(Exception):
    """The driver was asked for what the flash forbids; nothing was changed."""


class Cell(IntEnum):
    """What a program unit is."""

    ERASED = 0
    PROGRAMMED = 1
    TORN = 2


class _Sector:
    """A sector that is not blank: its bytes and the state of each unit. Blank sectors cost nothing."""

    __slots__ = ("cells", "data")

    def __init__(self, region: FlashRegion) -> None:
        self.data = bytearray((ERASED_BYTE,)) * region.sector_bytes
        self.cells = bytearray(region.units_per_sector)


@dataclass(frozen=True, slots=True)
class _Operation:
    """A driver call under way: all that is needed to know what a cut at any instant leaves."""

    life: Incarnation
    region: FlashRegion
    erase: bool
    first: int
    count: int
    data: bytes
    start_ns: int
    step_ns: int


class Flash:
    """The flash of one ECU; it outlives power cuts. Offsets count from a region's begin."""

    def __init__(self, world: World, ecu: str, regions: Iterable[FlashRegion]) -> None:
        self._world, self._ecu = world, ecu
        self._regions = {region.name: region for region in regions}
        self._sectors: dict[tuple[str, int], _Sector] = {}
        self._versions: dict[str, int] = dict.fromkeys(self._regions, 0)
        self._digests: dict[tuple[str, int, int], tuple[int, str]] = {}
        self._running: _Operation | None = None
        self._program_points = world.points.counter(ecu, "program")
        self._erase_points = world.points.counter(ecu, "erase")
        self.programs = 0
        self.erases = 0
        self.wear: dict[tuple[str, int], int] = {}
        """Erases begun, per (region, sector)."""
        self.driver_faults: list[str] = []

    # Reading ----------------------------------------------------------------------------------------

    def region(self, name: str) -> FlashRegion:
        """Return a region; KeyError when there is none."""
        return self._regions[name]

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return bytes; torn units read as a mix of old and new."""
        self.settle()
        return b"".join(self._pieces(name, offset, length))

    def _pieces(self, name: str, offset: int, length: int) -> Iterator[bytes | memoryview]:
        """Yield a range sector by sector, without a copy of it."""
        region = self._checked(name, offset, length)
        blank = bytes((ERASED_BYTE,)) * min(length, region.sector_bytes)
        for index, begin, end in _slices(offset, length, region.sector_bytes):
            sector = self._sectors.get((name, index))
            yield blank[: end - begin] if sector is None else memoryview(sector.data)[begin:end]

    def digest(self, name: str, offset: int, length: int) -> str:
        """Return the SHA-256 (hexadecimal) of what `read` returns; unchanged bytes are hashed once."""
        self.settle()
        key, version = (name, offset, length), self._versions[name]
        known = self._digests.get(key)
        if known is None or known[0] != version:
            digest = hashlib.sha256()
            for piece in self._pieces(name, offset, length):
                digest.update(piece)
            known = self._digests[key] = version, digest.hexdigest()
        return known[1]

    def is_erased(self, name: str, offset: int, length: int) -> bool:
        """Return whether every unit that the range touches may be programmed."""
        self.settle()
        region = self._checked(name, offset, length)
        return not any(self._cells(region, *_units(region, offset, length)))

    def cells(self, name: str, offset: int, length: int) -> bytes:
        """Return the state (`Cell`) of every unit that the range touches, as a driver with ECC can tell it."""
        self.settle()
        region = self._checked(name, offset, length)
        return bytes(self._cells(region, *_units(region, offset, length)))

    def torn(self, name: str) -> tuple[tuple[int, int], ...]:
        """Return (offset, length) of the torn stretches of a region, in order."""
        self.settle()
        region = self._regions[name]
        stretches: list[tuple[int, int]] = []
        for unit, cell in enumerate(self._cells(region, 0, region.size_bytes // region.unit_bytes)):
            if cell != Cell.TORN:
                continue
            offset = unit * region.unit_bytes
            if stretches and sum(stretches[-1]) == offset:
                stretches[-1] = stretches[-1][0], stretches[-1][1] + region.unit_bytes
            else:
                stretches.append((offset, region.unit_bytes))
        return tuple(stretches)

    def _cells(self, region: FlashRegion, first: int, count: int) -> Iterator[int]:
        for index, begin, end in _slices(first, count, region.units_per_sector):
            sector = self._sectors.get((region.name, index))
            yield from sector.cells[begin:end] if sector else bytes(end - begin)

    def _checked(self, name: str, offset: int, length: int) -> FlashRegion:
        region = self._regions[name]
        if offset < 0 or length < 0 or offset + length > region.size_bytes:
            raise ValueError(f"{length} bytes at 0x{offset:X} leave region {name} of {region.size_bytes} bytes")
        return region

    # The driver -------------------------------------------------------------------------------------

    async def program(self, life: Incarnation, name: str, offset: int, data: bytes) -> None:
        """Program whole, erased units; `FlashFault` (recorded) when a rule forbids it, before anything changes."""
        region = self._open(life, name, offset, len(data))
        if not data or offset % region.unit_bytes or len(data) % region.unit_bytes:
            raise self._fault(f"program of {len(data)} bytes at {name} 0x{offset:X}: not whole units")
        if not self.is_erased(name, offset, len(data)):
            raise self._fault(f"program at {name} 0x{offset:X}: unit is not erased")
        self.programs += 1
        self._journal("flash.program", f"{name} 0x{offset:08X} {len(data)} {hashlib.sha256(data).hexdigest()}")
        self._record("program", name, offset, len(data))
        first, count = _units(region, offset, len(data))
        operation = _Operation(life, region, False, first, count, data, 0, region.program_ns)
        await self._operate(self._program_points, operation)

    async def erase(self, life: Incarnation, name: str, first_sector: int, count: int) -> None:
        """Erase sectors; `FlashFault` (recorded) when the region is protected."""
        region = self._open(life, name, first_sector * self._regions[name].sector_bytes, 0)
        if count <= 0 or (first_sector + count) * region.sector_bytes > region.size_bytes:
            raise self._fault(f"erase of {count} sectors from {first_sector} leaves {name}")
        self.erases += 1
        for sector in range(first_sector, first_sector + count):
            self.wear[name, sector] = self.wear.get((name, sector), 0) + 1
        self._journal("flash.erase", f"{name} sectors {first_sector}..{first_sector + count - 1}")
        self._record("erase", name, first_sector * region.sector_bytes, count * region.sector_bytes)
        operation = _Operation(life, region, True, first_sector, count, b"", 0, region.erase_ns)
        await self._operate(self._erase_points, operation)

    def _open(self, life: Incarnation, name: str, offset: int, length: int) -> FlashRegion:
        life.check()
        self.settle()
        if self._running is not None:
            raise self._fault(f"operation on {name} while another one runs")
        region = self._regions[name]
        if region.protected:
            raise self._fault(f"operation on protected region {name}")
        if offset < 0 or offset + length > region.size_bytes:
            raise self._fault(f"operation at {name} 0x{offset:X} leaves the region")
        return region

    def _fault(self, text: str) -> FlashFault:
        self.driver_faults.append(text)
        self._journal("flash.fault", text)
        return FlashFault(text)

    def _record(self, kind: str, name: str, offset: int, length: int) -> None:
        now_ns = self._world.clock.now_ns()
        self._world.flash_operation(FlashOperation(now_ns, self._ecu, kind, name, offset, length))

    def _journal(self, kind: str, text: str) -> None:
        self._world.journal.add(self._ecu, kind, text)

    async def _operate(self, points: PointCounter, planned: _Operation) -> None:
        """Let the operation take its time; announces it, and stops in the middle only when armed there."""
        life = planned.life
        n = points.begin(planned.count)
        life.check()
        operation = self._running = replace(planned, start_ns=life.now_ns())
        torn_units = points.torn_at(n)
        total_ns = operation.count * operation.step_ns
        if torn_units is not None and torn_units < operation.count:
            first_ns = torn_units * operation.step_ns + operation.step_ns // 2
            await life.sleep_ns(first_ns)
            points.inside(n, torn_units)
            life.check()
            total_ns -= first_ns
        await life.sleep_ns(total_ns)
        self._running = None
        self._apply(operation, operation.count)
        points.end(n)
        life.check()

    # What is left -----------------------------------------------------------------------------------

    def settle(self) -> None:
        """Leave what physics leaves of an operation whose life has ended."""
        operation = self._running
        if operation is None or operation.life.ended_ns is None:
            return
        self._running = None
        done, into_next_ns = divmod(operation.life.ended_ns - operation.start_ns, operation.step_ns)
        self._apply(operation, min(done, operation.count))
        if done < operation.count and into_next_ns:
            self._tear(operation, operation.first + done)

    def _apply(self, operation: _Operation, count: int) -> None:
        region = operation.region
        self._versions[region.name] += 1
        if operation.erase:
            for sector in range(operation.first, operation.first + count):
                self._sectors.pop((region.name, sector), None)
            return
        self._write(region, operation.first, operation.data[: count * region.unit_bytes])

    def _write(self, region: FlashRegion, first_unit: int, data: bytes, cell: Cell = Cell.PROGRAMMED) -> None:
        """Set units to `data` and their state to `cell`, with no questions asked."""
        unit_bytes = region.unit_bytes
        taken = 0
        for index, begin, end in _slices(first_unit, len(data) // unit_bytes, region.units_per_sector):
            sector = self._sector(region, index)
            length = (end - begin) * unit_bytes
            sector.data[begin * unit_bytes : end * unit_bytes] = data[taken : taken + length]
            sector.cells[begin:end] = bytes((cell,)) * (end - begin)
            taken += length

    def _sector(self, region: FlashRegion, index: int) -> _Sector:
        sector = self._sectors.get((region.name, index))
        if sector is None:
            sector = self._sectors[region.name, index] = _Sector(region)
        return sector

    def _tear(self, operation: _Operation, index: int) -> None:
        """Leave a unit (program) or a sector (erase) that is neither old nor new."""
        region = operation.region
        units = region.units_per_sector if operation.erase else 1
        first = index * units
        length = units * region.unit_bytes
        old = self.read(region.name, first * region.unit_bytes, length)
        at = (index - operation.first) * region.unit_bytes
        new = bytes((ERASED_BYTE,)) * length if operation.erase else operation.data[at : at + length]
        purpose = "torn erase" if operation.erase else "torn program"
        self._write(region, first, mixed(old, new, self._world.seeds.draw(self._ecu, purpose, length)), Cell.TORN)
        self._journal("flash.torn", f"{region.name} 0x{first * region.unit_bytes:08X} {length} {purpose}")

    # From outside the ECU ---------------------------------------------------------------------------

    def preload(self, name: str, offset: int, data: bytes) -> None:
        """Put bytes there as a factory does, from a unit's begin; costs no time, announces nothing."""
        self.settle()
        region = self._checked(name, offset, len(data))
        if offset % region.unit_bytes:
            raise ValueError(f"0x{offset:X} is no unit's begin")
        self._versions[name] += 1
        self._write(region, offset // region.unit_bytes, padded(data, region.unit_bytes))

    def flip_bit(self, name: str, offset: int, bit: int) -> None:
        """Flip one bit of a cell (bit rot); the unit's state stays."""
        self.settle()
        region = self._checked(name, offset, 1)
        if not 0 <= bit < 8:
            raise ValueError(f"a byte has no bit {bit}")
        index, at = divmod(offset, region.sector_bytes)
        self._sector(region, index).data[at] ^= 1 << bit
        self._versions[name] += 1
        self._record("rot", name, offset, 1)
        self._journal("flash.rot", f"{name} 0x{offset:08X} bit {bit}")


def _units(region: FlashRegion, offset: int, length: int) -> tuple[int, int]:
    """Return (first, count) of the units that a range touches."""
    first = offset // region.unit_bytes
    return first, -(-(offset + length) // region.unit_bytes) - first


def _slices(first: int, count: int, per_sector: int) -> Iterator[tuple[int, int, int]]:
    """Cut a range at sector borders: (sector, begin and end within it)."""
    end = first + count
    while first < end:
        index, begin = divmod(first, per_sector)
        step = min(per_sector - begin, end - first)
        yield index, begin, begin + step
        first += step


def padded(data: bytes, unit_bytes: int) -> bytes:
    """Return `data` filled up with erased bytes to whole units."""
    return data + bytes((ERASED_BYTE,)) * (-len(data) % unit_bytes)


def mixed(old: bytes, new: bytes, mask: bytes) -> bytes:
    """Return bits of `new` where `mask` has ones, of `old` elsewhere; equal to neither where they differ enough."""
    before, after = int.from_bytes(old, "big"), int.from_bytes(new, "big")
    differing = before ^ after
    result = before ^ (differing & int.from_bytes(mask, "big"))
    if differing.bit_count() >= 2 and result in (before, after):
        result ^= differing & -differing
    return result.to_bytes(len(old), "big")
