"""What an ECU does, and what its memory holds after the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

BUS_SLEEP = "bus sleep"
"""`end_cause` of an execution that the ECU ended itself because nobody needed the network any more."""


@dataclass(frozen=True, slots=True)
class BootRecord:
    """An ECU entered a stage: `boot_manager`, `bootloader` or `application`; `bank` is None but for the last."""

    t_ns: int
    ecu: str
    stage: str
    bank: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class ExecutionRecord:
    """An ECU began to execute the image in `bank`; `boot` stands for the bootloader's own place.

    `header` is the 256-byte header slot as flash held it then, `image_sha256` the hash of the bank's bytes over
    the length that header names (empty when the header names no possible length), `release_floor` the ECU's
    anti-rollback floor at that instant. A bootloader that is built in has no header: its hash is over its region.
    From `ended_t_ns` on no byte of it was executed any more, because of `end_cause`; None while it went on.
    """

    t_ns: int
    ecu: str
    bank: str
    entry_address: int
    header: bytes
    image_sha256: str
    release_floor: int
    ended_t_ns: int | None = None
    end_cause: str | None = None


@dataclass(frozen=True, slots=True)
class FlashOperation:
    """A driver call that changed flash, from `t_ns` on: `program` or `erase`; `rot` is a bit that flipped by itself.

    `offset` and `length` are bytes of a region named as in `FlashDump`.
    """

    t_ns: int
    ecu: str
    kind: str
    region: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class MemoryRegion:
    """Bytes read out of an ECU after the run; `torn` lists (offset, length) of cells that read unstably."""

    name: str
    base_address: int
    data: bytes
    torn: tuple[tuple[int, int], ...] = ()


class SectorWear(NamedTuple):
    """How often a sector was erased; `rated` is the endurance it is made for, None where nobody says."""

    region: str
    sector: int
    erases: int
    rated: int | None


@dataclass(frozen=True, slots=True)
class FlashDump:
    """All readable memory of one ECU after the run, and how often each kind of operation was done on it.

    Region names follow `BankLayout`: `mark:<bank>`, `header:<bank>`, `image:<bank>`.
    """

    ecu: str
    regions: tuple[MemoryRegion, ...]
    erases: int
    programs: int
    driver_faults: tuple[str, ...]
    release_floor: int | None = None
    """The ECU's anti-rollback floor; None where it cannot be read."""
    trial_bank: str | None = None
    """The bank whose image still waits to be confirmed; None when there is none."""
    nvm: bytes | None = None
    """What counts of every block of its NVM but the DTCs, one after the other; None where it cannot be read."""
    wear: tuple[SectorWear, ...] = ()
    """Sectors that were erased, staging flash too, in order; empty where nobody counts."""

    def region(self, name: str) -> MemoryRegion | None:
        """Return the region of that name."""
        return next((region for region in self.regions if region.name == name), None)
