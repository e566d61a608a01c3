"""Diagnostic trouble codes: what the ECU noticed, with the status byte of ISO 14229-1 (annex D.2), kept in NVM."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum, IntFlag

from bench.core.node import Incarnation
from ecu_sim.memory.nvm import NvmBlock

SLOTS = 22
"""How many DTCs are kept; the oldest one makes room."""
_SLOT_BYTES = 4
BLOCK_BYTES = SLOTS * _SLOT_BYTES


class Dtc(IntEnum):
    """DTCs that any ECU may set: two bytes of SAE J2012 and a failure type byte."""

    MEMORY_FAULT = 0x060144
    NOT_PROGRAMMED = 0x060251
    PROGRAMMING_INTERRUPTED = 0x060254
    CRASH_LOOP = 0x060747
    LOST_COMMUNICATION = 0xC10087
    """With the first partner; the n-th partner's is n * 0x100 higher."""
    UNDERVOLTAGE = 0xF00316


class Status(IntFlag):
    """Bits of statusOfDTC."""

    TEST_FAILED = 0x01
    FAILED_THIS_CYCLE = 0x02
    PENDING = 0x04
    CONFIRMED = 0x08
    NOT_COMPLETED_SINCE_CLEAR = 0x10
    FAILED_SINCE_CLEAR = 0x20
    NOT_COMPLETED_THIS_CYCLE = 0x40


FAILED = Status.TEST_FAILED | Status.FAILED_THIS_CYCLE | Status.CONFIRMED | Status.FAILED_SINCE_CLEAR


@dataclass(frozen=True, slots=True)
class StoredDtc:
    """One DTC and its status."""

    code: int
    status: Status


def factory_block() -> bytes:
    """Return what a new ECU's block holds: nothing."""
    return bytes(BLOCK_BYTES)


def _decode(content: bytes) -> tuple[StoredDtc, ...]:
    slots = (content[at : at + _SLOT_BYTES] for at in range(0, BLOCK_BYTES, _SLOT_BYTES))
    return tuple(StoredDtc(int.from_bytes(slot[:3], "big"), Status(slot[3])) for slot in slots if any(slot[:3]))


def _encode(stored: tuple[StoredDtc, ...]) -> bytes:
    slots = b"".join(dtc.code.to_bytes(3, "big") + bytes((dtc.status,)) for dtc in stored[-SLOTS:])
    return slots.ljust(BLOCK_BYTES, b"\x00")


class DtcMemory:
    """The DTCs of one life. Reports count at once and are written in the background; 0x85 off makes them silent."""

    def __init__(self, life: Incarnation, block: NvmBlock) -> None:
        self._life, self._block = life, block
        self.setting_on = True
        self._stored = _decode(block.content)

    @property
    def stored(self) -> tuple[StoredDtc, ...]:
        """All DTCs, oldest first."""
        return self._stored

    def report(self, code: int, *, failed: bool) -> None:
        """Take a test's result: a failure stores the DTC, a pass ends `TEST_FAILED` of one that is stored."""
        if not self.setting_on:
            return
        known = next((dtc for dtc in self._stored if dtc.code == code), None)
        if known is None and not failed:
            return
        old = known or StoredDtc(code, Status(0))
        new = replace(old, status=old.status | FAILED if failed else old.status & ~Status.TEST_FAILED)
        if new != known:
            self._stored = (*(dtc for dtc in self._stored if dtc.code != code), new)[-SLOTS:]
            self._life.spawn(self._block.store(self._life, _encode(self._stored)), "dtc")

    async def clear(self) -> None:
        """Forget all (0x14)."""
        self._stored = ()
        if any(self._block.content):
            await self._block.store(self._life, factory_block())
