"""A recipe beside the ECU that the bench simulates: both speak of the same memory, in two files."""

from __future__ import annotations

from pathlib import Path

from bench.core.errors import InputError
from bench.description.ecu_description import EcuDescription
from bench.flasher.recipe import Recipe

STAGING_IMAGE = "image:staging"
"""Region that downloads go to on ECUs with external flash."""


def refuse_unfit_recipe(ecu: str, recipe: Recipe, recipe_path: Path, ecu_path: Path, described: EcuDescription) -> None:
    """Raise `InputError` where the recipe's region or program unit is not that of the simulated ECU."""
    memory = recipe.memory

    def refused(problem: str, key: str, found: str, allowed: str) -> InputError:
        return InputError(
            f"the recipe of ECU {ecu} contradicts the ECU that the bench simulates: {problem}",
            file=str(recipe_path), key=f"memory.{key}", found=found, allowed=f"{allowed} in {ecu_path}",
            hint=f"change memory.{key} in {recipe_path.name}, or name another recipe or ECU file in the vehicle file",
        )  # fmt: skip

    if memory.header_address is None:
        needed = "an address, as a simulated ECU takes images with a signed header"
        raise refused("it has no slot for the signed header", "header_address", "nothing", needed)
    base, end = memory.region_base, memory.region_base + memory.region_size
    banks = [bank for bank in described.banks if bank.linked_base <= base < bank.linked_base + bank.size_bytes]
    if not banks:
        spans = dict.fromkeys(
            f"0x{bank.linked_base:08X}-0x{bank.linked_base + bank.size_bytes - 1:08X}" for bank in described.banks
        )
        raise refused("its region begins in no bank", "region_base", f"0x{base:08X}", f"{' or '.join(spans)}: banks")
    room = max(bank.linked_base + bank.size_bytes for bank in banks) - base
    if end > base + room:
        raise refused(
            "its region ends behind the bank", "region_size", f"0x{memory.region_size:X}", f"up to 0x{room:X}: banks"
        )
    unit_bytes, place = _unit(described)
    if memory.program_unit_bytes % unit_bytes:
        found, allowed = str(memory.program_unit_bytes), f"a multiple of {unit_bytes}: {place}"
        raise refused("its program unit is none of the flash", "program_unit_bytes", found, allowed)


def _unit(described: EcuDescription) -> tuple[int, str]:
    """Return the program unit where downloads go, and which keys of an ECU file make it."""
    units = {region.name: region.unit_bytes for region in described.regions}
    if STAGING_IMAGE in units:
        return units[STAGING_IMAGE], "staging.unit_bytes"
    largest = max(units[f"image:{bank.name}"] for bank in described.banks)
    return largest, "unit_bytes of flash.areas or flash.unit_bytes"
