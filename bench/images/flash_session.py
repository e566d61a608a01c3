"""A flash session of ODX (ISO 22901-1): blocks with their segments, identifications, checksums and security."""

from __future__ import annotations

from dataclasses import dataclass

from bench.images.memory import AddressRange, MemoryImage, Segment


@dataclass(frozen=True, slots=True)
class OdxValue:
    """A value as the file tells it: its text, and the type that says how to read it (`A_BYTEFIELD`, ...)."""

    text: str
    type: str


@dataclass(frozen=True, slots=True)
class Security:
    """SECURITY of a session or block; each part is optional."""

    method: OdxValue | None
    signature: OdxValue | None
    checksum: OdxValue | None
    validity_for: OdxValue | None


@dataclass(frozen=True, slots=True)
class Checksum:
    """CHECKSUM of a session: what the ECU is to be asked for; `algorithm` is the maker's own name."""

    name: str
    algorithm: str | None
    range: AddressRange
    result: OdxValue


@dataclass(frozen=True, slots=True)
class FlashSegment:
    """SEGMENT: `range` is where it lies in the ECU once unpacked, `data` what the file holds for it."""

    name: str
    range: AddressRange
    data: bytes


@dataclass(frozen=True, slots=True)
class FlashBlock:
    """DATABLOCK: `kind` is its TYPE; `packed_by` names the method where the data are compressed or encrypted."""

    name: str
    kind: str
    logical_block_index: int | None
    data_format: str | None
    packed_by: str | None
    own_idents: dict[str, OdxValue]
    securities: tuple[Security, ...]
    segments: tuple[FlashSegment, ...]


@dataclass(frozen=True, slots=True)
class FlashSession:
    """SESSION: what is programmed in one go. `part_number` and `direction` are those of its SESSION-DESC, if any."""

    name: str
    ecu_mem: str
    part_number: str | None
    direction: str | None
    expected_idents: dict[str, tuple[OdxValue, ...]]
    checksums: tuple[Checksum, ...]
    securities: tuple[Security, ...]
    blocks: tuple[FlashBlock, ...]

    def image(self) -> MemoryImage:
        """Return the plain blocks as one image; `Overlap` when two claim one address."""
        plain = (block for block in self.blocks if block.packed_by is None)
        return MemoryImage.of(Segment(each.range.start, each.data) for block in plain for each in block.segments)

    def packed(self) -> tuple[Segment, ...]:
        """Return the compressed or encrypted segments as they are, in the file's order."""
        packed = (block for block in self.blocks if block.packed_by is not None)
        return tuple(Segment(each.range.start, each.data) for block in packed for each in block.segments)
