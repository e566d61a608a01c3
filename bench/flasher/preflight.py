"""A wrong image is caught before the ECU is touched; the refusal names both sides."""

from __future__ import annotations

from bench.flasher.credentials import load_identity
from bench.flasher.errors import ImageMismatch
from bench.flasher.key_helpers import check_helper
from bench.flasher.recipe import Recipe
from bench.flasher.values import EcuIdentity, FlashJob
from bench.images.memory import AddressRange
from bench.wire.image_header import HeaderError, ImageHeader


def check_job(job: FlashJob, recipe: Recipe) -> ImageHeader:
    """Return the decoded header; ImageMismatch unless image, header, job and the recipe's region agree.

    SeedKeyFailed when the program or library that shall make the key is not there, AuthenticationFailed when the
    recipe's certificate or key cannot be read.
    """
    # A key helper that is missing is found now: found at 0x27, the ECU would already stand in its programming session.
    if recipe.security is not None:
        check_helper(recipe.security)
    if recipe.authentication is not None:
        load_identity(recipe.authentication)
    header = _decoded(job)
    region = AddressRange(recipe.memory.region_base, recipe.memory.region_base + recipe.memory.region_size)
    occupied = AddressRange(header.load_address, header.load_address + len(job.image))
    if not job.image:
        raise ImageMismatch(job.ecu, "length", "no bytes", f"a region {region}")
    # Linked outside of the region: the ECU would refuse 0x34, but only after FF00 has erased what ran there.
    if occupied.start < region.start or occupied.end > region.end:
        raise ImageMismatch(job.ecu, "region", occupied, region)
    if header.length != len(job.image):
        raise ImageMismatch(job.ecu, "length", f"{len(job.image)} bytes", f"would expect {header.length} bytes")
    # The ECU would find that too, but only with its old software erased.
    if not header.fits(job.image):
        raise ImageMismatch(job.ecu, "hash", "other bytes than its header says", f"would check {header.sha256.hex()}")
    for what, ours, ordered in (
        ("version", header.version, job.version),
        ("software id", header.software_id, job.software_id),
    ):
        if ours != ordered:
            raise ImageMismatch(job.ecu, what, repr(ours), f"shall run {ordered!r}")
    return header


def check_identity(job: FlashJob, header: ImageHeader, identity: EcuIdentity) -> None:
    """ImageMismatch unless the image is made for the hardware that answers."""
    # The right image for the wrong hardware is signed and whole: nothing but this comparison, and that of the ECU,
    # stops it.
    if header.hardware_id != identity.hardware_id:
        raise ImageMismatch(job.ecu, "hardware id", repr(header.hardware_id), repr(identity.hardware_id))


def _decoded(job: FlashJob) -> ImageHeader:
    try:
        return ImageHeader.decode(job.header)
    except HeaderError as error:
        raise ImageMismatch(job.ecu, "header", str(error), "needs a valid header") from None
