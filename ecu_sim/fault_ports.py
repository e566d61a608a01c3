"""What a simulated ECU offers to whoever breaks it on purpose: the ports of `bench.ports.faults`."""

from __future__ import annotations

from functools import partial

from bench.core.errors import InputError
from bench.core.offers import Offers
from bench.core.waveform import Waveform
from bench.ports.faults import ECU_RULES, POWER, STORED_BITS, SUPPLY, TORN_CELLS
from bench.wire.ecu_misbehave import EcuMisbehaviour
from bench.wire.image_header import HEADER_BYTES
from ecu_sim.boot.manager import candidates
from ecu_sim.ecu import SimEcu
from ecu_sim.memory.torn import TornReads
from ecu_sim.personality.geometry import header_region, image_region


class BreakableEcu:
    """One ECU as faults strike it; it keeps no state of its own."""

    def __init__(self, ecu: SimEcu) -> None:
        self._ecu, self._id = ecu, ecu.spec.id

    def offer(self, offers: Offers) -> None:
        """Offer everything that may be done to this ECU."""
        offers.offer(POWER, self, self._id)
        offers.offer(TORN_CELLS, self, self._id)
        offers.offer(SUPPLY, self, self._id)
        offers.offer(STORED_BITS, self, self._id)
        offers.offer(ECU_RULES, self, self._id)

    def cut(self, cause: str) -> None:
        """Cut the supply line: the ECU loses power at once, or once its capacitor is empty (`supply.hold_ms`)."""
        self._ecu.supply.cut(cause)

    def restore(self, cause: str) -> None:
        """End one cut of the supply line; after the last the ECU boots if it had lost power."""
        self._ecu.supply.restore(cause)

    def tear_as(self, reads: str) -> None:
        """Say how cells read that the next cut tears (`ecu_sim.memory.torn`); an ECU without power is left alone."""
        if self._ecu.node.powered:
            self._ecu.memory.tear_as(TornReads(reads))

    def follow(self, waveform: Waveform, name: str, torn_reads: str = TornReads.MIXED) -> None:
        """Let the voltage follow a waveform from now on; cells that its brown-outs tear read as `torn_reads` says."""
        tear = partial(self._ecu.memory.tear_as, TornReads(torn_reads))
        self._ecu.supply.apply(waveform, name, brown_out=tear)

    def flip_bit(self, area: str, address: int, bit: int) -> None:
        """Flip one bit of the bank that the boot manager would try first; see `StoredBits`."""
        flip = self.flip_header_bit if area == "header" else self.flip_image_bit
        flip(self.bank_to_boot(), address, bit)

    def misbehave(self, how: EcuMisbehaviour) -> None:
        """Have the diagnostic server break the rules of UDS as ordered, from its next request on."""
        self._ecu.misbehaviours.add(how)

    def bank_to_boot(self) -> str:
        """Return the bank that the boot manager would try first if it started now."""
        personality, record = self._ecu.personality, self._ecu.memory.nvm.record
        names = tuple(bank.name for bank in personality.banks)
        return next(candidates(record, names, personality.boot.trial_boots))[0]

    def flip_image_bit(self, bank: str, linked_address: int, bit: int) -> None:
        """Flip one bit (0 to 7) of a bank's image, as bit rot does; InputError outside the bank."""
        place = self._ecu.memory.image_place(bank, linked_address, 1) if self._has(bank) else None
        if place is None:
            raise InputError(f"{self._id} has no 0x{linked_address:08X} in bank {bank}")
        self._ecu.memory.flash.flip_bit(image_region(bank), place.offset, bit)

    def flip_header_bit(self, bank: str, offset: int, bit: int) -> None:
        """Flip one bit of a bank's header slot; InputError beyond its 256 bytes."""
        if not self._has(bank) or not 0 <= offset < HEADER_BYTES:
            raise InputError(
                f"{self._id} has no header byte {offset} in bank {bank}", allowed=f"0 to {HEADER_BYTES - 1}"
            )
        self._ecu.memory.flash.flip_bit(header_region(bank), offset, bit)

    def _has(self, bank: str) -> bool:
        return any(known.name == bank for known in self._ecu.personality.banks)
