"""What stands in each ECU's flash after the run, compared with the images as their makers signed them."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from bench.core.records import BankLayout, EcuLayout, FlashDump, ImageReference, MemoryRegion, RunRecord
from bench.evidence.view import Bank, FlashCount

CELLS = 128
ERASED = 0xFF
EQUALS = "equals"
"""How the words about a bank begin whose bytes are those of a reference image."""
Role = Literal["target", "installed", "other", "empty", "unreadable"]


def banks_of(record: RunRecord) -> tuple[Bank, ...]:
    """Return every bank of every ECU whose flash could be read."""
    dumps = {dump.ecu: dump for dump in record.flash.items}
    return tuple(
        _bank(record, layout, bank, dumps[layout.ecu])
        for layout in record.layouts
        if layout.ecu in dumps
        for bank in layout.banks
    )


def flash_counts(record: RunRecord) -> tuple[FlashCount, ...] | None:
    """Return how much each flash was worked on, or None when it could not be observed."""
    if not record.flash.watched:
        return None
    return tuple(
        FlashCount(
            ecu=dump.ecu, erases=dump.erases, programs=dump.programs, driver_faults=dump.driver_faults,
            most_worn=_most_worn(dump),
        )
        for dump in record.flash.items
    )  # fmt: skip


def _most_worn(dump: FlashDump) -> str:
    """Return the sector nearest to its rating (where none is rated: the one erased most), and how often it was."""
    if not dump.wear:
        return ""
    worst = max(dump.wear, key=lambda sector: (sector.erases / sector.rated if sector.rated else 0, sector.erases))
    rating = "" if worst.rated is None else f" of {worst.rated}"
    return f"{worst.region} sector {worst.sector}, {worst.erases}{rating} times"


def _bank(record: RunRecord, layout: EcuLayout, bank: BankLayout, dump: FlashDump) -> Bank:
    references = [reference for reference in record.references if reference.ecu == layout.ecu]
    header, image = dump.region(f"header:{bank.name}"), dump.region(f"image:{bank.name}")
    named = _named(references, header)
    return Bank(
        ecu=layout.ecu,
        bank=bank.name,
        linked_base=bank.linked_base,
        size_bytes=bank.size_bytes,
        mark=_mark(dump.region(f"mark:{bank.name}")),
        header=_header(header, named),
        image=_image(references, image, named),
        role=_role(image, header, named),
        running=_running(record, layout.ecu) == bank.name,
        cells=_cells(references, image),
    )


def _running(record: RunRecord, ecu: str) -> str | None:
    banks = [execution.bank for execution in record.executions.items if execution.ecu == ecu]
    boots = [boot for boot in record.boots.items if boot.ecu == ecu]
    if boots and boots[-1].stage == "bootloader":
        return None
    return banks[-1] if banks else None


def _named(references: list[ImageReference], header: MemoryRegion | None) -> ImageReference | None:
    if header is None:
        return None
    return next((r for r in references if header.data[: len(r.header)] == r.header), None)


def _blank(data: bytes) -> bool:
    return data.count(ERASED) == len(data)


def _mark(region: MemoryRegion | None) -> str:
    if region is None:
        return "not read"
    if region.torn:
        return "torn"
    return "erased" if _blank(region.data) else f"set ({region.data[:4].hex(' ').upper()} …)"


def _header(region: MemoryRegion | None, named: ImageReference | None) -> str:
    if region is None:
        return "not read"
    if region.torn:
        return "torn"
    if named is not None:
        return f"{named.role} {named.version}"
    return "erased" if _blank(region.data) else "belongs to no known image"


def _image(references: list[ImageReference], region: MemoryRegion | None, named: ImageReference | None) -> str:
    if region is None:
        return "not read"
    if _blank(region.data):
        return "erased"
    compared = named or min(references, key=lambda r: _differing(region.data, r.data), default=None)
    if compared is None:
        return "no reference to compare with"
    differing = _differing(region.data, compared.data)
    what = f"{compared.role} {compared.version}"
    torn = f", {len(region.torn)} torn place{'s' * (len(region.torn) > 1)}" if region.torn else ""
    if differing == 0:
        return f"{EQUALS} {what}{torn}"
    return f"{differing:,} {'byte differs' if differing == 1 else 'bytes differ'} from {what}{torn}"


def _differing(data: bytes, reference: bytes) -> int:
    seen = data[: len(reference)]
    if seen == reference:
        return 0
    return sum(a != b for a, b in zip(seen, reference, strict=False)) + len(reference) - len(seen)


def _role(image: MemoryRegion | None, header: MemoryRegion | None, named: ImageReference | None) -> Role:
    if image is None or header is None:
        return "unreadable"
    if named is not None and not image.torn and _differing(image.data, named.data) == 0:
        return "target" if named.role == "target" else "installed"
    return "empty" if _blank(image.data) and _blank(header.data) else "other"


def _cells(references: list[ImageReference], region: MemoryRegion | None) -> str:
    if region is None or not region.data:
        return ""
    size = len(region.data)
    wanted = {r.role: r.data.ljust(size, b"\xff") for r in references}
    edges = [size * i // CELLS for i in range(CELLS + 1)]
    return "".join(_cell(region, wanted, start, end) for start, end in pairwise(edges))


def _cell(region: MemoryRegion, wanted: dict[str, bytes], start: int, end: int) -> str:
    if any(offset < end and offset + length > start for offset, length in region.torn):
        return "~"
    data = region.data[start:end]
    if _blank(data):
        return "E"
    target = data == wanted.get("target", b"")[start:end]
    installed = data == wanted.get("installed", b"")[start:end]
    if target and installed:
        return "B"
    return "T" if target else "I" if installed else "X"
