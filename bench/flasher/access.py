"""One ECU as a tester reaches it: who it is, how it is flashed, and its links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from bench.flasher.recipe import Recipe
from bench.ports.diagnostics import DiagLink, EcuLinks, FunctionalLink


@dataclass(frozen=True, slots=True)
class EcuAccess:
    """One ECU as a tester reaches it in this life.

    `elsewhere` are the functional links of other buses on which frames go missing while it is programmed, by channel.
    """

    ecu: str
    software_id: str
    recipe: Recipe
    link: DiagLink
    functional: FunctionalLink
    elsewhere: Mapping[str, FunctionalLink] = field(default_factory=dict)


def accesses(
    links: Mapping[str, EcuLinks], recipes: Mapping[str, Recipe], software_ids: Mapping[str, str]
) -> dict[str, EcuAccess]:
    """Return the access to every ECU that there are links to; all three are by ECU id."""
    return {
        ecu: EcuAccess(ecu, software_ids[ecu], recipes[ecu], found.link, found.functional, found.elsewhere)
        for ecu, found in links.items()
    }
