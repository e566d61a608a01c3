"""Images with a header of 256 bytes in a slot of its own: the format of this bench's own ECUs (`image_header`).

The only file of the flasher that knows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from bench.flasher.errors import ImageMismatch
from bench.flasher.recipe import Recipe
from bench.flasher.software import Part, PartKind, Segment, Software
from bench.wire.image_header import HeaderError, ImageHeader


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashJob:
    """Program `image` (linked at the recipe's region) and its 256-byte `header`; then `version` must run."""

    ecu: str
    image: bytes
    header: bytes
    version: str
    software_id: str

    def software(self, recipe: Recipe) -> Software:
        """Return image and header as parts; ImageMismatch unless both, the order and the recipe agree."""
        decoded = _decoded(self.ecu, self.header)
        self._check(decoded)
        slot = recipe.memory.header_address
        if slot is None:
            raise ImageMismatch(self.ecu, "header", "one to be stored", "no slot for it (memory.header_address)")
        parts = (*_image_parts(recipe, decoded.load_address, self.image), _header_part(slot, self.header))
        names = {"versions": (self.version,), "hardware_ids": (decoded.hardware_id,)}
        return Software(parts=parts, software_id=self.software_id, **names)

    def _check(self, header: ImageHeader) -> None:
        if not self.image:
            raise ImageMismatch(self.ecu, "length", "no bytes", "a region")
        if header.length != len(self.image):
            raise ImageMismatch(self.ecu, "length", f"{len(self.image)} bytes", f"would expect {header.length} bytes")
        # The ECU would find that too, but only with its old software erased.
        if not header.fits(self.image):
            wanted = f"would check {header.sha256.hex()}"
            raise ImageMismatch(self.ecu, "hash", "other bytes than its header says", wanted)
        for what, ours, ordered in (
            ("version", header.version, self.version),
            ("software id", header.software_id, self.software_id),
        ):
            if ours != ordered:
                raise ImageMismatch(self.ecu, what, repr(ours), f"shall run {ordered!r}")


def _decoded(ecu: str, header: bytes) -> ImageHeader:
    try:
        return ImageHeader.decode(header)
    except HeaderError as error:
        raise ImageMismatch(ecu, "header", str(error), "needs a valid header") from None


def _header_part(slot: int, header: bytes) -> Part:
    return Part(name="header", kind=PartKind.HEADER, segments=(Segment.of(slot, header),), data_format=0)


def _image_parts(recipe: Recipe, base: int, image: bytes) -> tuple[Part, ...]:
    """Return the image as one part, or as the logical blocks of the recipe that it reaches."""
    if not recipe.memory.blocks:
        return (Part(name="image", segments=(Segment.of(base, image),)),)
    parts = []
    for block in recipe.memory.blocks:
        # A logical block that the image does not reach keeps its content: it may hold data of the ECU (calibration).
        start, stop = max(block.base, base), min(block.base + block.size_bytes, base + len(image))
        if start < stop:
            # The whole block is erased, not only what the image fills: older bytes would be hashed with the new ones.
            erase = ((block.base, block.size_bytes),)
            segment = Segment.of(start, image[start - base : stop - base])
            parts.append(Part(name=block.name, segments=(segment,), erase=erase))
    return tuple(parts)
