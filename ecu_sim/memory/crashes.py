"""How often each bank's image was reset by the watchdog or by a crash: counters in a block of NVM of their own."""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace

_FIXED = struct.Struct(">BBxxI")
BLOCK_BYTES = _FIXED.size
COUNT_MAX, TOTAL_MAX = 0xFF, 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class CrashCounters:
    """`in_row` has a count for each bank in the ECU file's order; `total` counts over the ECU's life."""

    in_row: tuple[int, int] = (0, 0)
    total: int = 0

    def encode(self) -> bytes:
        """Return the block's content."""
        return _FIXED.pack(*self.in_row, self.total)

    @classmethod
    def decode(cls, content: bytes) -> CrashCounters:
        """Read a block's content."""
        first, second, total = _FIXED.unpack(content)
        return cls((first, second), total)

    def after_crash(self, bank: int | None) -> CrashCounters:
        """Return the counters after a reset of the image in a bank (by number), or of the bootloader (None)."""
        counted = replace(self, total=min(self.total + 1, TOTAL_MAX))
        if bank is None:
            return counted
        return replace(counted, in_row=self._with(bank, min(self.in_row[bank] + 1, COUNT_MAX)))

    def forgiven(self, bank: int) -> CrashCounters:
        """Return the counters with a bank's row begun anew."""
        return replace(self, in_row=self._with(bank, 0))

    def _with(self, bank: int, count: int) -> tuple[int, int]:
        first, second = self.in_row
        return (count, second) if bank == 0 else (first, count)
