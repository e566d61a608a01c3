"""The data of an ODX DATABLOCK: where they come from (document, container, file) and what goes to which address."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from bench.config import read_bytes
from bench.images.damaged import Damaged, Unsuited
from bench.images.flash_session import FlashBlock, FlashSegment, OdxValue, Security
from bench.images.memory import ADDRESS_SPACE_BYTES, AddressRange, MemoryImage, Segment
from bench.images.text_files import read_text

TEXT = {"INTEL-HEX": "ihex", "MOTOROLA-S": "srec"}
"""DATAFORMAT SELECTION: the format that reads it."""


@dataclass(slots=True)
class Files:
    """What EXTERN-FLASHDATA may name: the container's members, or files beside the document."""

    members: dict[str, bytes]
    folder: Path | None
    limit_bytes: int
    decoded: dict[Any, MemoryImage | bytes] = field(default_factory=dict)
    taken_bytes: int = 0

    def named(self, name: str) -> bytes:
        """Return a file's bytes; `Damaged` when it is not there or leads elsewhere."""
        if self.folder is None:
            if name not in self.members:
                known = ", ".join(list(self.members)[:8])
                raise Damaged(f"the container has no file {name!r}; it has {known}")
            return self.members[name]
        parts = PurePosixPath(name.replace("\\", "/")).parts
        if not parts or ".." in parts or PurePosixPath(name).is_absolute() or ":" in name:
            raise Damaged(f"the data file {name!r} is no file beside the document")
        return read_bytes(self.folder.joinpath(*parts), limit_bytes=self.limit_bytes, what="flash data file")


def read_block(block: Any, files: Files) -> FlashBlock:
    """Return a DATABLOCK with its data; `Damaged` or `Unsuited` when they cannot be used."""
    flashdata = block.flashdata
    segments = () if flashdata is None else tuple(_segments(block, flashdata, files))
    files.taken_bytes += sum(len(each.data) for each in segments)
    if files.taken_bytes > files.limit_bytes:
        raise Unsuited(
            "the data blocks of this file are too large together",
            found=f"{files.taken_bytes} bytes up to block {block.short_name}",
            allowed=f"up to {files.limit_bytes} bytes",
        )
    packed_by = None if flashdata is None else _packed_by(block, flashdata)
    return FlashBlock(
        name=block.short_name,
        kind=block.data_type,
        logical_block_index=block.logical_block_index,
        data_format=None if flashdata is None else str(flashdata.dataformat.selection.value),
        packed_by=packed_by,
        own_idents={each.short_name: odx_value(each.ident_value) for each in block.own_idents},
        securities=tuple(security(each) for each in block.securities),
        segments=segments,
        target_offset=_offset(block),
    )


def security(each: Any) -> Security:
    """Return a SECURITY element's parts."""
    parts = (each.security_method, each.fw_signature, each.fw_checksum, each.validity_for)
    return Security(*(None if part is None else odx_value(part) for part in parts))


def odx_value(value: Any) -> OdxValue:
    """Return text and type of an element."""
    return OdxValue(value.value_raw.strip(), str(value.value_type.value))


def _packed_by(block: Any, flashdata: Any) -> str | None:
    """Return the ENCRYPT-COMPRESS-METHOD of the data or of a segment; zero and empty mean none."""
    for each in (flashdata, *block.segments):
        method = each.encrypt_compress_method
        if method is not None and method.value_raw.strip().strip("0"):
            return str(method.value_raw.strip())
    return None


def _method(flashdata: Any, segment: Any = None) -> OdxValue | None:
    """Return the ENCRYPT-COMPRESS-METHOD that is nearest: the segment's own, else that of the data."""
    own = None if segment is None else segment.encrypt_compress_method
    nearest = own if own is not None else flashdata.encrypt_compress_method
    found = None if nearest is None else odx_value(nearest)
    return found if found is not None and found.text else None


def _segments(block: Any, flashdata: Any, files: Files) -> Iterator[FlashSegment]:
    packed = _packed_by(block, flashdata) is not None
    try:
        content = _content(flashdata, files)
    except Damaged as bad:
        raise Damaged(f"flash data {flashdata.short_name}{bad.where}: {bad}") from None
    if isinstance(content, bytes):
        yield from _of_binary(block, content, packed)
    else:
        yield from _of_image(block, content, packed)


def _content(flashdata: Any, files: Files) -> MemoryImage | bytes:
    """Return the data as an image where their format has addresses, else as bytes; each is decoded once."""
    if flashdata.odx_id not in files.decoded:
        files.decoded[flashdata.odx_id] = _decoded(flashdata, files)
    return files.decoded[flashdata.odx_id]


