"""What a boot can tell of a programming that never came to its end: cells are in use, but no validity mark stands."""

from __future__ import annotations

from ecu_sim.boot import manager
from ecu_sim.memory.banks import VALID_MARK, EcuMemory
from ecu_sim.memory.nvm import FINGERPRINT_BYTES
from ecu_sim.personality.geometry import STAGING, header_region, image_region, mark_region


def programming_interrupted(memory: EcuMemory) -> bool:
    """Return whether a bank holds a part of an image, or was erased for one, without a valid mark.

    A single bank that is blank counts when the fingerprint says that a tester began; a second bank may be blank, and so
    may external flash: between a whole erase and the first unit no cell tells them from new ones. In external flash
    counts whatever is not the image that was copied into the bank, which stays there without its mark.
    """
    if memory.personality.staging is not None and _not_installed(memory) and _in_use(memory, STAGING):
        return True
    banks = [bank.name for bank in memory.personality.banks]
    unmarked = [bank for bank in banks if not manager.mark_ok(memory.mark(bank))]
    if any(_in_use(memory, bank) for bank in unmarked):
        return True
    began = memory.nvm.record.fingerprint != bytes(FINGERPRINT_BYTES)
    return began and len(banks) == len(unmarked)


def _not_installed(memory: EcuMemory) -> bool:
    staged = memory.header(STAGING)
    return memory.decoded_header(STAGING) is None or staged != memory.header(memory.next_bank)


def _in_use(memory: EcuMemory, bank: str) -> bool:
    flash = memory.flash
    if not flash.is_erased(mark_region(bank), 0, len(VALID_MARK)):
        return True
    regions = (header_region(bank), image_region(bank))
    return not all(flash.is_erased(name, 0, flash.region(name).size_bytes) for name in regions)
