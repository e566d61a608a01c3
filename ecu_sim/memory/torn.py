"""What a power cut leaves in the middle of a program or erase: neither old nor new, and how it reads afterwards.

That something is torn is a state; what it reads as is no part of it. Chips differ, so a run chooses one of the readings
below, and a sweep goes through all of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import StrEnum


class TornReads(StrEnum):
    """How torn cells read."""

    MIXED = "mixed"
    """Bits of old and new, the same at every read."""
    VALID = "valid"
    """As the new value, though they are weak."""
    INVALID = "invalid"
    """A program reads as what stood there before, an erase as a mix; the same at every read."""
    CHANGING = "changing"
    """As the new value in one boot and as a mix in the next."""
    ECC_ERROR = "ecc_error"
    """Not at all: the driver reports an uncorrectable error."""


RULES = tuple(TornReads)


@dataclass(frozen=True, slots=True)
class Torn:
    """A stretch of torn units: what stood there, what should have come, and a mix of both."""

    first_unit: int
    count: int
    old: bytes
    new: bytes
    mix: bytes
    erase: bool
    reads: TornReads
    phase: int
    """0 or 1: which of two following boots reads the new value, when it changes."""
    symbol: bytes = field(init=False, repr=False, compare=False)
    """Stands for the stretch in a hash: its rule, what was there and what should have come, but not the mix."""

    def __post_init__(self) -> None:
        kind = b"erase" if self.erase else b"program"
        values = (hashlib.sha256(value).digest() for value in (self.old, self.new))
        object.__setattr__(self, "symbol", b"|".join((b"torn", kind, self.reads.encode(), *values)))

    def state(self, boot: int) -> bytes:
        """Return the symbol, and which of two boots this one is where that makes a difference."""
        if self.reads is not TornReads.CHANGING:
            return self.symbol
        return self.symbol + bytes(((boot + self.phase) % 2,))

    def flipped(self, offset: int, bit: int) -> Torn:
        """Return it with one bit flipped, whatever the stretch reads as."""

        def flip(value: bytes) -> bytes:
            return value[:offset] + bytes((value[offset] ^ 1 << bit,)) + value[offset + 1 :]

        return replace(self, old=flip(self.old), new=flip(self.new), mix=flip(self.mix))

    def reading(self, boot: int) -> bytes:
        """Return what is read in the given boot (ECC errors are the driver's to raise)."""
        if self.reads is TornReads.VALID:
            return self.new
        if self.reads is TornReads.INVALID and not self.erase:
            return self.old
        if self.reads is TornReads.CHANGING and (boot + self.phase) % 2:
            return self.new
        return self.mix


def torn_cells(
    bytes_of: Callable[[str, int], bytes], place: str, first_unit: int, count: int, old: bytes, new: bytes, *,
    erase: bool, reads: TornReads,
) -> Torn:  # fmt: skip
    """Return what a cut leaves of `old` on its way to `new`.

    The mix and the phase follow from place, kind and both values (and from the run's seed, by `bytes_of`), not from
    how many cuts there were before: states with equal symbols read alike within a run.
    """
    contents = hashlib.sha256(old).hexdigest() + hashlib.sha256(new).hexdigest()
    mask = bytes_of(f"torn {'erase' if erase else 'program'} {place} {contents}", len(old))
    return Torn(first_unit, count, old, new, mixed(old, new, mask), erase, reads, mask[0] & 1)


def mixed(old: bytes, new: bytes, mask: bytes) -> bytes:
    """Return bits of `new` where `mask` has ones, of `old` elsewhere; equal to neither where they differ enough."""
    before, after = int.from_bytes(old, "big"), int.from_bytes(new, "big")
    differing = before ^ after
    result = before ^ (differing & int.from_bytes(mask, "big"))
    if differing.bit_count() >= 2 and result in (before, after):
        result ^= differing & -differing
    return result.to_bytes(len(old), "big")
