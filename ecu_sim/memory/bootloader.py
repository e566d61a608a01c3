"""The two places of a bootloader that can be updated, and the progress of a copy from one to the other.

Each place holds header and code, one behind the other. What the copy has come to stands in a block of NVM of its own.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from bench.core.node import Incarnation
from bench.core.records import MemoryRegion
from bench.wire.bootloader_update import LINKED_AT, BootloaderUpdate
from bench.wire.image_header import HEADER_BYTES, HeaderError, ImageHeader
from ecu_sim.memory.flash import Flash, FlashFault
from ecu_sim.memory.nvm import NvmBlock, NvmDevice
from ecu_sim.personality.geometry import BOOT_REGION, BOOT_SHADOW_REGION

_FIXED = struct.Struct(">BxHI")


@dataclass(frozen=True, slots=True)
class CopyState:
    """Whether the shadow is to be copied, how many sectors of the active region are done, and the smallest release
    counter of a bootloader that may follow."""

    copying: bool = False
    sectors_done: int = 0
    release_floor: int = 0

    def encode(self) -> bytes:
        """Return the block's content."""
        return _FIXED.pack(self.copying, self.sectors_done, self.release_floor)

    @classmethod
    def decode(cls, content: bytes) -> CopyState:
        """Read a block's content."""
        copying, sectors_done, release_floor = _FIXED.unpack(content)
        return cls(bool(copying), sectors_done, release_floor)


class BootloaderMemory:
    """Active region, shadow region and copy state of one ECU."""

    def __init__(self, flash: Flash, device: NvmDevice, rules: BootloaderUpdate) -> None:
        self._flash, self._rules = flash, rules
        self._block = NvmBlock(device, CopyState(release_floor=rules.factory_release_counter).encode())
        self.running: str | None = None
        """The region that the bootloader of this life runs from."""
        flash.preload(BOOT_REGION, 0, rules.factory_header + rules.factory_code)

    # Contents ---------------------------------------------------------------------------------------

    def raw_header(self, region: str) -> bytes:
        """Return the 256 bytes where the header stands; none when they cannot be read."""
        try:
            return self._flash.read(region, 0, HEADER_BYTES)
        except FlashFault:
            return b""

    def header(self, region: str) -> ImageHeader | None:
        """Return the header of a region, or None."""
        try:
            return ImageHeader.decode(self.raw_header(region))
        except HeaderError:
            return None

    def is_factory(self, region: str) -> bool:
        """Return whether the header is the one that the boot manager was made with."""
        return self.raw_header(region) == self._rules.factory_header

    def code_sha256(self, region: str) -> str:
        """Return the hash of the code that the header names; empty when it cannot be read or does not fit."""
        header = self.header(region)
        if header is None or header.load_address != LINKED_AT or not self._fits(header.length):
            return ""
        try:
            return self._flash.digest(region, HEADER_BYTES, header.length)
        except FlashFault:
            return ""

    def first_code(self, region: str, length: int) -> bytes:
        """Return the first bytes of the code; none when they cannot be read."""
        try:
            return self._flash.read(region, HEADER_BYTES, length)
        except FlashFault:
            return b""

    def _fits(self, length: int) -> bool:
        return 0 < length <= self._flash.region(BOOT_REGION).size_bytes - HEADER_BYTES

    @property
    def version(self) -> str:
        """The version of the bootloader that runs, or that would run next."""
        header = self.header(self.running or BOOT_REGION) or self.header(BOOT_SHADOW_REGION)
        return "" if header is None else header.version

    def shadow_offset(self, address: int, size_bytes: int) -> int | None:
        """Return where linked addresses lie in the shadow, or None when they leave it or are none."""
        offset = address - self._rules.shadow_address
        inside = size_bytes > 0 and 0 <= offset <= self._flash.region(BOOT_SHADOW_REGION).size_bytes - size_bytes
        return offset if inside else None

    def dumped(self) -> tuple[MemoryRegion, ...]:
        """Return what a reader of the chip finds in both regions."""
        flash = self._flash
        return tuple(
            MemoryRegion(
                name, flash.region(name).base_address, flash.raw(name, 0, flash.region(name).size_bytes),
                flash.torn(name),
            )
            for name in (BOOT_REGION, BOOT_SHADOW_REGION)
        )  # fmt: skip

    # Copy state -------------------------------------------------------------------------------------

    @property
    def state(self) -> CopyState:
        """The value that counts."""
        return CopyState.decode(self._block.content)

    async def store(self, life: Incarnation, state: CopyState) -> None:
        """Write the state unless it is the one that stands firm; a cut before the end leaves the old one."""
        await self._block.keep(life, state.encode())
