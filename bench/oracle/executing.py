"""What was executed, held against flash: entry address, the bytes that were there, and that nobody changed them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from bench.core.records import EcuLayout, ExecutionRecord, FlashDump, FlashOperation, MemoryRegion
from bench.oracle.decode_image import HEADER_BYTES, Header, header_or_none
from bench.oracle.facts import Facts, Source
from bench.oracle.findings import Finding, at, failed, in_flash
from bench.oracle.fold import Rule
from bench.oracle.result import Evidence
from bench.oracle.situation import Situation
from bench.oracle.stream import BootloaderRun, Event, ExecutionEnded

BOOTLOADERS = ("boot", "boot_shadow")
"""What stands for the bank of a bootloader, and for its region: header first where it has one, the code behind it."""


def entry_problem(execution: ExecutionRecord, header: Header) -> str | None:
    """Return what is wrong with where execution began, or None."""
    end = header.load_address + header.length
    if header.load_address <= execution.entry_address < end:
        return None
    where = f"0x{header.load_address:08X} to 0x{end - 1:08X}"
    return f"it was entered at 0x{execution.entry_address:08X}, outside the image (signed for {where})"


@dataclass(slots=True)
class _Run:
    """An execution: what it changed of itself, and what flash must still hold of it."""

    record: ExecutionRecord
    ended: bool = False
    changed: list[Evidence] = field(default_factory=list)
    expected: dict[str, str] = field(default_factory=dict)
    """Hash by region, of regions that nobody changed since it began."""


class ExecutedFlash(Rule):
    """No ECU changes what it is executing, and flash holds what the record of each execution says.

    Nothing is said where the driver's calls are not watched.
    """

    takes = (ExecutionRecord, BootloaderRun, ExecutionEnded, FlashOperation, FlashDump)
    relies_on = (Source.FLASH_OPERATIONS, Source.EXECUTIONS)

    def __init__(self, facts: Facts, situation: Situation) -> None:
        super().__init__(facts, situation)
        self._runs: dict[str, list[_Run]] = {layout.ecu: [] for layout in facts.layouts}
        self._other: list[Finding] = []

    def take(self, event: Event) -> None:
        """Follow what runs, and what changes under it."""
        if isinstance(event, BootloaderRun):
            event = event.run
        if event.ecu not in self._runs or not self.facts.watches(Source.FLASH_OPERATIONS, event.ecu):
            return
        if isinstance(event, ExecutionRecord):
            self._runs[event.ecu].append(_Run(event, expected=dict(_recorded(event, header_or_none(event.header)))))
        elif isinstance(event, ExecutionEnded):
            for run in self._runs[event.ecu]:
                run.ended |= (run.record.t_ns, run.record.bank) == (event.began_t_ns, event.bank)
        elif isinstance(event, FlashOperation):
            self._take_operation(event)
        else:
            self._take_dump(event)

    def _take_operation(self, event: FlashOperation) -> None:
        for run in self._runs[event.ecu]:
            run.expected.pop(event.region, None)
            if not run.ended and event.kind != "rot" and event.region in _regions(run.record):
                what = f"{event.kind} of {event.length} bytes at {event.region} 0x{event.offset:08X}"
                run.changed.append(at("flash", event.ecu, event.t_ns, what))
        self._runs[event.ecu] = [r for r in self._runs[event.ecu] if r.expected or r.changed or not r.ended]

    def _take_dump(self, dump: FlashDump) -> None:
        layout = self.facts.layout(dump.ecu)
        if layout is not None:
            self._other += [found for run in self._runs[dump.ecu] for found in _other_bytes(layout, run, dump)]

    def findings(self) -> list[Finding]:
        """Return what contradicts flash."""
        found = []
        for ecu, runs in self._runs.items():
            for run in (run for run in runs if run.changed):
                sentence = f"{ecu} changed the flash of bank {run.record.bank} while it executed from there"
                found.append(failed(sentence, *run.changed, _began(run.record), blame="ecu"))
        return found + self._other


def _regions(run: ExecutionRecord) -> tuple[str, ...]:
    if run.bank in BOOTLOADERS:
        return (run.bank,)
    return tuple(f"{kind}:{run.bank}" for kind in ("mark", "header", "image"))


def _recorded(run: ExecutionRecord, header: Header | None) -> Iterator[tuple[str, str]]:
    """Yield (region, what it must hold) of an execution."""
    if run.bank in BOOTLOADERS:
        yield run.bank, run.image_sha256.lower()
        return
    yield f"header:{run.bank}", hashlib.sha256(run.header).hexdigest()
    if header is not None and run.image_sha256:
        yield f"image:{run.bank}", run.image_sha256.lower()


def _other_bytes(layout: EcuLayout, run: _Run, dump: FlashDump) -> Iterator[Finding]:
    """Yield what the dump holds otherwise than the record of an execution, where nothing was changed since."""
    header = header_or_none(run.record.header)
    for name, signed in run.expected.items():
        region = dump.region(name)
        read = None if region is None else _hash(region, layout, run.record, header)
        if region is not None and read is not None and read != signed:
            text = f"{name} holds {read}, the record of the execution says {signed}"
            sentence = f"{layout.ecu} did not execute what its flash holds in bank {run.record.bank}"
            yield failed(
                sentence, in_flash(layout.ecu, region.base_address, text), _began(run.record), blame="bootloader"
            )


def _hash(region: MemoryRegion, layout: EcuLayout, run: ExecutionRecord, header: Header | None) -> str | None:
    """Return the hash of the region's executed part; None where cells are torn or the part leaves the region."""
    first, length = 0, HEADER_BYTES if region.name.startswith("header:") else len(region.data)
    if header is not None and run.bank in BOOTLOADERS:
        first, length = HEADER_BYTES, header.length
    elif header is not None and region.name.startswith("image:"):
        linked = next((bank.linked_base for bank in layout.banks if bank.name == run.bank), region.base_address)
        first, length = header.load_address - linked, header.length
    torn = any(start < first + length and start + size > first for start, size in region.torn)
    if torn or first < 0 or first + length > len(region.data):
        return None
    return hashlib.sha256(region.data[first : first + length]).hexdigest()


def _began(run: ExecutionRecord) -> Evidence:
    ended = "" if run.ended_t_ns is None else f" for {(run.ended_t_ns - run.t_ns) / 1e9:.9f} s"
    return at("execution", run.ecu, run.t_ns, f"executes bank {run.bank}{ended}")
