"""What a firmware file says, whatever its format."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.images.flash_session import FlashSession
from bench.images.memory import AddressRange, MemoryImage, Segment
from bench.images.vbf import Vbf


@dataclass(frozen=True, slots=True)
class Firmware:
    """A firmware file: its memory image and what else the file says.

    `start_address` is where execution begins (records 03 and 05 of Intel HEX, S7 to S9 unless zero, `e_entry`, `call`);
    `fields` are the texts of the file's own header; `erase` is VBF's erase table.
    Where `data_format_identifier` (RequestDownload, ISO 14229-1: compression nibble, encryption nibble) or `packed_by`
    (ODX: the method's name) is given, the blocks are compressed or encrypted: `image` is empty and `packed` holds
    them as the file has them, in its order, each with its address in the ECU.
    """

    file_format: str
    image: MemoryImage
    start_address: int | None = None
    fields: dict[str, str] = field(default_factory=dict)
    erase: tuple[AddressRange, ...] = ()
    packed: tuple[Segment, ...] = ()
    data_format_identifier: int = 0
    packed_by: str | None = None
    session: FlashSession | None = None
    vbf: Vbf | None = None
    tolerated: tuple[str, ...] = ()
    """What a lenient reader left out, a sentence each."""

    @property
    def size_bytes(self) -> int:
        """Return how many bytes the file gives, packed or plain."""
        return self.image.size_bytes + sum(len(block.data) for block in self.packed)


def packing_words(data_format_identifier: int) -> str:
    """Say what the two nibbles of a dataFormatIdentifier mean; the methods' numbers are the maker's."""
    compression, encryption = data_format_identifier >> 4, data_format_identifier & 0xF
    words = [f"compressed (method {compression})"] if compression else []
    words += [f"encrypted (method {encryption})"] if encryption else []
    return " and ".join(words) or "plain"
