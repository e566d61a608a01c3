"""What was executed, held against flash: entry address, the bytes that were there, and that nobody changed them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from bench.core.records import EcuLayout, ExecutionRecord, FlashDump, FlashOperation, MemoryRegion, RunRecord
from bench.oracle.decode_image import HEADER_BYTES, Header, header_or_none
from bench.oracle.findings import Finding, at, failed, in_flash
from bench.oracle.result import Evidence

BOOTLOADERS = ("boot", "boot_shadow")
"""What stands for the bank of a bootloader, and for its region: header first where it has one, the code behind it."""


def entry_problem(execution: ExecutionRecord, header: Header) -> str | None:
    """Return what is wrong with where execution began, or None."""
    end = header.load_address + header.length
    if header.load_address <= execution.entry_address < end:
        return None
    where = f"0x{header.load_address:08X} to 0x{end - 1:08X}"
    return f"it was entered at 0x{execution.entry_address:08X}, outside the image (signed for {where})"


def against_flash(record: RunRecord, layout: EcuLayout) -> list[Finding]:
    """Return what contradicts the flash of an ECU: nothing where the driver's calls were not observed."""
    if record.flash_operations is None:
        return []
    operations = [operation for operation in record.flash_operations if operation.ecu == layout.ecu]
    dump = next((dump for dump in record.flash or () if dump.ecu == layout.ecu), None)
    runs = (*(record.executions or ()), *(record.bootloader_runs or ()))
    found: list[Finding] = []
    for run in (run for run in runs if run.ecu == layout.ecu):
        found += _changed_under_way(layout, run, operations)
        if dump is not None:
            found += _other_bytes(layout, run, dump, operations)
    return found


def _changed_under_way(layout: EcuLayout, run: ExecutionRecord, operations: list[FlashOperation]) -> Iterator[Finding]:
    """Yield one finding when the ECU programmed or erased what it was executing."""
    own = _regions(run)
    seen = [
        at("flash", layout.ecu, o.t_ns, f"{o.kind} of {o.length} bytes at {o.region} 0x{o.offset:08X}")
        for o in operations
        if o.region in own and o.kind != "rot" and run.t_ns <= o.t_ns and (run.ended_t_ns or o.t_ns + 1) > o.t_ns
    ]
    if seen:
        sentence = f"{layout.ecu} changed the flash of bank {run.bank} while it executed from there"
        yield failed(sentence, *seen, _began(run), blame="ecu")


def _regions(run: ExecutionRecord) -> tuple[str, ...]:
    if run.bank in BOOTLOADERS:
        return (run.bank,)
    return tuple(f"{kind}:{run.bank}" for kind in ("mark", "header", "image"))


def _other_bytes(
    layout: EcuLayout, run: ExecutionRecord, dump: FlashDump, operations: list[FlashOperation]
) -> Iterator[Finding]:
    """Yield what the dump holds otherwise than the record of an execution, where nothing was changed since."""
    changed = {operation.region for operation in operations if operation.t_ns >= run.t_ns}
    header = header_or_none(run.header)
    for name, signed in _recorded(run, header):
        region = None if name in changed else dump.region(name)
        held = None if region is None else _held(region, layout, run, header)
        if region is not None and held is not None and held != signed:
            text = f"{name} holds {held}, the record of the execution says {signed}"
            sentence = f"{layout.ecu} did not execute what its flash holds in bank {run.bank}"
            yield failed(sentence, in_flash(layout.ecu, region.base_address, text), _began(run), blame="bootloader")


def _recorded(run: ExecutionRecord, header: Header | None) -> Iterator[tuple[str, str]]:
    """Yield (region, what it must hold) of an execution."""
    if run.bank in BOOTLOADERS:
        yield run.bank, run.image_sha256.lower()
        return
    yield f"header:{run.bank}", hashlib.sha256(run.header).hexdigest()
    if header is not None and run.image_sha256:
        yield f"image:{run.bank}", run.image_sha256.lower()


def _held(region: MemoryRegion, layout: EcuLayout, run: ExecutionRecord, header: Header | None) -> str | None:
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
