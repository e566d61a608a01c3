"""The owner's data in flash, and in NVM whether the ECU is locked and which job on them is not done yet.

A job (wipe, factory reset) stands in NVM before the first sector is erased and until the last one is. So a power cut
at any instant leaves a job that the next boot takes up again, from the first sector that is not blank.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import pairwise

from bench.core.node import Incarnation
from bench.core.seeds import keyed_bytes
from ecu_sim.memory.flash import Flash
from ecu_sim.memory.nvm import NvmBlock, NvmDevice
from ecu_sim.personality.user_data import USER_REGION, UserData

_FIXED = struct.Struct(">BBBxHH")


class Job(IntEnum):
    """What is done to the owner's data."""

    NONE = 0
    WIPE = 1
    FACTORY_RESET = 2


class Contents(IntEnum):
    """What the partition holds."""

    DATA = 0
    PARTLY_WIPED = 1
    NOTHING = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """What must be remembered: lock, job under way, the last one done, and how many of each."""

    locked: bool = False
    job: Job = Job.NONE
    last: Job = Job.NONE
    wipes: int = 0
    factory_resets: int = 0

    def encode(self) -> bytes:
        """Return the block's content."""
        return _FIXED.pack(self.locked, self.job, self.last, self.wipes & 0xFFFF, self.factory_resets & 0xFFFF)

    @classmethod
    def decode(cls, content: bytes) -> UserRecord:
        """Read a block's content."""
        locked, job, last, wipes, factory_resets = _FIXED.unpack(content)
        return cls(locked=bool(locked), job=Job(job), last=Job(last), wipes=wipes, factory_resets=factory_resets)

    def done(self) -> UserRecord:
        """Return what is remembered once the job is complete; a factory reset wipes too."""
        resets = self.factory_resets + (self.job is Job.FACTORY_RESET)
        return replace(self, job=Job.NONE, last=self.job, wipes=self.wipes + 1, factory_resets=resets)


class UserArea:
    """The partition and its record; both outlive power cuts."""

    def __init__(self, flash: Flash, device: NvmDevice, rules: UserData, ecu: str) -> None:
        self._flash, self._block = flash, NvmBlock(device, UserRecord().encode())
        self._region = flash.region(USER_REGION)
        if rules.content_bytes:
            content = keyed_bytes(rules.content_seed, ecu, "user data", 0, rules.content_bytes)
            flash.preload(USER_REGION, 0, content)

    @property
    def record(self) -> UserRecord:
        """What counts."""
        return UserRecord.decode(self._block.content)

    async def store(self, life: Incarnation, record: UserRecord) -> None:
        """Write; returns when it counts."""
        await self._block.keep(life, record.encode())

    @property
    def contents(self) -> Contents:
        """What the partition holds: nothing is claimed to be gone before the job that wipes it is done."""
        if self.record.job is not Job.NONE:
            return Contents.PARTLY_WIPED
        return Contents.DATA if self._written() else Contents.NOTHING

    def _written(self) -> list[int]:
        """Return the sectors with a unit that is not erased (torn ones are not)."""
        spans = enumerate(pairwise(self._region.begins))
        return [n for n, (at, end) in spans if not self._flash.is_erased(USER_REGION, at, end - at)]

    @property
    def sectors(self) -> range:
        """The sectors that a job has to erase: from the first one on that is not blank; all of them when all are."""
        written = self._written()
        return range(written[0] if written else 0, self._region.sector_count)

    async def erase(self, life: Incarnation, sector: int) -> None:
        """Erase one sector; FlashFault when it cannot be erased."""
        await self._flash.erase(life, USER_REGION, sector, 1)
