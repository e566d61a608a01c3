"""The cells of a region as immutable pages: shared between snapshots, hashed once each, absent where all is erased."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from ecu_sim.memory.torn import RULES, Torn, TornReads
from ecu_sim.personality.region import FlashRegion

ERASED_BYTE = 0xFF
HASH_MODULUS = 1 << 256


class Cell(IntEnum):
    """What a program unit is."""

    ERASED = 0
    PROGRAMMED = 1
    TORN = 2


_TELL = bytes((Cell.ERASED, Cell.PROGRAMMED)) + bytes((Cell.TORN,)) * 254
"""Cells as they are stored (a torn one tells its rule too) to `Cell`."""
_ECC_ERROR = Cell.TORN + RULES.index(TornReads.ECC_ERROR)


def torn_cell(reads: TornReads) -> int:
    """Return how a torn unit is stored: the symbol, not what it reads as."""
    return Cell.TORN + RULES.index(reads)


class Page:
    """Bytes and cells that never change."""

    __slots__ = ("_value", "cells", "data")

    def __init__(self, data: bytes, cells: bytes) -> None:
        self.data, self.cells = data, cells
        self._value: int | None = None

    def value(self, name: str, index: int) -> int:
        """Return the hash of the page in its place, torn units as symbols."""
        if self._value is None:
            data, cells = self.data, self.cells
            if max(cells) >= Cell.TORN:
                data = _without_torn(data, cells)
            digest = hashlib.sha256(b"".join((f"{name}|{index}|".encode(), cells, data))).digest()
            self._value = int.from_bytes(digest, "big")
        return self._value


def _without_torn(data: bytes, cells: bytes) -> bytes:
    unit_bytes = len(data) // len(cells)
    nothing = bytes(unit_bytes)
    units = (data[n * unit_bytes : (n + 1) * unit_bytes] for n in range(len(cells)))
    return b"".join(nothing if cell >= Cell.TORN else unit for unit, cell in zip(units, cells, strict=True))


@dataclass(frozen=True, slots=True)
class StoreSnapshot:
    """A region at one instant; shares its pages with the region."""

    pages: dict[int, Page]
    torn: tuple[Torn, ...]
    total: int
    version: object


class RegionStore:
    """The cells of one region. Offsets in bytes; ranges are the caller's to check."""

    __slots__ = (
        "_blank",
        "_pending",
        "_per_page",
        "_shared",
        "_snapshot",
        "_total",
        "pages",
        "region",
        "torn",
        "version",
    )  # fmt: skip

    def __init__(self, region: FlashRegion) -> None:
        self.region = region
        self.pages: dict[int, Page] = {}
        self.torn: tuple[Torn, ...] = ()
        self.version = object()
        """Stands for the content: equal objects, equal content."""
        self._blank = bytes((ERASED_BYTE,)) * region.page_bytes
        self._per_page = region.page_bytes // region.unit_bytes
        self._shared = False
        self._snapshot: StoreSnapshot | None = None
        self._total = 0
        self._pending: dict[int, Page | None] = {}

    # Reading ----------------------------------------------------------------------------------------

    def pieces(self, offset: int, length: int) -> Iterator[bytes]:
        """Yield a range page by page."""
        page_bytes, pages, end = self.region.page_bytes, self.pages, offset + length
        while offset < end:
            index, begin = divmod(offset, page_bytes)
            page = pages.get(index)
            data = self._blank if page is None else page.data
            step = min(page_bytes - begin, end - offset)
            yield data if step == page_bytes else data[begin : begin + step]
            offset += step

    def cells(self, first: int, count: int) -> bytes:
        """Return the `Cell` of each unit."""
        return b"".join(self._cells(first, count)).translate(_TELL)

    def is_erased(self, first: int, count: int) -> bool:
        """Return whether every unit is."""
        return not any(map(any, self._cells(first, count)))

    def unreadable(self, first: int, count: int) -> bool:
        """Return whether a unit among these has an ECC error."""
        return bool(self.torn) and any(_ECC_ERROR in cells for cells in self._cells(first, count))

    def _cells(self, first: int, count: int) -> Iterator[bytes]:
        per_page, pages, end = self._per_page, self.pages, first + count
        while first < end:
            index, begin = divmod(first, per_page)
            step = min(per_page - begin, end - first)
            page = pages.get(index)
            yield bytes(step) if page is None else page.cells[begin : begin + step]
            first += step

    # Changing ---------------------------------------------------------------------------------------

    def write(self, offset: int, data: bytes, cell: int) -> None:
        """Set whole units to `data` and their state to `cell`, with no questions asked."""
        self._change()
        page_bytes, unit_bytes = self.region.page_bytes, self.region.unit_bytes
        taken, length = 0, len(data)
        while taken < length:
            index, begin = divmod(offset + taken, page_bytes)
            step = min(page_bytes - begin, length - taken)
            part = data[taken : taken + step]
            cells = bytes((cell,)) * (step // unit_bytes)
            if step != page_bytes:
                old = self.pages.get(index)
                before, states = (self._blank, bytes(self._per_page)) if old is None else (old.data, old.cells)
                end, first = begin + step, begin // unit_bytes
                part = b"".join((before[:begin], part, before[end:]))
                cells = b"".join((states[:first], cells, states[end // unit_bytes :]))
            self._put(index, Page(part, cells))
            taken += step

    def erase(self, begin: int, end: int) -> None:
        """Erase whole sectors, whatever they hold."""
        self._change()
        page_bytes = self.region.page_bytes
        for index in range(begin // page_bytes, end // page_bytes):
            if index in self.pages:
                self._put(index, None)
        self._forget_torn(begin, end)

    def overwrite(self, offset: int, data: bytes) -> None:
        """Program units that may hold anything, as no driver does."""
        self._forget_torn(offset, offset + len(data))
        self.write(offset, data, Cell.PROGRAMMED)

    def tear(self, torn: Torn, boot: int) -> None:
        """Leave units torn."""
        begin = torn.first_unit * self.region.unit_bytes
        self._forget_torn(begin, begin + len(torn.old))
        self.write(begin, torn.reading(boot), torn_cell(torn.reads))
        self.torn = (*self.torn, torn)

    def begin_boot(self, boot: int) -> None:
        """Let what changes between boots read as in the one that begins."""
        for torn in self.torn:
            if torn.reads is TornReads.CHANGING:
                self.write(torn.first_unit * self.region.unit_bytes, torn.reading(boot), torn_cell(torn.reads))

    def flip(self, offset: int, bit: int) -> None:
        """Flip one bit; the unit's state stays, and a torn one has it flipped whatever it reads as."""
        self._change()
        self.torn = tuple(self._flipped(torn, offset, bit) for torn in self.torn)
        index, at = divmod(offset, self.region.page_bytes)
        old = self.pages.get(index) or Page(self._blank, bytes(self._per_page))
        data = bytearray(old.data)
        data[at] ^= 1 << bit
        blank = data == self._blank and not any(old.cells)
        self._put(index, None if blank else Page(bytes(data), old.cells))

    def _flipped(self, torn: Torn, offset: int, bit: int) -> Torn:
        at = offset - torn.first_unit * self.region.unit_bytes
        return torn.flipped(at, bit) if 0 <= at < len(torn.old) else torn

    def _change(self) -> None:
        if self._shared:
            self.pages, self._shared = self.pages.copy(), False
        self._snapshot = None
        self.version = object()

    def _put(self, index: int, page: Page | None) -> None:
        old = self.pages.get(index)
        if index not in self._pending:
            self._pending[index] = old
        if page is None:
            del self.pages[index]
        else:
            self.pages[index] = page

    def _forget_torn(self, begin: int, end: int) -> None:
        if self.torn:
            first, last = begin // self.region.unit_bytes, end // self.region.unit_bytes
            self.torn = tuple(t for t in self.torn if t.first_unit + t.count <= first or t.first_unit >= last)

    # State ------------------------------------------------------------------------------------------

    def total(self, boot: int) -> int:
        """Return the hash of the region: a sum over pages and torn stretches, so that only changed pages are hashed."""
        total = self._pages_total()
        for torn in self.torn:
            place = f"{self.region.name}|{torn.first_unit}|".encode()
            total += int.from_bytes(hashlib.sha256(place + torn.state(boot)).digest(), "big")
        return total % HASH_MODULUS

    def _pages_total(self) -> int:
        if self._pending:
            name, total = self.region.name, self._total
            for index, old in self._pending.items():
                page = self.pages.get(index)
                if page is not None:
                    total += page.value(name, index)
                if old is not None:
                    total -= old.value(name, index)
            self._total = total % HASH_MODULUS
            self._pending.clear()
        return self._total

    def content_key(self) -> object:
        """Return what stands for the bytes that are read: equal keys, equal bytes."""
        return self.version if self._pending or self.torn else self._total

    def snapshot(self) -> StoreSnapshot:
        """Return the region as it is now."""
        if self._snapshot is None:
            self._snapshot = StoreSnapshot(self.pages, self.torn, self._pages_total(), self.version)
            self._shared = True
        return self._snapshot

    def restore(self, snapshot: StoreSnapshot) -> None:
        """Go back to a snapshot of a region of the same shape."""
        self.pages, self._shared, self._snapshot = snapshot.pages, True, snapshot
        self.torn, self._total, self.version = snapshot.torn, snapshot.total, snapshot.version
        self._pending = {}
