"""Software as a file hands it out: logical blocks of segments, with what the file says of erasing, checking, signing.

Nothing is filled and nothing joined: a segment is what one RequestDownload (0x34, ISO 14229-1) takes. A *logical block*
is what is erased, checked and signed as one: a whole VBF file, a DATABLOCK of ODX (ISO 22901-1), a HEX or ELF file.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from bench.images.flash_session import IdentDesc, OdxValue, PhysicalSegment
from bench.images.memory import ERASED, AddressRange, MemoryImage, Segment

_WINDOWS = (-zlib.MAX_WBITS, zlib.MAX_WBITS | 32)
"""Raw deflate; zlib or gzip by its header."""


class BlockKind(StrEnum):
    """What a block is to the ECU; the maker's own word is kept beside it (`SoftwareBlock.type_name`)."""

    BOOTLOADER = "bootloader"
    CODE = "code"
    DATA = "data"
    CONFIGURATION = "configuration"
    UNSPECIFIED = "unspecified"


@dataclass(frozen=True, slots=True)
class BlockSegment:
    """Consecutive bytes of a block: `data` exactly as the file has them, for `address` on.

    `memory` is what they fill in the ECU; None where the file does not say (VBF, packed). `data_format_identifier` is
    that of 0x34: upper nibble compression, lower encryption, 0 plain; None where the file names a method (`method`)
    that is no byte. `crc16` is what a VBF states after the block (CCITT, start 0xFFFF), verified.
    """

    address: int
    data: bytes
    memory: AddressRange | None
    data_format_identifier: int | None = 0
    method: str | None = None
    crc16: int | None = None
    name: str = ""

    @property
    def is_packed(self) -> bool:
        """Return whether the bytes are compressed or encrypted."""
        return self.data_format_identifier != 0

    @property
    def uncompressed_size(self) -> int | None:
        """Return how many bytes of memory are filled, where that is known."""
        return None if self.memory is None else self.memory.size_bytes

    def plain(self) -> bytes | None:
        """Return the bytes that memory shall hold; None where only the ECU can unpack them.

        Methods are the maker's numbers. Deflate is recognised by itself: a stream that ends with the data and gives
        the stated size to the byte.
        """
        if not self.is_packed:
            return self.data
        if self.memory is None or (self.data_format_identifier or 0) & 0x0F:
            return None
        return next((found for found in map(self._inflated, _WINDOWS) if found is not None), None)

    def _inflated(self, window_bits: int) -> bytes | None:
        size = self.uncompressed_size or 0
        unpacker = zlib.decompressobj(window_bits)
        try:
            found = unpacker.decompress(self.data, size + 1)
        except zlib.error:
            return None
        return found if unpacker.eof and not unpacker.unused_data and len(found) == size else None


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature of a block or file, for the ECU to check: the keys are the maker's.

    `name` is the field (`sw_signature`, `sw_signature_dev`) or `SECURITY`. `data` is FW-SIGNATURE, `checksum`
    FW-CHECKSUM, `validity_for` VALIDITY-FOR, each None where the file has none.
    """

    name: str
    data: bytes | None
    method: str | None = None
    checksum: bytes | None = None
    validity_for: bytes | None = None


class CheckState(StrEnum):
    """What came of computing an expected checksum over the file's own data."""

    RIGHT = "right"
    WRONG = "wrong"
    UNCHECKED = "unchecked"


@dataclass(frozen=True, slots=True)
class ExpectedChecksum:
    """What the ECU must give over `range`: CHECKSUM of ODX, or a VBF's `file_checksum` (`range` None: the file).

    `algorithm` is the maker's name, None where none is given; `reason` says why the state is not `right`.
    """

    name: str
    algorithm: str | None
    range: AddressRange | None
    value: bytes
    state: CheckState
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Ident:
    """OWN-IDENT or EXPECTED-IDENT: what the ECU must show, one of `values`; `read_by` says by which service."""

    name: str
    values: tuple[OdxValue, ...]
    read_by: IdentDesc | None = None


