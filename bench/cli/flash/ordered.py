"""What was ordered, as results show it and as a result folder keeps it: signed images and software in parts."""

from __future__ import annotations

from bench.core.canonical import canonical_json, sha256_hex
from bench.description.load import BenchFiles
from bench.flasher.known import tells_version
from bench.flasher.software import Part
from bench.flashing.models import FlashImage, FlashPart, FlashRange, FlashSegment
from bench.flashing.order import FlashOrder, OrderedEcu
from bench.flashing.parts import PartsOf
from bench.images.signing import SignedImage


def order_inputs(order: FlashOrder) -> dict[str, bytes]:
    """Return the input files by name; of a signed image only its header is kept, of parts their list."""
    kept = dict(_kept(ecu) for ecu in order.ecus)
    return dict(sorted({**order.files.inputs, **kept}.items()))


def _kept(ecu: OrderedEcu) -> tuple[str, bytes]:
    if isinstance(ecu.what, SignedImage):
        return f"images/{ecu.entry.id}.header", ecu.what.header.encode()
    shown = [part.model_dump(mode="json") for part in _parts(ecu.what)]
    return f"images/{ecu.entry.id}.parts.json", canonical_json({"parts": shown, "version": ecu.version})


def image_model(ordered: OrderedEcu) -> FlashImage:
    """Return what is flashed, and where it came from."""
    if isinstance(ordered.what, SignedImage):
        return _signed(ordered, ordered.what)
    software = ordered.what.software
    return FlashImage(
        file=None,
        signed_by=None,
        hardware_id=" or ".join(software.hardware_ids) or None,
        software_id=software.software_id,
        version=software.version,
        release_counter=None,
        load_address=None,
        length=software.size_bytes,
        sha256=None,
        left_out=ordered.left_out,
        not_compared=ordered.what.not_compared,
        parts=_parts(ordered.what),
    )


def _signed(ordered: OrderedEcu, image: SignedImage) -> FlashImage:
    header = image.header
    return FlashImage(
        file=ordered.file,
        signed_by=ordered.signed_by,
        hardware_id=header.hardware_id,
        software_id=header.software_id,
        version=header.version,
        release_counter=header.release_counter,
        load_address=header.load_address,
        length=header.length,
        sha256=header.sha256.hex(),
        left_out=ordered.left_out,
        not_compared=(),
        parts=(),
    )


def _parts(what: PartsOf) -> tuple[FlashPart, ...]:
    return tuple(_part(part, file) for part, file in zip(what.software.parts, what.files, strict=True))


def _part(part: Part, file: str) -> FlashPart:
    return FlashPart(
        name=part.name,
        file=file,
        kind=part.kind.value,
        index=part.index,
        data_format=part.data_format,
        erase=tuple(FlashRange(address=address, size_bytes=size) for address, size in part.erase),
        proofs=tuple(name for name, _ in part.proofs),
        segments=tuple(
            FlashSegment(
                address=each.address,
                size_bytes=each.size_bytes,
                sent_bytes=len(each.data),
                sha256=sha256_hex(each.data),
            )
            for each in part.segments
        ),
    )


# What nobody looks at -----------------------------------------------------------------------------------

NOTHING_CHECKED = 'nothing checks what was stored (check.rules = "none")'
VERSION_UNREAD = 'no version is read: nothing shows what runs (identify.version = "none")'


def nothing_checked(files: BenchFiles, ecu: str) -> bool:
    """Return whether by its recipe nothing shows that what was sent is stored."""
    return files.recipes[ecu].check.nothing


def version_unread(files: BenchFiles, ecu: str) -> bool:
    """Return whether by its recipe nothing shows what the ECU runs."""
    return not tells_version(files.recipes[ecu])


def unseen(*, nothing_checked: bool, version_unread: bool) -> tuple[str, ...]:
    """Return what nobody looked at, a sentence each."""
    told = ((nothing_checked, NOTHING_CHECKED), (version_unread, VERSION_UNREAD))
    return tuple(sentence for is_so, sentence in told if is_so)
