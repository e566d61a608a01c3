"""How a download is written on the wire: widths of address and size, block counters; in recipe and ECU file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.config import FileModel

Width = Annotated[int, Field(ge=1, le=4)]


class TransferFormat(FileModel):
    """addressAndLengthFormatIdentifier of 0x34 and of the ranges in 0x31, and the blockSequenceCounter of 0x36.

    ISO 14229-1: the counter starts at 1 and follows 0xFF with 0; bootloaders that start at 0, or leave 0 out when it
    wraps, are real.
    """

    address_bytes: Width = 4
    size_bytes: Width = 4
    first_counter: Literal[0, 1] = 1
    counter_after_ff: Literal[0, 1] = 0

    @property
    def address_and_length_format(self) -> int:
        """The format byte: width of the size in the high nibble, of the address in the low one."""
        return self.size_bytes << 4 | self.address_bytes

    def counter_after(self, counter: int | None) -> int:
        """Return the counter of the block after `counter` (None: of the first block)."""
        if counter is None:
            return self.first_counter
        return self.counter_after_ff if counter == 0xFF else counter + 1

    def range(self, address: int, length_bytes: int) -> bytes:
        """Return format, address and length; OverflowError when one does not fit its width."""
        size = length_bytes.to_bytes(self.size_bytes, "big")
        return bytes((self.address_and_length_format,)) + address.to_bytes(self.address_bytes, "big") + size


STANDARD = TransferFormat()
