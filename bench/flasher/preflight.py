"""Wrong software is caught before the ECU is touched; the refusal names both sides."""

from __future__ import annotations

from bench.flasher.credentials import load_identity
from bench.flasher.errors import ImageMismatch
from bench.flasher.key_helpers import check_helper
from bench.flasher.recipe import Recipe
from bench.flasher.software import PartKind, Software
from bench.flasher.values import EcuIdentity
from bench.images.memory import AddressRange


def check_recipe(recipe: Recipe) -> None:
    """SeedKeyFailed when the program or library that shall make the key is not there, AuthenticationFailed when the
    recipe's certificate or key cannot be read."""
    # A key helper that is missing is found now: found at 0x27, the ECU would already stand in its programming session.
    if recipe.security is not None:
        check_helper(recipe.security)
    if recipe.authentication is not None:
        load_identity(recipe.authentication)


def check_software(ecu: str, software: Software, recipe: Recipe) -> None:
    """ImageMismatch unless every part lies where the recipe lets it lie."""
    region = AddressRange(recipe.memory.region_base, recipe.memory.region_base + recipe.memory.region_size)
    for part in software.parts:
        if part.kind is not PartKind.SOFTWARE:
            continue
        # Linked outside of the region: the ECU would refuse 0x34, but only after FF00 has erased what ran there.
        for segment in part.segments:
            occupied = AddressRange(segment.address, segment.end)
            if occupied.start < region.start or occupied.end > region.end:
                raise ImageMismatch(ecu, "region", occupied, region)


def check_identity(ecu: str, software: Software, identity: EcuIdentity) -> None:
    """ImageMismatch unless the software is made for the hardware that answers."""
    # The right image for the wrong hardware is signed and whole: nothing but this comparison, and that of the ECU,
    # stops it.
    if software.hardware_ids and identity.hardware_id not in software.hardware_ids:
        made_for = " or ".join(repr(each) for each in software.hardware_ids)
        raise ImageMismatch(ecu, "hardware id", made_for, repr(identity.hardware_id))
