"""Diagnostic connections: one ECU, or all of a bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


class LinkError(Exception):
    """A diagnostic transport failed; `name` is the standard's (N_TIMEOUT_BS, N_WRONG_SN, ...)."""

    def __init__(self, name: str, detail: str = "") -> None:
        super().__init__(f"{name}{': ' if detail else ''}{detail}")
        self.name = name


class AnswerTimeout(LinkError):
    """No answer began in time."""

    def __init__(self, detail: str) -> None:
        super().__init__("ANSWER_TIMEOUT", detail)


class DiagLink(Protocol):
    """A diagnostic connection to one ECU (ISO-TP today, DoIP can follow)."""

    async def send(self, payload: bytes) -> None:
        """Send one message; returns when its last frame is on the bus. Raises LinkError."""

    async def receive(self, start_within_ns: int) -> bytes:
        """Return the next message; AnswerTimeout when none *began* within that time, LinkError when one broke off."""

    def discard(self) -> int:
        """Drop messages received so far (late answers); returns how many."""


class SupplySwitch(Protocol):
    """What a bench can do with the supply of an ECU under its tester."""

    async def power_cycle(self, ecu: str, off_ms: int) -> None:
        """Switch the ECU's supply off, and on again after `off_ms`; returns when it is on. EquipmentError."""


class FunctionalLink(Protocol):
    """Functional addressing: one message to every ECU of a bus."""

    async def send(self, payload: bytes) -> None:
        """Send one single-frame message; nobody need answer."""


@dataclass(frozen=True, slots=True)
class EcuLinks:
    """The links of one ECU: its own connection, functional addressing of the bus on which a tester reaches it, and of
    other buses on which frames go missing while it is programmed, by channel."""

    link: DiagLink
    functional: FunctionalLink
    elsewhere: Mapping[str, FunctionalLink]
