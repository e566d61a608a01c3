"""What a kind of ECU is and offers, as values that whoever simulates it gives (entry point `otabench.ecu`)."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict

Settings = dict[str, Any]
"""A section of the ECU file, defaults filled in."""


class _Value(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Bank(_Value):
    """A bank at its linked addresses."""

    name: str
    linked_base: int
    size_bytes: int


class Sectors(_Value):
    """A run of equal sectors."""

    count: int
    size_bytes: int
    erase_ms: int


class Region(_Value):
    """A region of flash: `mark:A`, `header:A`, `image:A`, `boot` and what a personality has besides."""

    name: str
    base_address: int
    size_bytes: int
    unit_bytes: int
    program_us: int
    sectors: tuple[Sectors, ...]
    protected: bool

    @property
    def end_address(self) -> int:
        """The last address."""
        return self.base_address + self.size_bytes - 1


class Nvm(_Value):
    """The small memory."""

    record_bytes: int
    record_us: int


class SubFunction(_Value):
    """A sub-function with the sessions in which it exists; `unlocked`: behind security."""

    value: int
    name: str
    sessions: tuple[str, ...]
    unlocked: bool


class Service(_Value):
    """A service with those of the mode's sessions in which it exists.

    Not `served`: the mode knows it, but is never in one of its sessions.
    """

    sid: int
    name: str
    sessions: tuple[str, ...]
    unlocked: bool
    served: bool
    sub_functions: tuple[SubFunction, ...]


class Did(_Value):
    """A data identifier; `written_in`: the session in which it is written once unlocked."""

    did: int
    title: str
    written_in: str | None


class Routine(_Value):
    """A routine of 0x31."""

    routine_id: int
    name: str


class Mode(_Value):
    """Application or bootloader."""

    name: str
    sessions: tuple[SubFunction, ...]
    services: tuple[Service, ...]
    dids: tuple[Did, ...]
    routines: tuple[Routine, ...]


class Dtc(_Value):
    """A diagnostic trouble code that this ECU may set."""

    code: int
    name: str


class Timing(_Value):
    """Sections `[boot]` and `[uds]`."""

    boot: Settings
    uds: Settings


class Guard(_Value):
    """What stands before programming: 0x27, 0x29, or both."""

    security: Settings | None
    authentication: Settings | None


class EcuDescription(_Value):
    """A kind of ECU."""

    name: str
    title: str
    header_address: int
    mark_address: int
    banks: tuple[Bank, ...]
    regions: tuple[Region, ...]
    nvm: Nvm
    bus: str
    modes: tuple[Mode, ...]
    dtcs: tuple[Dtc, ...]
    timing: Timing
    isotp: Settings
    guard: Guard
    download: Settings
    transfer: Settings
    resume: bool
    preconditions: Settings
    """What it demands of the car before it is programmed; empty: nothing."""
    supply: Settings
    watchdog: Settings
    staging: Settings | None
    """Its external flash; None, as in the next two: it has none."""
    bootloader_update: Settings | None
    user_data: Settings | None

    @property
    def session_names(self) -> tuple[str, ...]:
        """The sessions of both modes, each once."""
        return tuple(dict.fromkeys(session.name for mode in self.modes for session in mode.sessions))
