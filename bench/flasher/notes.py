"""What a job tells of itself while it runs. It decides nothing: a job without listeners goes the same way."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth a line, and where it is counted a field of `Counts`, with details."""

    name: str
    details: tuple[tuple[str, object], ...]
    counted: bool = True


@dataclass(frozen=True, slots=True)
class Entered:
    """A step begins; `phase` is what the ECU's fault points are said to be in while it runs."""

    step: str
    phase: str


@dataclass(frozen=True, slots=True)
class PassBegun:
    """A pass over the image begins; so many bytes of it are stored already. A `download` counts as one."""

    stored_bytes: int
    download: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The ECU took payload: bytes as sent, and the bytes of the image that they stand for."""

    sent_bytes: int
    image_bytes: int


@dataclass(frozen=True, slots=True)
class VersionSeen:
    """The ECU said its version."""

    version: str


JobNote = Note | Entered | PassBegun | Acknowledged | VersionSeen
