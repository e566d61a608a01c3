"""By which identifiers an ECU is known: those of `dids`, or those that the recipe names in `identify`."""

from __future__ import annotations

from dataclasses import dataclass

from bench.flasher.recipe import Recipe
from bench.flasher.text import text
from bench.flasher.values import EcuIdentity


@dataclass(frozen=True, slots=True)
class Identifier:
    """A data identifier, how its bytes are read, and whether only the application has it."""

    did: int
    of_application: bool
    is_text: bool = True

    def decoded(self, value: bytes) -> str:
        """Return the value as text or as hexadecimal digits; ProtocolViolation when it is no text."""
        return text(value) if self.is_text else value.hex()


def identifiers(recipe: Recipe) -> tuple[Identifier, ...]:
    """Return what is read, in order: hardware first, then what tells the version."""
    dids, rules = recipe.dids, recipe.identify
    if rules is None:
        return Identifier(dids.hardware_id, False), Identifier(dids.software_id, True), Identifier(dids.version, True)
    versions = () if isinstance(rules.version, str) else rules.version
    hardware = tuple(Identifier(each.did, False, each.text) for each in rules.hardware)
    return hardware + tuple(Identifier(each.did, True, each.text) for each in versions)


def tells_version(recipe: Recipe) -> bool:
    """Return whether an identifier tells what an ECU runs."""
    return recipe.identify is None or recipe.identify.tells_version


def identity_of(recipe: Recipe, software_id: str, values: tuple[str, ...]) -> EcuIdentity:
    """Return who answered, from the values of `identifiers`; several of a kind are joined by a comma."""
    if recipe.identify is None:
        hardware_id, software_id, version = values
        return EcuIdentity(hardware_id, software_id if version else "", version)
    count = len(recipe.identify.hardware)
    hardware, versions = values[:count], values[count:]
    # Where one of several is missing the application does not run as a whole.
    version = ", ".join(versions) if versions and all(versions) else ""
    tells = recipe.identify.tells_version
    return EcuIdentity(", ".join(hardware), software_id if version else "", version, tells_version=tells)
