"""An ECU's memory map: regions in order of their addresses, those of two banks at equal addresses side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.description.ecu_description import EcuDescription, Region

INNER_WIDTH = 24
KIB, MIB = 1 << 10, 1 << 20


@dataclass(frozen=True, slots=True)
class Stretch:
    """Addresses that hold one region, or as many as there are banks there."""

    start: int
    end: int
    """The last address."""
    regions: tuple[Region, ...]

    @property
    def names(self) -> str:
        """The regions' names: `image:A`, or `image:A, image:B`."""
        return ", ".join(region.name for region in self.regions)


def stretches(description: EcuDescription) -> list[Stretch]:
    """Return the stretches from the lowest address on."""
    ordered = sorted(description.regions, key=lambda region: region.base_address)
    return [
        Stretch(start, max(region.end_address for region in same), same)
        for start, same in ((at, tuple(group)) for at, group in groupby(ordered, lambda region: region.base_address))
    ]


def size_words(size_bytes: int) -> str:
    """Return a size in the largest unit that divides it."""
    for unit, name in ((MIB, "MiB"), (KIB, "KiB")):
        if size_bytes >= unit and size_bytes % unit == 0:
            return f"{size_bytes // unit} {name}"
    return f"{size_bytes} bytes"


def geometry_words(region: Region) -> str:
    """Return sectors and units with their times, in words."""
    sectors = " + ".join(
        f"{run.count} {'sector' if run.count == 1 else 'sectors'} of {size_words(run.size_bytes)} ({run.erase_ms} ms)"
        for run in region.sectors
    )
    units = f"units of {region.unit_bytes} bytes ({region.program_us / 1000:g} ms)"
    return f"{sectors}, {units}{', protected' if region.protected else ''}"


def drawn(description: EcuDescription, *, unicode: bool) -> list[str]:
    """Return the map as lines of text; without `unicode` in ASCII alone."""
    left_top, right_top, left_bottom, right_bottom, across, down, gap = "┌┐└┘─│⋮" if unicode else "++++-|:"
    lines: list[str] = []
    at = None
    for stretch in stretches(description):
        if at is not None and stretch.start > at + 1:
            lines.append(f"  {'':10}  {gap:^{INNER_WIDTH + 2}}")
        lines.append(f"  0x{stretch.start:08X}  {left_top}{across * INNER_WIDTH}{right_top}")
        lines += [_row(region, down, note) for region, note in _notes(stretch.regions)]
        lines.append(f"  0x{stretch.end:08X}  {left_bottom}{across * INNER_WIDTH}{right_bottom}")
        at = stretch.end
    return lines


def _notes(regions: Sequence[Region]) -> list[tuple[Region, str]]:
    """Return each region with its geometry; a second one of the same kind says that it is alike."""
    described: list[tuple[Region, str]] = []
    for region in regions:
        words = geometry_words(region)
        alike = any(geometry_words(other) == words for other, _ in described)
        described.append((region, f"as {described[0][0].name}, behind the same addresses" if alike else words))
    return described


def _row(region: Region, down: str, note: str) -> str:
    size = size_words(region.size_bytes)
    inner = f" {region.name}{size:>{INNER_WIDTH - 2 - len(region.name)}} "
    return f"  {'':10}  {down}{inner}{down}  {note}"
