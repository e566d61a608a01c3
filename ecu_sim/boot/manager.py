"""The boot manager: which image may run, and which of two is tried first.

The checks are module functions looked up at each call, so that a planted defect or a test can take one away.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bench.core.node import Incarnation
from bench.wire.image_header import SIGNED_BYTES, ImageHeader
from ecu_sim.memory.banks import VALID_MARK, EcuMemory
from ecu_sim.memory.nvm import NvmRecord


class Problem(StrEnum):
    """Why an image may not run."""

    NO_MARK = "no validity mark"
    NO_IMAGE = "no image header"
    SIGNATURE = "signature wrong"
    HARDWARE = "other hardware"
    RELEASE = "release counter below the floor"
    HASH = "hash or length wrong"
    NO_BOOTLOADER = "no bootloader for its place"
    TORN = "cells torn by a power cut"
    CRASH_LOOP = "crashed too often in a row"


class Role(StrEnum):
    """Why a bank is looked at."""

    TRIAL = "trial"
    ACTIVE = "active"
    FALLBACK = "fallback"


@dataclass(frozen=True, slots=True)
class Trust:
    """What an ECU compares an image with: the maker's public key (32 bytes) and its own hardware id."""

    image_public_key: bytes
    hardware_id: str


def mark_ok(mark: bytes) -> bool:
    """Return whether the validity mark stands."""
    return mark == VALID_MARK


def signature_ok(header: bytes, public_key: bytes) -> bool:
    """Return whether the header's Ed25519 signature is by `public_key`."""
    return _verified(public_key, header[SIGNED_BYTES:], header[:SIGNED_BYTES])


def hardware_ok(header: ImageHeader, hardware_id: str) -> bool:
    """Return whether the image is for this hardware."""
    return header.hardware_id == hardware_id


def release_ok(header: ImageHeader, release_floor: int) -> bool:
    """Return whether the image is no downgrade."""
    return header.release_counter >= release_floor


def hash_ok(header: ImageHeader, image_sha256: str) -> bool:
    """Return whether the bank holds the signed bytes; `image_sha256` is empty when the length is impossible."""
    return header.sha256.hex() == image_sha256


@lru_cache(maxsize=256)
def _verified(public_key: bytes, signature: bytes, signed: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, signed)
    except (InvalidSignature, ValueError):
        return False
    return True


def may_run_again(crashes_in_row: int, resets_max: int) -> bool:
    """Return whether an image may be booted that was reset so often in a row by watchdog or crash."""
    return crashes_in_row < resets_max


def examine(memory: EcuMemory, bank: str, trust: Trust) -> Problem | None:
    """Return what is wrong with the image in `bank`, or None; the validity mark is not looked at."""
    header = memory.decoded_header(bank)
    if header is None:
        return Problem.NO_IMAGE
    # Signature before contents: nothing of a header is believed, no length and no address, before who made it is known.
    if not signature_ok(memory.header(bank), trust.image_public_key):
        return Problem.SIGNATURE
    if not hardware_ok(header, trust.hardware_id):
        return Problem.HARDWARE
    # A genuine old release is the one attack that a signature does not stop.
    if not release_ok(header, memory.nvm.record.release_floor):
        return Problem.RELEASE
    if not hash_ok(header, memory.image_sha256(bank, header)):
        return Problem.HASH
    return None


def programmed_problem(memory: EcuMemory, bank: str, trust: Trust) -> Problem | None:
    """Return what is wrong with an image that was just programmed, or None: torn cells that read well today count too.

    A boot does not look at the margin of cells; so nothing that may read otherwise next time gets a mark or a trial.
    """
    problem, header = examine(memory, bank, trust), memory.decoded_header(bank)
    if problem is None and header is not None and not memory.image_firm(bank, header):
        return Problem.TORN
    return problem


def ready_to_run(memory: EcuMemory, bank: str, trust: Trust) -> Problem | None:
    """Return what keeps a programmed bank from being the next to run, or None: `bootable`, and nothing of it torn."""
    problem = bootable(memory, bank, trust) or programmed_problem(memory, bank, trust)
    return problem if problem is not None or memory.mark_stands(bank) else Problem.TORN


def bootable(memory: EcuMemory, bank: str, trust: Trust) -> Problem | None:
    """Return what keeps `bank` from being booted, or None."""
    if not may_run_again(memory.crashes_in_row(bank), memory.personality.watchdog.resets_max):
        return Problem.CRASH_LOOP
    return examine(memory, bank, trust) if mark_ok(memory.mark(bank)) else Problem.NO_MARK


def any_bootable(memory: EcuMemory, trust: Trust) -> bool:
    """Return whether a boot would find an application."""
    return any(bootable(memory, bank.name, trust) is None for bank in memory.personality.banks)


def verify_ns(memory: EcuMemory, bank: str) -> int:
    """Return how long `examine` takes: what the header says is hashed, if it can be."""
    header = memory.decoded_header(bank)
    if header is None or memory.image_place(bank, header.load_address, header.length) is None:
        return 0
    return memory.verify_ns(bank, header.length)


def candidates(record: NvmRecord, banks: tuple[str, ...], trial_boots_max: int) -> Iterator[tuple[str, Role]]:
    """Yield the banks in the order in which they are tried: trial while it has boots left, active, any other."""
    # A trial has its boots counted before it runs (`after_choice`): one that crashes so early that it can write nothing
    # is given up all the same.
    on_trial = record.trial_bank if record.trial_boots < trial_boots_max else None
    if on_trial in banks:
        yield on_trial, Role.TRIAL
    if record.active_bank in banks:
        yield record.active_bank, Role.ACTIVE
    for bank in banks:
        if bank not in (on_trial, record.active_bank):
            yield bank, Role.FALLBACK


def after_choice(record: NvmRecord, bank: str | None, role: Role | None) -> NvmRecord:
    """Return what the NVM must hold before the chosen image runs.

    A trial counts its boots; a trial that was passed over is given up; a fallback becomes the active bank.
    """
    if bank is None:
        return replace(record, trial_bank=None, trial_boots=0)
    # Written before the image runs: afterwards may be too late.
    if role is Role.TRIAL:
        return replace(record, trial_boots=record.trial_boots + 1)
    return replace(record, active_bank=bank, trial_bank=None, trial_boots=0)


@dataclass(frozen=True, slots=True)
class Choice:
    """What runs next: the application in `bank`, or the bootloader when it is None; `reason` says why."""

    bank: str | None
    reason: str


async def choose(life: Incarnation, memory: EcuMemory, trust: Trust) -> Choice:
    """Verify in order until an image may run; the NVM is brought up to date before it is returned."""
    record = memory.nvm.record
    banks = tuple(bank.name for bank in memory.personality.banks)
    chosen: tuple[str, Role] | None = None
    problems: list[str] = []
    for bank, role in candidates(record, banks, memory.personality.boot.trial_boots):
        if mark_ok(memory.mark(bank)):
            await life.sleep_ns(verify_ns(memory, bank))
        problem = bootable(memory, bank, trust)
        if problem is None:
            chosen = bank, role
            break
        problems.append(f"{bank}: {problem}")
    updated = after_choice(record, *(chosen or (None, None)))
    # Before anything is started: a power cut behind the jump must find the boot counted, or a crashing trial would be
    # tried for ever.
    await memory.nvm.keep(life, updated)
    if chosen is None:
        return Choice(None, "; ".join(problems))
    return Choice(chosen[0], _reason(chosen[1], updated))


def _reason(role: Role, record: NvmRecord) -> str:
    return f"trial boot {record.trial_boots}" if role is Role.TRIAL else role.value
