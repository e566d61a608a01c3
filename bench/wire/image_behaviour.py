"""What a demonstration image does once it runs: a marker in its first bytes, part of what is signed and hashed.

A marked image is rightly signed and bad all the same. Layout, big-endian: magic 8, kind 1, zero 3, after 4 (in ms).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum

MAGIC = b"OTBBEHV1"
_MARKER = struct.Struct(">8sB3sI")
MARKER_BYTES = _MARKER.size
AFTER_MAX_MS = 0xFFFF_FFFF


class Behaviour(IntEnum):
    """What goes wrong: nothing, an exception of the processor (it resets at once), or a processor that stands still."""

    NORMAL = 0
    CRASH = 1
    HANG = 2


@dataclass(frozen=True, slots=True)
class ImageBehaviour:
    """A behaviour and how long after its first instruction the image shows it."""

    kind: Behaviour = Behaviour.NORMAL
    after_ms: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.after_ms <= AFTER_MAX_MS:
            raise ValueError(f"after_ms = {self.after_ms} is not 0 to {AFTER_MAX_MS}")


WELL = ImageBehaviour()
"""An image that simply runs."""


def marked(data: bytes, behaviour: ImageBehaviour) -> bytes:
    """Return the image with a marker in place of its first 16 bytes; ValueError when it is shorter than that."""
    if len(data) < MARKER_BYTES:
        raise ValueError(f"an image of {len(data)} bytes has no room for a marker of {MARKER_BYTES}")
    return _MARKER.pack(MAGIC, behaviour.kind, bytes(3), behaviour.after_ms) + data[MARKER_BYTES:]


def behaviour_of(data: bytes) -> ImageBehaviour:
    """Return what an image that begins with `data` does; one without a (known) marker simply runs."""
    if len(data) < MARKER_BYTES:
        return WELL
    magic, kind, zero, after_ms = _MARKER.unpack_from(data)
    if magic != MAGIC or any(zero) or kind not in Behaviour.__members__.values():
        return WELL
    return ImageBehaviour(Behaviour(kind), after_ms)
