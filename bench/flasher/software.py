"""What is to be programmed, as data: parts in their order, each with its segments, erase ranges and proofs.

A part is what is erased, downloaded and checked together: a file (VBF), a data block (ODX), a logical block of an
image, the header of a signed image. Nothing here knows a file format: whoever reads one makes these values.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from bench.flasher.recipe import Recipe


class PartKind(StrEnum):
    """What a part is for."""

    BOOTLOADER = "bootloader"
    """A secondary bootloader: loaded into RAM and started there before anything is erased."""
    SOFTWARE = "software"
    """Application, calibration, data: what stays."""
    HEADER = "header"
    """The signed description of an image, in a slot of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Bytes without a gap: what is sent for it, and what memory shall hold from `address` on.

    `size_bytes` is the size in memory. `plain` is None when only the ECU can unpack what is sent.
    """

    address: int
    data: bytes
    size_bytes: int
    plain: bytes | None

    @classmethod
    def of(cls, address: int, plain: bytes) -> Segment:
        """Return a segment that is sent as memory shall hold it, or packed by the recipe."""
        return cls(address=address, data=plain, size_bytes=len(plain), plain=plain)

    @property
    def end(self) -> int:
        """Return the first address behind it."""
        return self.address + self.size_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What is erased, downloaded and checked together. Ranges are (address, length in bytes)."""

    name: str
    segments: tuple[Segment, ...]
    kind: PartKind = PartKind.SOFTWARE
    data_format: int | None = None
    """The dataFormatIdentifier of 0x34 that its bytes are packed by already; None: the recipe packs them."""
    index: int | None = None
    """The number by which the ECU knows it as a logical block."""
    erase: tuple[tuple[int, int], ...] = ()
    proofs: tuple[tuple[str, bytes], ...] = ()
    """What a check may send along, by name: `signature`, `signature_dev`, ..."""
    start_address: int | None = None
    """Where a bootloader is started."""

    def proof(self, name: str) -> bytes | None:
        """Return a proof by its name; None when the file has none of that name."""
        return dict(self.proofs).get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Software:
    """All that one ECU is given, and what it must say: before (`hardware_ids`), and in the end.

    `versions` are what the recipe's version identifiers must give, in their order; `software_id` is the name under
    which reports speak of it. Any of `hardware_ids` is right; without any, none is compared.
    """

    parts: tuple[Part, ...]
    versions: tuple[str, ...]
    software_id: str
    hardware_ids: tuple[str, ...] = ()

    @property
    def version(self) -> str:
        """Return the versions as reports name them, and as an identity holds them (`known.identity_of`)."""
        return ", ".join(self.versions)

    def of_kind(self, kind: PartKind) -> tuple[int, ...]:
        """Return the places of all parts of a kind."""
        return tuple(n for n, part in enumerate(self.parts) if part.kind is kind)

    @property
    def size_bytes(self) -> int:
        """Return how many bytes of memory it fills."""
        return sum(segment.size_bytes for part in self.parts for segment in part.segments)


class Job(Protocol):
    """Something to be flashed into one ECU."""

    @property
    def ecu(self) -> str:
        """The ECU's id."""

    def software(self, recipe: Recipe) -> Software:
        """Return what is programmed by a recipe; ImageMismatch when both do not belong together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SoftwareJob:
    """A job whose software stands as it is, whatever the recipe."""

    ecu: str
    given: Software

    def software(self, recipe: Recipe) -> Software:
        """See `Job`."""
        del recipe
        return self.given
