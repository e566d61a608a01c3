"""What an ideal ECU of a dry run answers where the recipe says what is good: identifiers, routines, sums, memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bench.flasher.recipe import Recipe
from bench.flasher.recipe_checks import Answer, KnownValue
from bench.flasher.recipe_steps import Step
from bench.flasher.software import PartKind, Software
from bench.flasher.sums import SUMS
from bench.images.memory import ERASED
from bench.wire.uds import MemoryRange

SOME_TEXT, SOME_DIGITS = "any", "00"
"""What an identifier says of which nothing is expected."""


@dataclass(frozen=True, slots=True)
class Transfer:
    """A download or an upload under way: where it goes or comes from, and how much was sent of an upload."""

    memory: MemoryRange
    upload: bool = False
    sent_bytes: int = 0


def stored_bytes(software: Software) -> int:
    """Return how many bytes of it stay, bootloaders and headers left out."""
    places = software.of_kind(PartKind.SOFTWARE)
    return sum(segment.size_bytes for place in places for segment in software.parts[place].segments)


def identified(recipe: Recipe, software: Software | None, *, runs: bool) -> dict[int, bytes]:
    """Return what the identifiers of `identify` say; `runs`: it has booted the new software."""
    rules = recipe.identify
    if rules is None:
        return {}
    hardware = software.hardware_ids[0] if software is not None and software.hardware_ids else None
    # Several identifiers are compared as one text (`known.identity_of`): it is taken apart as it was put together.
    said = [] if hardware is None else [hardware] if len(rules.hardware) == 1 else hardware.split(", ")
    versions: tuple[KnownValue, ...] = () if isinstance(rules.version, str) else rules.version
    running = software.versions if software is not None and runs else ()
    return {**_values(rules.hardware, said), **_values(versions, running)}


def _values(known: tuple[KnownValue, ...], said: list[str] | tuple[str, ...]) -> dict[int, bytes]:
    values = dict(enumerate(said))
    return {each.did: _encoded(each, values.get(n)) for n, each in enumerate(known)}


def _encoded(known: KnownValue, value: str | None) -> bytes:
    if known.text:
        return (SOME_TEXT if value is None else value).encode()
    return bytes.fromhex(SOME_DIGITS if value is None else value)


def routine_record(recipe: Recipe, routine_id: int) -> bytes:
    """Return the status record that the recipe takes for good."""
    for known, answer in _good(recipe):
        if known == routine_id:
            return bytes(answer.at) + bytes((answer.ok,)) if answer.record is None else bytes.fromhex(answer.record)
    return bytes((recipe.check.ok,))


def _good(recipe: Recipe) -> Iterator[tuple[int | None, Answer]]:
    if Step.PROGRAM_PARTS in recipe.steps:
        yield recipe.routines.erase, recipe.erase.answer
    if recipe.bootloader is not None:
        yield recipe.bootloader.routine, recipe.bootloader.answer
    for rule in recipe.check.listed:
        yield rule.routine, rule.answer


def exit_record(recipe: Recipe, transfer: Transfer | None, received: bytes) -> bytes:
    """Return what 0x37 is answered with: the sum over what came in this transfer, where a rule looks for one."""
    if transfer is None or transfer.upload:
        return b""
    kind = "bootloader" if _in_ram(recipe, transfer.memory.address) else "software"
    for rule in recipe.check.listed:
        make = SUMS.get(rule.algorithm or "")
        if rule.by == "transfer_exit" and make is not None and rule.kind in ("any", kind):
            return make(received)
    return b""


def _in_ram(recipe: Recipe, address: int) -> bool:
    rules = recipe.bootloader
    return rules is not None and rules.ram_base <= address < rules.ram_base + rules.ram_size


def memory(software: Software | None, wanted: MemoryRange) -> bytes:
    """Return what is read back: what the software left there, erased elsewhere."""
    cells = bytearray((ERASED,)) * wanted.size_bytes
    segments = () if software is None else (each for part in software.parts for each in part.segments)
    for segment in segments:
        begin = max(wanted.address, segment.address)
        plain = (segment.plain or b"")[begin - segment.address : wanted.address + wanted.size_bytes - segment.address]
        if wanted.address + wanted.size_bytes > begin:
            cells[begin - wanted.address : begin - wanted.address + len(plain)] = plain
    return bytes(cells)
