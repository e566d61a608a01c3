"""Lock, unlock, wipe and factory reset (0x31) of an ECU with user data: the vehicle's end of OMA LAWMO.

| routine | does | refused with 0x22 |
| --- | --- | --- |
| lock | refuses programming and all but unlock, wipe, sessions, reading and resets | while a job runs |
| unlock | ends that | never |
| wipe | erases the user data in the background; locked or not | while a job runs |
| factory reset | erases the user data, restores the configuration; the software stays | locked; while a job runs |

Results (sub-function 3) of wipe and factory reset: 00 done, 01 running, 02 failed; then the percentage that is done.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from bench.core.continuing import State
from bench.core.node import Incarnation
from bench.wire.uds import Nrc, Sid
from ecu_sim.memory.dtcs import Dtc, DtcMemory
from ecu_sim.memory.flash import FlashFault
from ecu_sim.memory.user_area import Job, UserArea
from ecu_sim.personality.user_data import UserData
from ecu_sim.surroundings import Surroundings
from ecu_sim.uds.routine_service import Routine
from ecu_sim.uds.services import Answer, Refused, Service, ServiceTable

LOCKED, JOB_RUNS = 0x30, 0x31
"""Conditions that are not met, beside those of `ecu_sim.surroundings`."""
DONE, RUNNING, FAILED = 0x00, 0x01, 0x02
OK: Final = b"\x00"
OPEN_WHILE_LOCKED = frozenset(
    (Sid.DIAGNOSTIC_SESSION_CONTROL, Sid.ECU_RESET, Sid.READ_DATA_BY_IDENTIFIER, Sid.SECURITY_ACCESS,
     Sid.TESTER_PRESENT, Sid.ROUTINE_CONTROL)
)  # fmt: skip
"""Services that a locked ECU still has; of the routines only unlock and wipe."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserDataParts:
    """What the service works with."""

    life: Incarnation
    rules: UserData
    area: UserArea
    surroundings: Surroundings
    dtcs: DtcMemory
    restore: Callable[[], Awaitable[None]]
    """Writes the factory's configuration; twice is as good as once."""


class UserDataService:
    """The owner's data in one life of the application; a job that a power cut broke off goes on at once."""

    def __init__(self, parts: UserDataParts) -> None:
        self._life, self._rules, self._area = parts.life, parts.rules, parts.area
        self._surroundings, self._dtcs, self._restore = parts.surroundings, parts.dtcs, parts.restore
        self._failed = False
        self._percent = 0
        self._conditions()
        if self._area.record.job is not Job.NONE:
            self._life.spawn(self._work(), "user data")

    def _conditions(self) -> None:
        """Let the application refuse to be programmed while it is locked or at work."""
        record = self._area.record
        self._surroundings.set_condition(LOCKED, met=not record.locked)
        self._surroundings.set_condition(JOB_RUNS, met=record.job is Job.NONE)

    @property
    def percent(self) -> int:
        """How much of a job under way is done; 100 when there is none."""
        return 100 if self._area.record.job is Job.NONE else self._percent

    def state(self, now_ns: int) -> State:
        """Return how far a job is; lock and job themselves are in NVM."""
        del now_ns
        return self._failed, self._percent

    # 0x22 -------------------------------------------------------------------------------------------

    def state_record(self) -> bytes:
        """Return locked, job, what the partition holds, percent (1 byte each), then wipes, factory resets (2 each)."""
        record = self._area.record
        head = bytes((record.locked, record.job, self._area.contents, self.percent))
        return head + record.wipes.to_bytes(2, "big") + record.factory_resets.to_bytes(2, "big")

    # 0x31 -------------------------------------------------------------------------------------------

    def dids(self) -> dict[int, Callable[[], bytes]]:
        """Return what can be read."""
        return {self._rules.state_did: self.state_record}

    def routines(self, *, unlocked: bool) -> dict[int, Routine]:
        """Return the routines; `unlocked`: they are behind the application's lock."""
        rules = self._rules
        return {
            rules.lock_routine: Routine(self._lock, unlocked),
            rules.unlock_routine: Routine(self._unlock, unlocked),
            rules.wipe_routine: Routine(self._wipe, unlocked, lambda: self._results(Job.WIPE)),
            rules.factory_reset_routine: Routine(
                self._factory_reset, unlocked, lambda: self._results(Job.FACTORY_RESET)
            ),
        }

    async def _lock(self, option: bytes) -> bytes:
        return await self._set_lock(option, locked=True)

    async def _unlock(self, option: bytes) -> bytes:
        return await self._set_lock(option, locked=False)

    async def _set_lock(self, option: bytes, *, locked: bool) -> bytes:
        if option:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        record = self._area.record
        if locked and record.job is not Job.NONE:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        await self._area.store(self._life, replace(record, locked=locked))
        self._conditions()
        return OK

    async def _wipe(self, option: bytes) -> bytes:
        return await self._begin(option, Job.WIPE)

    async def _factory_reset(self, option: bytes) -> bytes:
        return await self._begin(option, Job.FACTORY_RESET)

    async def _begin(self, option: bytes, job: Job) -> bytes:
        """Write the job down, answer, and do it in the background."""
        if option:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
        record = self._area.record
        if record.job is not Job.NONE and not self._failed:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        self._failed, self._percent = False, 0
        await self._area.store(self._life, replace(record, job=job))
        self._conditions()
        self._life.spawn(self._work(), "user data")
        return bytes((RUNNING, self.percent))

    def _results(self, job: Job) -> bytes:
        record = self._area.record
        if job not in (record.job, record.last):
            raise Refused(Nrc.REQUEST_SEQUENCE_ERROR)
        if record.job is not job:
            return bytes((DONE, 100))
        return bytes((FAILED if self._failed else RUNNING, self.percent))

    async def _work(self) -> None:
        """Do the job that stands in NVM, and take it out of there last."""
        sectors = self._area.sectors
        try:
            for sector in sectors:
                self._percent = sector * 100 // sectors.stop
                await self._area.erase(self._life, sector)
        except FlashFault:
            self._failed = True
            self._dtcs.report(Dtc.MEMORY_FAULT, failed=True)
            return
        if self._area.record.job is Job.FACTORY_RESET:
            await self._restore()
        await self._area.store(self._life, self._area.record.done())
        self._conditions()

    # The lock ---------------------------------------------------------------------------------------

    def guarded(self, table: ServiceTable) -> ServiceTable:
        """Return the application's table as a locked ECU has it: what is not open is refused with 0x22."""
        return {sid: self._guarded(sid, row) for sid, row in table.items()}

    def _guarded(self, sid: int, row: Service) -> Service:
        async def handle(request: Any) -> Answer:
            if self._area.record.locked and not self._open(sid, request):
                raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
            return await row.handle(request)

        return replace(row, handle=handle)

    def _open(self, sid: int, request: Any) -> bool:
        if sid != Sid.ROUTINE_CONTROL:
            return sid in OPEN_WHILE_LOCKED
        return request.routine_id in (self._rules.unlock_routine, self._rules.wipe_routine)


def titles(rules: UserData) -> Mapping[int, str]:
    """Return the routines in words."""
    return {
        rules.lock_routine: "lock", rules.unlock_routine: "unlock", rules.wipe_routine: "wipe user data",
        rules.factory_reset_routine: "factory reset",
    }  # fmt: skip
