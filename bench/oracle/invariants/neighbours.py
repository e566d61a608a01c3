"""Neighbours: what the order does not name restarts by itself no more than it did, and keeps its memory.

An update that resets another ECU, while the car drives perhaps, or writes into it, is no update of what was ordered.
"""

from __future__ import annotations

import hashlib

from bench.core.records import BUS_SLEEP, BootRecord, FlashDump, MemoryRegion, PowerRecord
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, bench, failed, in_flash, passed, undecided, unseen
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.situation import APPLICATION, Disturbance, Situation
from bench.oracle.stream import DumpBefore, Event, ExecutionEnded

FIRST_STAGE = "boot_manager"
WHOLE_VEHICLE = ("power.vehicle", "supply")
"""Classes of faults that everybody may feel: all ECUs hang on one battery."""
INTO_A_PART = ("power.ecu", "power.agent", "ecu", "isotp", "storage")
"""Classes of faults that do something to the part at whose point they strike (docs/contracts.md, Fault points)."""
NVM = "nvm"
PAGE_BYTES = 4096
"""Memory is compared by hashes of pages of this size."""


def bystanders(facts: Facts) -> tuple[str, ...]:
    """Return the ECUs that the order does not name."""
    around = facts.surroundings
    return () if around is None else tuple(ecu for ecu, _ in around.buses if ecu not in around.ordered)


def struck(situation: Situation, *parts: str) -> bool:
    """Return whether a fault was injected into one of these parts, or took the whole vehicle's supply.

    A point names the part at which it lies; what strikes there may be the car or the network, which excuses nobody.
    """
    return any(
        fault.fault_class in WHOLE_VEHICLE or (fault.fault_class in INTO_A_PART and part_of(fault) in parts)
        for fault in situation.faults
    )


def part_of(fault: Disturbance) -> str:
    """Return the part that a fault's point names."""
    return fault.point.split(":")[1]


