"""Reading an ECU's identification: the data identifiers of ISO 14229-1 annex C, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.core.clock import Clock
from bench.flasher.client import UdsClient
from bench.flasher.errors import NegativeResponse, ProtocolViolation, TransportError
from bench.flasher.recipe import Recipe
from bench.flasher.services import read_did
from bench.flasher.tries import Tries
from bench.flasher.values import Tally
from bench.ports.diagnostics import DiagLink

IDENTIFIERS: Mapping[int, str] = {
    0xF180: "boot software id",
    0xF181: "application software id",
    0xF186: "active session",
    0xF187: "part number",
    0xF188: "software number",
    0xF189: "software version",
    0xF18A: "supplier",
    0xF18B: "manufacturing date",
    0xF18C: "serial number",
    0xF190: "VIN",
    0xF191: "hardware number",
    0xF193: "hardware version",
    0xF194: "supplier software number",
    0xF195: "supplier software version",
    0xF15A: "fingerprint",
}
TRIES = 2


@dataclass(frozen=True, slots=True)
class Identifier:
    """One data identifier: its bytes, or why there are none."""

    did: int
    name: str
    value: bytes | None
    problem: str = ""

    @property
    def text(self) -> str:
        """Return the value as text where it is printable ASCII (padding left out), else as hexadecimal."""
        if self.value is None:
            return ""
        stripped = self.value.rstrip(b"\x00 \xff")
        printable = stripped and all(0x20 <= byte < 0x7F for byte in stripped)
        return stripped.decode("ascii") if printable else self.value.hex(" ")


@dataclass(frozen=True, slots=True)
class Identification:
    """What an ECU says of itself; `problem` says why nothing was read when it is silent."""

    ecu: str
    identifiers: tuple[Identifier, ...]
    problem: str = ""


def asked(recipe: Recipe) -> Mapping[int, str]:
    """Return what an ECU is asked for: the identifiers of the standard, and those by which its recipe knows it."""
    if recipe.identify is None:
        return IDENTIFIERS
    versions = () if isinstance(recipe.identify.version, str) else recipe.identify.version
    own = {each.did: "hardware, by its recipe" for each in recipe.identify.hardware}
    own |= {each.did: "version, by its recipe" for each in versions}
    return {**own, **IDENTIFIERS}


async def read_identification(ecu: str, link: DiagLink, recipe: Recipe, clock: Clock) -> Identification:
    """Read every identifier, one request each; a refusal is noted, an ECU that stays silent is asked no more."""
    client = UdsClient(link, recipe, clock, Tally(ecu, clock))
    found: list[Identifier] = []
    for did, name in asked(recipe).items():
        try:
            found.append(Identifier(did, name, await _read(client, did)))
        except TransportError as error:
            # Silence to the first identifier is silence: asking for all of them would take a minute to say the same.
            if not found:
                return Identification(ecu, (), f"silent: {error}")
            found.append(Identifier(did, name, None, f"no answer: {error.name}"))
        except NegativeResponse as error:  # the service and the request are the same in each line: the reason is not
            found.append(Identifier(did, name, None, f"refused: {error.code_text}"))
        except ProtocolViolation as error:
            found.append(Identifier(did, name, None, str(error)))
    return Identification(ecu, tuple(found))


async def _read(client: UdsClient, did: int) -> bytes:
    tries = Tries(TRIES - 1)
    while True:
        try:
            return await client.call(read_did(did))
        except TransportError as error:
            tries = tries.after(error)
