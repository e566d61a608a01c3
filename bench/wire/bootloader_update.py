"""A bootloader that can be updated itself: where its shadow copy lies, and what the factory put into it."""

from __future__ import annotations

import hashlib
from functools import cached_property

from pydantic import Field

from bench.config import FileModel
from bench.wire.image_header import HEADER_BYTES, ImageHeader

BOOT_BASE, BOOT_BYTES = 0x00F8_0000, 0x1_0000
"""Where the bootloader's own place begins, as a linked address, and its size unless a sector is larger."""
BOOT_SOFTWARE_ID = "BOOT"
LINKED_AT = BOOT_BASE + HEADER_BYTES
"""Where a bootloader's code is linked: behind its header, in the active region."""
FACTORY_VERSION = "OTABENCH-BOOT-1.0"
"""What a bootloader calls itself that was never updated."""


class BootloaderUpdate(FileModel):
    """A bootloader is downloaded to the shadow (header first, code behind it) and copied by the boot manager.

    The factory's own bootloader is not signed: the boot manager knows its header, hash included.
    """

    shadow_address: int = Field(ge=0, lt=2**32, description="linked address of the shadow region, for downloads")
    factory_version: str = Field(default=FACTORY_VERSION, pattern=r"^[!-~]{1,32}$")
    factory_release_counter: int = Field(default=1, ge=0, lt=2**32)
    factory_bytes: int = Field(default=4096, ge=16, le=BOOT_BYTES - HEADER_BYTES)

    @cached_property
    def factory_code(self) -> bytes:
        """The code that the factory put into the active region."""
        seed = self.factory_version.encode()
        blocks = (hashlib.sha256(seed + n.to_bytes(4, "big")).digest() for n in range(-(-self.factory_bytes // 32)))
        return b"".join(blocks)[: self.factory_bytes]

    @cached_property
    def factory_header(self) -> bytes:
        """The header before it, without a signature."""
        return ImageHeader(
            hardware_id="FACTORY", software_id=BOOT_SOFTWARE_ID, version=self.factory_version,
            release_counter=self.factory_release_counter, load_address=LINKED_AT, length=self.factory_bytes,
            sha256=hashlib.sha256(self.factory_code).digest(),
        ).encode()  # fmt: skip
