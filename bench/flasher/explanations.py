"""What stood in a refused request, byte by byte, and which keys of the recipe put it there."""

from __future__ import annotations

from bench.flasher.recipe import Recipe
from bench.wire.uds import Nrc


def download_refused(recipe: Recipe, address: int, size_bytes: int, data_format: int) -> str:
    """Explain a refused 0x34: format bytes, address and size, with what the recipe allows."""
    memory, transfer, download = recipe.memory, recipe.transfer, recipe.download
    packing = f"compression {data_format >> 4:X} ({download.compression if data_format >> 4 else 'none'})"
    packing += f", encryption {data_format & 0xF:X} ({download.encryption if data_format & 0xF else 'none'})"
    end = memory.region_base + memory.region_size
    slot = "" if memory.header_address is None else f" and the header slot 0x{memory.header_address:08X}"
    return (
        f"byte 2 dataFormatIdentifier 0x{data_format:02X}: {packing}, from [download]; "
        f"byte 3 addressAndLengthFormatIdentifier 0x{transfer.address_and_length_format:02X}, from "
        f"transfer.address_bytes = {transfer.address_bytes} and size_bytes = {transfer.size_bytes}; "
        f"then address 0x{address:08X} and size 0x{size_bytes:X}, the recipe allows 0x{memory.region_base:08X} to "
        f"0x{end - 1:08X}{slot}"
    )


def block_refused(recipe: Recipe, counter: int, length_bytes: int, nrc: int) -> str:
    """Explain a refused 0x36: its counter or its length."""
    transfer = recipe.transfer
    if nrc == Nrc.WRONG_BLOCK_SEQUENCE_COUNTER:
        return (
            f"byte 2 blockSequenceCounter 0x{counter:02X}: the recipe begins with transfer.first_counter = "
            f"{transfer.first_counter} and follows 0xFF with transfer.counter_after_ff = {transfer.counter_after_ff}"
        )
    limit = recipe.memory.block_limit_bytes
    return f"block 0x{counter:02X} with {length_bytes} bytes of data; memory.block_limit_bytes = {limit} with two more"