def _decoded(flashdata: Any, files: Files) -> MemoryImage | bytes:
    selection = str(flashdata.dataformat.selection.value)
    datafile = getattr(flashdata, "datafile", None)
    raw = flashdata.data.encode() if datafile is None else files.named(datafile.value.strip())
    if selection in TEXT:
        return read_text(raw, TEXT[selection], limit_bytes=files.limit_bytes).image
    if selection != "BINARY":
        raise Unsuited(
            "these flash data have a format of the maker's own",
            found=f"{selection} {flashdata.dataformat.user_selection or ''}".strip(),
            allowed="INTEL-HEX, MOTOROLA-S, BINARY",
        )
    if datafile is not None:
        return raw
    try:
        return bytes.fromhex(raw.decode())
    except ValueError:
        raise Damaged("BINARY data are not pairs of hexadecimal digits") from None


def _of_binary(block: Any, data: bytes, packed: bool) -> Iterator[FlashSegment]:
    """Cut the bytes in the order of the segments; together they must be all of them."""
    if not block.segments:
        raise Damaged(f"data block {block.short_name} has BINARY data and no segment that says where they go")
    if block.filters:
        raise Damaged(f"data block {block.short_name} filters BINARY data, which have no addresses")
    sizes = [_data_bytes(each, packed) for each in block.segments]
    if packed and len(sizes) == 1 and block.segments[0].compressed_size is None:
        sizes = [len(data)]
    if sum(sizes) != len(data):
        raise Damaged(f"the segments of {block.short_name} take {sum(sizes)} bytes, its data have {len(data)}")
    at = 0
    for segment, size in zip(block.segments, sizes, strict=True):
        part, method = data[at : at + size], _method(block.flashdata, segment)
        yield FlashSegment(segment.short_name, _target(block, segment), part, method)
        at += size


def _of_image(block: Any, image: MemoryImage, packed: bool) -> Iterator[FlashSegment]:
    """Take each segment's addresses out of the image; all of them must be there."""
    chosen = _filtered(block, image)
    for part in chosen.segments if not block.segments else ():
        name = f"0x{part.address:08X}"
        yield FlashSegment(name, _moved(part.range, _offset(block), name), part.data, _method(block.flashdata))
    for segment in block.segments:
        start = segment.source_start_address
        wanted = AddressRange(start, start + _data_bytes(segment, packed))
        inside = chosen.within(wanted)
        if len(inside.segments) != 1 or inside.ranges[0] != wanted:
            have = ", ".join(str(each) for each in inside.ranges[:4]) or "nothing"
            raise Damaged(f"segment {segment.short_name} is {wanted}, of which the data have {have}")
        method = _method(block.flashdata, segment)
        yield FlashSegment(segment.short_name, _target(block, segment), inside.segments[0].data, method)


def _filtered(block: Any, image: MemoryImage) -> MemoryImage:
    """Return what the FILTERs let through; all of it where there are none."""
    if not block.filters:
        return image
    kept: list[Segment] = []
    done = 0
    for start, end in sorted(_filter_range(each) for each in block.filters):
        kept += image.within(AddressRange(max(done, start), end)).segments
        done = max(done, end)
    return MemoryImage.of(kept)


def _filter_range(each: Any) -> tuple[int, int]:
    size = getattr(each, "filter_size", None)
    return each.filter_start, each.filter_start + size if size is not None else each.filter_end + 1


def _size_bytes(segment: Any) -> int:
    """Return how many bytes of memory a segment fills: UNCOMPRESSED-SIZE, or up to the last address."""
    if segment.uncompressed_size is not None:
        size = int(segment.uncompressed_size)
    elif segment.source_end_address is not None:
        size = int(segment.source_end_address) + 1 - int(segment.source_start_address)
    else:
        raise Damaged(f"segment {segment.short_name} has neither SOURCE-END-ADDRESS nor UNCOMPRESSED-SIZE")
    if size <= 0:
        raise Damaged(f"segment {segment.short_name} has {size} bytes")
    return size


def _data_bytes(segment: Any, packed: bool) -> int:
    if not packed or segment.compressed_size is None:
        return _size_bytes(segment)
    if segment.compressed_size <= 0:
        raise Damaged(f"segment {segment.short_name} has {segment.compressed_size} compressed bytes")
    return int(segment.compressed_size)


def _target(block: Any, segment: Any) -> AddressRange:
    start = int(segment.source_start_address)
    return _moved(AddressRange(start, start + _size_bytes(segment)), _offset(block), segment.short_name)


def _offset(block: Any) -> int:
    """Return what TARGET-ADDR-OFFSET adds to source addresses."""
    offset = block.target_addr_offset
    if offset is None:
        return 0
    positive = getattr(offset, "positive_offset", None)
    return int(positive) if positive is not None else -int(offset.negative_offset)


def _moved(source: AddressRange, offset: int, name: str) -> AddressRange:
    target = AddressRange(source.start + offset, source.end + offset)
    if target.start < 0 or target.end > ADDRESS_SPACE_BYTES:
        raise Damaged(f"segment {name}: data beyond 32-bit addresses, at 0x{max(0, target.start):X}")
    return target
