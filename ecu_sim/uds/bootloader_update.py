"""How a tester updates the bootloader: erase and download of the shadow, then check (0x0208) and activate (0x0209)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bench.core.node import Incarnation
from bench.wire.uds import Nrc
from ecu_sim.boot import bootloader_update
from ecu_sim.boot.manager import Problem, Trust
from ecu_sim.memory.banks import EcuMemory, Place
from ecu_sim.memory.bootloader import BootloaderMemory
from ecu_sim.memory.flash import FlashFault
from ecu_sim.personality.geometry import BOOT_SHADOW_REGION
from ecu_sim.uds.services import Refused

CHECK_BOOTLOADER, ACTIVATE_BOOTLOADER = 0x0208, 0x0209
OK: Final = b"\x00"
STATUS: Mapping[Problem, bytes] = {
    Problem.SIGNATURE: b"\x01",
    Problem.HARDWARE: b"\x02",
    Problem.RELEASE: b"\x03",
    Problem.HASH: b"\x04",
    Problem.TORN: b"\x04",
    Problem.NO_IMAGE: b"\x05",
    Problem.NO_BOOTLOADER: b"\x06",
}
"""What 0x0208 answers."""


class ShadowRoutines:
    """What the bootloader can be asked to do with its own successor."""

    def __init__(self, life: Incarnation, memory: EcuMemory, bootloader: BootloaderMemory, trust: Trust) -> None:
        self._life, self._memory, self._bootloader, self._trust = life, memory, bootloader, trust

    async def erase(self, place: Place) -> None:
        """Erase the sectors of a range of the shadow; a copy that was asked for and not begun is given up.

        0x22 while the bootloader itself runs from there, 0x72 when the driver fails.
        """
        if self._bootloader.running == BOOT_SHADOW_REGION:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        await self._bootloader.store(self._life, replace(self._bootloader.state, copying=False, sectors_done=0))
        flash = self._memory.flash
        sectors = flash.region(place.region).sectors_of(place.offset, place.size_bytes)
        try:
            await flash.erase(self._life, place.region, sectors.start, len(sectors))
        except FlashFault:
            raise Refused(Nrc.GENERAL_PROGRAMMING_FAILURE) from None

    async def check(self, option: bytes) -> bytes:
        """0208: verify what stands in the shadow."""
        self._no_option(option)
        header = self._bootloader.header(BOOT_SHADOW_REGION)
        if header is not None:
            await self._life.sleep_ns(self._memory.personality.verify_ns(min(header.length, self._shadow_bytes)))
        problem = bootloader_update.programmed_problem(self._memory, self._bootloader, self._trust)
        return OK if problem is None else STATUS[problem]

    async def activate(self, option: bytes) -> bytes:
        """0209: the next boot copies the shadow to the active region."""
        self._no_option(option)
        if bootloader_update.programmed_problem(self._memory, self._bootloader, self._trust) is not None:
            raise Refused(Nrc.CONDITIONS_NOT_CORRECT)
        await self._bootloader.store(self._life, replace(self._bootloader.state, copying=True, sectors_done=0))
        return OK

    @property
    def _shadow_bytes(self) -> int:
        return self._memory.flash.region(BOOT_SHADOW_REGION).size_bytes

    @staticmethod
    def _no_option(option: bytes) -> None:
        if option:
            raise Refused(Nrc.INCORRECT_LENGTH_OR_FORMAT)
