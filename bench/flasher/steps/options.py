"""Option records of routines, put together from what a recipe names."""

from __future__ import annotations

from collections.abc import Sequence

from bench.flasher.errors import ImageMismatch
from bench.flasher.recipe_checks import Item
from bench.flasher.sums import SUMS
from bench.flasher.task import Piece, Plan


def option_record(plan: Plan, items: Sequence[Item], piece: Piece | None) -> bytes:
    """Return the record; ImageMismatch when the file does not hold what the recipe names."""
    return b"".join(_item(plan, item, piece) for item in items)


def range_record(plan: Plan, items: Sequence[Item], address: int, size_bytes: int) -> bytes:
    """Return the record of a range of memory."""
    return b"".join(_of_range(plan, item, address, size_bytes) for item in items)


def _of_range(plan: Plan, item: Item, address: int, size_bytes: int) -> bytes:
    transfer = plan.recipe.transfer
    match item:
        case Item.FORMAT:
            return bytes((transfer.address_and_length_format,))
        case Item.ADDRESS:
            return address.to_bytes(transfer.address_bytes, "big")
        case Item.SIZE:
            return size_bytes.to_bytes(transfer.size_bytes, "big")
    raise ImageMismatch(plan.ecu, f"option {item}", "no such thing for a range", "is asked for it by the recipe")


def _item(plan: Plan, item: Item, piece: Piece | None) -> bytes:
    if item is Item.FORMAT:
        return bytes((plan.recipe.transfer.address_and_length_format,))
    assert piece is not None, "the recipe was checked: other items belong to a part"
    part, segment = plan.part(piece), plan.segment(piece)
    found: bytes | None
    match item:
        case Item.ADDRESS | Item.SIZE:
            return _of_range(plan, item, segment.address, segment.size_bytes)
        case Item.INDEX:
            found = None if part.index is None else part.index.to_bytes(1, "big")
        case Item.START_ADDRESS:
            found = None if part.start_address is None else part.start_address.to_bytes(4, "big")
        case Item.SIGNATURE | Item.SIGNATURE_DEV:
            found = part.proof(item)
        case _:
            found = None if segment.plain is None else SUMS[item](segment.plain)
    if found is None:
        raise ImageMismatch(plan.ecu, f"{part.name}: {item}", "none", "needs one: its recipe sends it")
    return found
