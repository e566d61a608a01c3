"""A flash session of ODX (ISO 22901-1): blocks with their segments, identifications, checksums and security."""

from __future__ import annotations

from dataclasses import dataclass

from bench.images.damaged import Damaged
from bench.images.memory import AddressRange, MemoryImage, Segment


@dataclass(frozen=True, slots=True)
class OdxValue:
    """A value as the file tells it: its text, and the type that says how to read it (`A_BYTEFIELD`, ...)."""

    text: str
    type: str

    def data(self, size_bytes: int = 4) -> bytes:
        """Return the value as bytes: a field as its digits say, a number in `size_bytes` (more where it needs them).

        `Damaged` when the text is not of its type.
        """
        try:
            if self.type == "A_BYTEFIELD":
                return bytes.fromhex(self.text)
            if self.type in ("A_UINT32", "A_INT32"):
                number = int(self.text)
                return number.to_bytes(max(size_bytes, (number.bit_length() + 7) // 8), "big")
        except (ValueError, OverflowError):
            raise Damaged(f"{self.text[:40]!r} is no {self.type}") from None
        return self.text.encode("utf-16-be" if self.type == "A_UNICODE2STRING" else "utf-8")


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
    method: OdxValue | None = None
    """ENCRYPT-COMPRESS-METHOD of the segment, else of its data; None where there is none, or an empty one."""


@dataclass(frozen=True, slots=True)
class IdentDesc:
    """IDENT-DESC of an ECU-MEM-CONNECTOR: diagnostic service and parameter that an ident is read by, by short name."""

    ident: str
    diag_comm: str
    out_param: str | None


@dataclass(frozen=True, slots=True)
class FlashBlock:
    """DATABLOCK: `kind` is its TYPE; `packed_by` names the method where the data are compressed or encrypted.

    `target_offset` is what TARGET-ADDR-OFFSET added to the addresses of the file.
    """

    name: str
    kind: str
    logical_block_index: int | None
    data_format: str | None
    packed_by: str | None
    own_idents: dict[str, OdxValue]
    securities: tuple[Security, ...]
    segments: tuple[FlashSegment, ...]
    target_offset: int = 0


@dataclass(frozen=True, slots=True)
class PhysicalSegment:
    """PHYS-SEGMENT: a part of the ECU's memory from `start` on. `block_bytes` is its BLOCK-SIZE, 0 where not said.

    `end` (not included) is None where the document gives neither end nor size.
    """

    name: str
    start: int
    end: int | None
    block_bytes: int
    fill_byte: int | None


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
    ident_descs: tuple[IdentDesc, ...] = ()
    physical: tuple[PhysicalSegment, ...] = ()

    def image(self) -> MemoryImage:
        """Return the plain blocks as one image; `Overlap` when two claim one address."""
        plain = (block for block in self.blocks if block.packed_by is None)
        return MemoryImage.of(Segment(each.range.start, each.data) for block in plain for each in block.segments)

    def packed(self) -> tuple[Segment, ...]:
        """Return the compressed or encrypted segments as they are, in the file's order."""
        packed = (block for block in self.blocks if block.packed_by is not None)
        return tuple(Segment(each.range.start, each.data) for block in packed for each in block.segments)