@dataclass(frozen=True, slots=True)
class SoftwareBlock:
    """A logical block. `erase` is what the file says to erase before it; empty where it says nothing."""

    name: str
    kind: BlockKind
    segments: tuple[BlockSegment, ...]
    type_name: str = ""
    logical_block_index: int | None = None
    erase: tuple[AddressRange, ...] = ()
    checksums: tuple[ExpectedChecksum, ...] = ()
    signatures: tuple[Signature, ...] = ()
    own_idents: tuple[Ident, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Return how many bytes the file has for it, packed or plain: what crosses the bus."""
        return sum(len(each.data) for each in self.segments)

    @property
    def memory(self) -> tuple[AddressRange, ...]:
        """Return what its segments fill; of a segment whose extent is unknown its first byte."""
        return tuple(each.memory or AddressRange(each.address, each.address + 1) for each in self.segments)

    def plain(self) -> MemoryImage | None:
        """Return what memory shall hold after it; None where a segment can only be unpacked by the ECU."""
        found = [(each.address, each.plain()) for each in self.segments]
        known = [Segment(address, data) for address, data in found if data is not None]
        return MemoryImage.of(known) if len(known) == len(found) else None

    def signature(self, name: str) -> Signature | None:
        """Return the signature of this name."""
        return next((each for each in self.signatures if each.name == name), None)

    def aligned(self, unit_bytes: int, value: int = ERASED) -> SoftwareBlock:
        """Return the block with each segment filled up to whole program units, those that share a unit joined.

        `unit_bytes` is a power of two. ValueError when it is none, or a segment is packed or has a CRC of its own:
        such bytes are sent as they stand.
        """
        if any(each.is_packed or each.crc16 is not None for each in self.segments):
            raise ValueError("packed segments, and those with a CRC of their own, are sent as they stand")
        image = MemoryImage.of(Segment(each.address, each.data) for each in self.segments).aligned(unit_bytes, value)
        return replace(self, segments=tuple(plain_segment(each) for each in image.segments))


def plain_segment(segment: Segment, crc16: int | None = None) -> BlockSegment:
    """Return a segment that is neither compressed nor encrypted."""
    return BlockSegment(segment.address, segment.data, segment.range, crc16=crc16)


@dataclass(frozen=True, slots=True)
class SoftwareFile:
    """One file, or one flash session of it: its blocks in the order of flashing, and what it says of itself.

    `start_address` is where execution begins: `call` of a secondary bootloader (31 01 0301). `version` is VBF's
    `sw_version`, `part_type` its `sw_part_type`, `frame_format` `CAN_STANDARD` or `CAN_EXTENDED`. `checksums` and
    `signatures` are those of the whole; what concerns one block is in the block. `fields` are the header's texts.
    """

    name: str
    file_format: str
    blocks: tuple[SoftwareBlock, ...]
    part_number: str | None = None
    part_number_did: int | None = None
    version: str | None = None
    part_type: str | None = None
    ecu_addresses: tuple[int, ...] = ()
    network: str | None = None
    frame_format: str | None = None
    start_address: int | None = None
    public_key_hash: bytes | None = None
    verification_block: AddressRange | None = None
    verification_block_root_hash: bytes | None = None
    checksums: tuple[ExpectedChecksum, ...] = ()
    signatures: tuple[Signature, ...] = ()
    expected_idents: tuple[Ident, ...] = ()
    session: str | None = None
    direction: str | None = None
    physical: tuple[PhysicalSegment, ...] = ()
    fields: Mapping[str, str] = field(default_factory=dict, hash=False)
    tolerated: tuple[str, ...] = ()

    @property
    def is_bootloader(self) -> bool:
        """Return whether it is a secondary bootloader: it goes first, into RAM."""
        return any(each.kind is BlockKind.BOOTLOADER for each in self.blocks)

    @property
    def ecu_address(self) -> int | None:
        """Return the address of the ECU that the file is for, where it names one alone."""
        return self.ecu_addresses[0] if len(self.ecu_addresses) == 1 else None

    @property
    def size_bytes(self) -> int:
        """Return how many bytes cross the bus."""
        return sum(each.size_bytes for each in self.blocks)

    @property
    def all_checksums(self) -> tuple[ExpectedChecksum, ...]:
        """Return the checksums of the whole and of each block."""
        return (*self.checksums, *(check for block in self.blocks for check in block.checksums))
