"""A recipe in plain words: what it will do step by step, what it checks, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import Field

from bench.config.output import OutputModel, Tool, this_tool
from bench.core.errors import InputError
from bench.description.catalogue import Catalogue
from bench.description.ecu_entry import EcuEntry
from bench.description.vehicle_file import VehicleFile
from bench.flasher.errors import FlasherError
from bench.flasher.known import identifiers, tells_version
from bench.flasher.preflight import check_recipe
from bench.flasher.recipe import Recipe, Step
from bench.flasher.recipe_parts import TesterPresent
from bench.flasher.steps.functional import OFF, ON
from bench.flasher.steps.parts import ERASE
from bench.flasher.steps.proofs import BUILT_IN
from bench.flasher.strategies import strategy
from bench.flashing.explained_requests import judged, rule_text, said

TESTER_PRESENT = {
    TesterPresent.FUNCTIONAL: "3E 80 to every ECU of the bus, every {interval} ms, while the job is under way",
    TesterPresent.PENDING: "3E 80 to every ECU of the bus, every {interval} ms, only while it asks for time (0x78)",
    TesterPresent.PHYSICAL: "3E 80 to the ECU's own address, every {interval} ms, between requests",
    TesterPresent.NONE: "none: the job's own requests must come before S3 is over",
}


class ExplainedStep(OutputModel):
    """One step: what it does, and its requests as hexadecimal bytes and `name(width in bytes)`."""

    step: str
    does: str
    requests: tuple[str, ...]


class ExplainedRecipe(OutputModel):
    """What `otabench recipe check` says of a recipe (`docs/contracts.md`)."""

    schema_: Literal[1] = Field(default=1, alias="schema")
    tool: Tool
    file: str
    name: str
    title: str
    steps: tuple[ExplainedStep, ...]
    checked: tuple[str, ...]
    unchecked: tuple[str, ...] = Field(description="what nothing looks at: shown in red")
    retried: tuple[str, ...]
    tester_present: str
    does_not: tuple[str, ...]
    vehicle: str | None
    ecus: tuple[str, ...] = Field(description="ECUs of the vehicle that are flashed by it")
    problems: tuple[str, ...] = Field(description="what on this machine or in the vehicle keeps it from working")


def explain(
    recipe: Recipe, path: Path, vehicle: VehicleFile | None = None, vehicle_path: Path = Path()
) -> ExplainedRecipe:
    """Return a recipe in words, and what a vehicle that uses it contradicts.

    `InputError` for a strategy that is not installed, and when no ECU of the vehicle is flashed by this recipe.
    """
    _refuse_unknown_strategies(recipe)
    ecus = [] if vehicle is None else ecus_of(vehicle, vehicle_path, path)
    problems = [*_missing_here(recipe)]
    if vehicle is not None:
        problems += [each for ecu in ecus for each in _contradictions(recipe, vehicle, ecu)]
    interval = recipe.timing.tester_present_interval_ms
    return ExplainedRecipe(
        tool=this_tool(), file=str(path), name=recipe.name, title=recipe.title,
        steps=tuple(ExplainedStep(step=str(step), **said(step, recipe)._asdict()) for step in recipe.steps),
        checked=tuple(_checked(recipe)), unchecked=tuple(_unchecked(recipe)), retried=tuple(_retried(recipe)),
        tester_present=TESTER_PRESENT[recipe.timing.tester_present].format(interval=interval),
        does_not=tuple(_does_not(recipe)), vehicle=None if vehicle is None else vehicle.name,
        ecus=tuple(each.id for each in ecus), problems=tuple(problems),
    )  # fmt: skip


def ecus_of(vehicle: VehicleFile, vehicle_path: Path, path: Path) -> list[EcuEntry]:
    """Return the ECUs that are flashed by a recipe; `InputError` when there are none."""
    catalogue = Catalogue.around(vehicle_path)
    used = {ecu.id: catalogue.path("recipes", ecu.recipe, named_by=vehicle_path) for ecu in vehicle.ecus}
    found = [ecu for ecu in vehicle.ecus if used[ecu.id].resolve() == path.resolve()]
    if not found:
        raise InputError(
            "no ECU of the vehicle is flashed by this recipe", file=str(vehicle_path), key="ecus.recipe",
            found=", ".join(f"{name}: {file.name}" for name, file in used.items()), allowed=f"an ECU with {path}",
            hint=f"name {path.stem} as recipe of an ECU, and put the file into recipes/ beside the vehicle's folder",
        )  # fmt: skip
    return found


def _refuse_unknown_strategies(recipe: Recipe) -> None:
    if Step.PROGRAM_PARTS not in recipe.steps:
        return
    strategy("erase", recipe.erase.by, ERASE)
    for rule in recipe.check.listed:
        if rule.by != "transfer_exit":
            strategy("check", rule.by, BUILT_IN)


# What is checked, and what is not -----------------------------------------------------------------------


def _checked(recipe: Recipe) -> Iterator[str]:
    hardware = [f"0x{each.did:04X}" for each in identifiers(recipe) if not each.of_application]
    if hardware:
        expect = () if recipe.identify is None else recipe.identify.expect
        wanted = (
            f"must say {', '.join(expect)}" if expect else "must say what the software is for, where its file tells"
        )
        yield f"before anything is done: {', '.join(hardware)} {wanted}"
    if Step.PROGRAM_PARTS in recipe.steps:
        yield "before anything is done: every part lies in the region of [memory]"
        if recipe.erase.by != "none":
            yield f"after each erase: {judged(recipe.erase.answer)}"
        yield from (rule_text(rule, recipe) for rule in recipe.check.listed)
    else:
        yield "before anything is done: the signed header is for this hardware, and lies in the region of [memory]"
        yield f"after the download: the ECU's own check of its memory, its status must be 0x{recipe.check.ok:02X}"
    if tells_version(recipe):
        versions = ", ".join(f"0x{each.did:04X}" for each in identifiers(recipe) if each.of_application)
        yield f"after the reset: {versions} must say what was ordered"


def _unchecked(recipe: Recipe) -> Iterator[str]:
    if recipe.check.nothing:
        yield 'nothing checks what was sent (check.rules = "none"): a job can end well with nothing stored'
    if not tells_version(recipe):
        yield "no version is read: what runs in the end, nobody knows; the job ends as stored"
    if not any(not each.of_application for each in identifiers(recipe)):
        yield "no hardware is read: whatever answers at this address is flashed"
    if any(rule.by == "transfer_exit" and rule.algorithm == "accepted" for rule in recipe.check.listed) and not any(
        rule.by != "transfer_exit" for rule in recipe.check.listed
    ):
        yield "what is stored is the ECU's word alone: its positive answer to 37"


def _retried(recipe: Recipe) -> Iterator[str]:
    tries = recipe.retries
    yield f"a request whose answer was lost: {tries.step} more (0x34 to 0x37 only block by block: {tries.block} more)"
    codes = ", ".join(f"0x{each:02X}" for each in tries.restart_download) or "none"
    yield f"a download: {tries.download} more, from its erase, after a broken answer or one of these refusals: {codes}"
    yield f"a busy ECU (0x21): {tries.busy} more, {tries.busy_pause_ms} ms apart"
    yield f"an ECU that is locked for a while: {tries.security} more; a key that was refused: never again"
    yield f"the whole job: {tries.job} tries, {tries.job_pause_ms} ms apart; what passed its checks is not sent again"


def _does_not(recipe: Recipe) -> Iterator[str]:
    steps = recipe.steps
    missing = (
        (Step.DTC_OFF, "keep ECUs from storing DTCs meanwhile"),
        (Step.COMMUNICATION_OFF, "silence the bus: normal messages compete with the download"),
        (Step.CHECK_PRECONDITIONS, "ask the ECU whether the car is in a state to be programmed"),
        (Step.FINGERPRINT, "leave a fingerprint of who programmed it"),
        (Step.CHECK_DEPENDENCIES, "ask by a routine of its own whether its parts belong together"),
        (Step.CLEAR_DTCS, "clear the DTCs that the job brings about"),
    )  # fmt: skip
    yield from (words for step, words in missing if step not in steps)
    if Step.SECURITY_ACCESS not in steps and Step.AUTHENTICATION not in steps:
        yield "unlock the ECU: neither 0x27 nor 0x29"
    if Step.PROGRAM_PARTS in steps:
        if recipe.erase.by == "none":
            yield "erase: the ECU must do so by itself at 0x34"
        if not any(rule.by == "read_back" for rule in recipe.check.listed):
            yield "read memory back: an ECU that acknowledges, stores nothing and passes its own check is not found"
        yield "fill gaps, unpack or repack what the file has"
    if recipe.routines.report_progress is None:
        yield "go on in the middle of a download that broke off: it begins again at the erase"


# Where it is used ---------------------------------------------------------------------------------------


def _missing_here(recipe: Recipe) -> Iterator[str]:
    try:
        check_recipe(recipe)
    except FlasherError as error:
        yield f"on this machine: {error}"


def _contradictions(recipe: Recipe, vehicle: VehicleFile, ecu: EcuEntry) -> Iterator[str]:
    longest, limit = vehicle.habits(ecu).max_length, recipe.memory.block_limit_bytes
    if limit > longest:
        yield (
            f"{ecu.id}: memory.block_limit_bytes = {limit}, but the tester's messages have {longest} bytes at most "
            "(isotp.max_length)"
        )
    own, functional = ecu.address(), vehicle.functional_address(ecu.tester_channel)
    if _is_functional(recipe) and own.id_29_bit != functional.id_29_bit:
        widths = {True: 29, False: 11}
        yield (
            f"{ecu.id}: functional requests go out with {widths[functional.id_29_bit]}-bit identifiers "
            f"(0x{functional.tx_id:X}), the ECU has {widths[own.id_29_bit]}-bit ones: name its channel in [functional]"
        )


def _is_functional(recipe: Recipe) -> bool:
    """Return whether anything of it goes to every ECU of a bus."""
    to_all = recipe.timing.tester_present in (TesterPresent.FUNCTIONAL, TesterPresent.PENDING)
    return to_all or any(step in OFF or step in ON for step in recipe.steps)