class NobodyElseRestarts(Rule):
    """An ECU that the order does not name boots when it gets its supply or wakes up, and else never."""

    takes = (BootRecord, PowerRecord, ExecutionEnded)
    relies_on = (Source.BOOTS, Source.POWER)
    only_shown = ("_boots",)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._may_boot = dict.fromkeys(bystanders(facts), True)
        self._boots = dict.fromkeys(self._may_boot, 0)
        self._restarted: dict[str, list[Evidence]] = {}
        self._began_ns = 0 if facts.surroundings is None else facts.surroundings.began_t_ns

    def take(self, event: Event) -> None:
        """Note what allows the next boot, and the boots that nothing allowed."""
        if isinstance(event, PowerRecord):
            if event.part in self._may_boot and event.on:
                self._may_boot[event.part] = True
        elif event.ecu in self._may_boot:
            if isinstance(event, BootRecord):
                self._boot(event)
            elif event.cause == BUS_SLEEP:
                self._may_boot[event.ecu] = True

    def _boot(self, boot: BootRecord) -> None:
        if boot.stage != FIRST_STAGE or boot.t_ns < self._began_ns:
            return
        self._boots[boot.ecu] += 1
        if not self._may_boot[boot.ecu]:
            seen = at("boot", boot.ecu, boot.t_ns, f"booted anew: {boot.reason}")
            self._restarted.setdefault(boot.ecu, []).append(seen)
        self._may_boot[boot.ecu] = False

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU that the order does not name."""
        if self.facts.surroundings is None:
            nobody = bench("no description of the vehicle around the order")
            return [unseen("nobody said which ECUs the order leaves alone", nobody)]
        return [self._of(ecu) for ecu in self._may_boot] or [_no_bystanders()]

    def _of(self, ecu: str) -> Finding:
        if not self.facts.watches(Source.BOOTS, ecu):
            return unseen(f"the boots of {ecu} were not observed", bench(f"no boot records of {ecu}"))
        shown = self._restarted.get(ecu, [])
        if shown and not struck(self.situation, ecu):
            return failed(f"{ecu} restarted although the order does not name it", *shown, blame="ecu")
        counted = bench(f"{self._boots[ecu]} boots of {ecu} in the story, none without supply or waking")
        return passed(f"{ecu} did not restart by itself", *(shown or [counted]))


def _no_bystanders() -> Finding:
    return passed("the order names every ECU of the vehicle", bench("no ECU beside those of the order"))


class MemoryIsAsItWas(Rule):
    """Flash and NVM of an ECU that the order does not name are the same after the drive, byte for byte.

    DTCs are left out of the NVM: they are read and judged as such.
    """

    takes = (DumpBefore, FlashDump)
    relies_on = (Source.MEMORY_BEFORE, Source.FLASH)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._before: dict[str, dict[str, tuple[bytes, ...]]] = {}
        self._bytes: dict[str, int] = {}
        self._changed: dict[str, list[Evidence]] = {}
        self._after: list[str] = []
        self._without_nvm: list[str] = []

    def take(self, event: Event) -> None:
        """Hash the pages of what was there before, and compare with them what is there afterwards."""
        dump: FlashDump = event.dump if isinstance(event, DumpBefore) else event
        if dump.ecu not in bystanders(self.facts):
            return
        regions = _regions(dump)
        if isinstance(event, DumpBefore):
            self._before[dump.ecu] = {region.name: _pages(region.data) for region in regions}
            self._bytes[dump.ecu] = sum(len(region.data) for region in regions)
        else:
            self._after.append(dump.ecu)
            self._changed[dump.ecu] = self._differences(dump.ecu, regions)
        if dump.nvm is None and dump.ecu not in self._without_nvm:
            self._without_nvm.append(dump.ecu)

    def _differences(self, ecu: str, regions: list[MemoryRegion]) -> list[Evidence]:
        before, found = self._before.get(ecu, {}), []
        for region in regions:
            old, new = before.get(region.name, ()), _pages(region.data)
            pages = [n for n in range(max(len(old), len(new))) if old[n : n + 1] != new[n : n + 1]]
            if pages:
                address = region.base_address + pages[0] * PAGE_BYTES
                text = f"{region.name}: {len(pages)} pages of {PAGE_BYTES} bytes changed, the first one here"
                found.append(in_flash(ecu, address, text))
        return found

    def findings(self) -> list[Finding]:
        """Return a finding for each ECU that the order does not name."""
        return [self._of(ecu) for ecu in bystanders(self.facts)]

    def _of(self, ecu: str) -> Finding:
        for source, known in ((Source.MEMORY_BEFORE, self._before), (Source.FLASH, self._after)):
            if not self.facts.watches(source, ecu):
                return unseen(f"the memory of {ecu} was not read before and after", bench(f"no {source} of {ecu}"))
            if ecu not in known:
                return undecided(f"the memory of {ecu} is missing", bench(f"no {source} of {ecu}"))
        if self._changed[ecu] and not struck(self.situation, ecu):
            return failed(
                f"memory of {ecu} changed although the order does not name it", *self._changed[ecu], blame="ecu"
            )
        if ecu in self._without_nvm:
            return unseen(f"the NVM of {ecu} was not read", bench(f"no NVM in the dumps of {ecu}"))
        text = f"{self._bytes[ecu]} bytes of flash and NVM of {ecu} compared"
        return passed(f"flash and NVM of {ecu} are as they were", *(self._changed[ecu] or [bench(text)]))


def _regions(dump: FlashDump) -> list[MemoryRegion]:
    """Return flash and NVM as regions; torn cells read unstably, so that their bytes say nothing."""
    nvm = [] if dump.nvm is None else [MemoryRegion(NVM, 0, dump.nvm)]
    return [_settled(region) for region in dump.regions] + nvm


def _settled(region: MemoryRegion) -> MemoryRegion:
    if not region.torn:
        return region
    data = bytearray(region.data)
    for offset, length in region.torn:
        data[offset : offset + length] = bytes(length)
    return MemoryRegion(region.name, region.base_address, bytes(data))


def _pages(data: bytes) -> tuple[bytes, ...]:
    starts = range(0, len(data), PAGE_BYTES)
    return tuple(hashlib.blake2b(data[n : n + PAGE_BYTES], digest_size=16).digest() for n in starts)


def runs_application(situation: Situation, ecu: str) -> bool:
    """Return whether an ECU has its supply and runs an application by now."""
    now = situation.ecus.get(ecu)
    if now is None or now.boot is None or (now.power is not None and not now.power.on):
        return False
    return now.boot.stage == APPLICATION
