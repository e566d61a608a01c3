"""What a power cut leaves on the disk of a computer: the words in which a fault asks for it and a disk obeys."""

from __future__ import annotations

from enum import StrEnum


class DiskLoss(StrEnum):
    """What a power cut leaves of what was not synced: names (old or new) times bytes (none, a torn prefix, all).

    Several files with unsynced bytes are torn alike. Prefixes have a class each, for it is the border that programs get
    wrong: one byte of a record, a half, all but the last byte.
    """

    SEEDED = "seeded"
    """Drawn from the run's seed, for the names and for each file by itself: a real disk's cache decides by chance."""
    NOTHING = "nothing"
    BYTES = "bytes"
    """The names are there before their bytes: a rename shows what the file held when it was synced last."""
    BYTES_AFTER_FIRST = "bytes_after_first"
    BYTES_AFTER_HALF = "bytes_after_half"
    LAST_BYTE = "last_byte"
    NAMES = "names"
    NAMES_AND_BYTES_AFTER_FIRST = "names_and_bytes_after_first"
    NAMES_AND_BYTES_AFTER_HALF = "names_and_bytes_after_half"
    NAMES_AND_LAST_BYTE = "names_and_last_byte"
    EVERYTHING = "everything"


CERTAIN_LOSSES = tuple(loss for loss in DiskLoss if loss is not DiskLoss.SEEDED)
"""Every outcome of a cut, none left to chance."""
LOSES_NAMES = (
    DiskLoss.NAMES,
    DiskLoss.NAMES_AND_BYTES_AFTER_FIRST,
    DiskLoss.NAMES_AND_BYTES_AFTER_HALF,
    DiskLoss.NAMES_AND_LAST_BYTE,
    DiskLoss.EVERYTHING,
)


def surviving_bytes(loss: DiskLoss, unsynced: int) -> int:
    """Return how many of a file's unsynced bytes a certain loss leaves; ValueError for `seeded`, which draws them."""
    if loss in (DiskLoss.NOTHING, DiskLoss.NAMES):
        return unsynced
    if loss in (DiskLoss.BYTES, DiskLoss.EVERYTHING):
        return 0
    if loss in (DiskLoss.BYTES_AFTER_FIRST, DiskLoss.NAMES_AND_BYTES_AFTER_FIRST):
        return min(1, unsynced)
    if loss in (DiskLoss.BYTES_AFTER_HALF, DiskLoss.NAMES_AND_BYTES_AFTER_HALF):
        return unsynced // 2
    if loss in (DiskLoss.LAST_BYTE, DiskLoss.NAMES_AND_LAST_BYTE):
        return max(0, unsynced - 1)
    raise ValueError(f"{loss} is drawn, not known")
