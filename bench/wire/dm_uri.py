"""Addresses of DM 2.0: MOIDs and ClientURIs, with the closed table of names that other people use for them.

A ClientURI is `MOID "/" [MIID] "/" path ["?" query]`; an empty MIID means the only instance (OMA-TS-DM_Protocol-V2_0).
Aliases are those of the seed slides; each use is noted in a `lint` list so that a report can name it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bench.wire.dm_json import DmError


class Moid(StrEnum):
    """The management objects of this project, under their registered names."""

    DEVINFO = "urn:oma:mo:oma-dm-devinfo:1.0"
    DMACC = "urn:oma:mo:oma-dm-dmacc:1.2"
    SCOMO = "urn:oma:mo:oma-scomo:1.1"
    FUMO = "urn:oma:mo:oma-fumo:1.0"
    LAWMO = "urn:oma:mo:oma-lawmo:1.0"


MOID_ALIASES: dict[str, Moid] = {
    "urn:oma:mo:oma-dm-devinfo:1.1": Moid.DEVINFO,
    "urn:oma:mo:oma-dm-devinfo:1.2": Moid.DEVINFO,
    "urn:oma:mo:oma-dm-accinfo:1.2": Moid.DMACC,
    "urn:oma:mo:oma-dm-scomo:1.0": Moid.SCOMO,
    "urn:oma:mo:oma-dm-scomo:1.1": Moid.SCOMO,
    "urn:oma:mo:oma-scomo:1.0": Moid.SCOMO,
    "urn:oma:mo:oma-dm-fumo:1.0": Moid.FUMO,
    "urn:oma:mo:oma-dm-lawmo:1.0": Moid.LAWMO,
}
"""One MO is one object under all its names."""

NODE_ALIASES: dict[str, str] = {"Operation": "Operations", "DownloadInstallation": "DownloadInstall"}
"""Node names that are spelled differently here and there."""

_NOT_IN_A_URI = frozenset('<>"{}|\\^`')


def read_moid(text: str, lint: list[str]) -> str:
    """Return the registered name of an MO; unknown MOIDs stay as they are, what is no MOID is a `DmError`."""
    _check_characters(text, "MOID")
    name = text
    if name.startswith("oma:"):
        lint.append(f"MOID {text}: urn: is missing")
        name = "urn:" + name
    if name.endswith(":"):
        lint.append(f"MOID {text}: stray colon at the end")
        name = name[:-1]
    if not name.startswith("urn:") or "/" in name or name.count(":") < 3:
        raise DmError(f"MOID {text!r} does not begin with urn:, name and version")
    # Vehicles in the field write names that no registry has; they are read, and told of (lint), never written.
    if name in MOID_ALIASES:
        lint.append(f"MOID {name}: read as {MOID_ALIASES[name]}")
        return MOID_ALIASES[name].value
    return name


@dataclass(frozen=True, slots=True)
class ClientUri:
    """A node in a management tree; `path` holds the node names from the MO's root, empty for the root itself."""

    moid: str
    path: tuple[str, ...] = ()
    miid: str = ""
    query: str = ""

    @classmethod
    def read(cls, text: str, lint: list[str]) -> ClientUri:
        """Parse with the alias table; `DmError` for anything that is no ClientURI."""
        _check_characters(text, "ClientURI")
        address, _, query = text.partition("?")
        parts = address.split("/", 2)
        if len(parts) != 3:
            raise DmError(f"ClientURI {text!r} is not MOID/MIID/path")
        path = tuple(parts[2].split("/")) if parts[2] else ()
        if "" in path:
            raise DmError(f"ClientURI {text!r} has an empty node name")
        return cls(read_moid(parts[0], lint), tuple(_read_node(node, lint) for node in path), parts[1], query)

    @classmethod
    def parse(cls, text: str) -> ClientUri:
        """Parse a URI and forget which aliases it used."""
        return cls.read(text, [])

    def __str__(self) -> str:
        """Return the canonical text."""
        return f"{self.moid}/{self.miid}/{'/'.join(self.path)}{'?' if self.query else ''}{self.query}"


def _read_node(node: str, lint: list[str]) -> str:
    if node in NODE_ALIASES:
        lint.append(f"node {node}: read as {NODE_ALIASES[node]}")
    return NODE_ALIASES.get(node, node)


def _check_characters(text: str, what: str) -> None:
    for offset, char in enumerate(text):
        if not "!" <= char <= "~" or char in _NOT_IN_A_URI:
            raise DmError(f"{what} {text!r} holds {char!r} at offset {offset}, which no URI may hold")
