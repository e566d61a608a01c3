"""Recipes: the order of services, ids, limits and retries for one kind of ECU, as data (`fixtures/recipes/`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bench.config import FileModel, load_toml
from bench.flasher.recipe_checks import After as After
from bench.flasher.recipe_checks import Bootloader, Identify
from bench.flasher.recipe_gaps import refuse_gaps
from bench.flasher.recipe_parts import Check as Check
from bench.flasher.recipe_parts import Dids, Erase, Fingerprint, Preconditions, Routines, Security, Sessions
from bench.flasher.recipe_parts import LogicalBlock as LogicalBlock
from bench.flasher.recipe_parts import Memory as Memory
from bench.flasher.recipe_parts import Reset as Reset
from bench.flasher.recipe_parts import ResetMeans as ResetMeans
from bench.flasher.recipe_parts import Retries as Retries
from bench.flasher.recipe_parts import TesterPresent as TesterPresent
from bench.flasher.recipe_parts import Timing as Timing
from bench.flasher.recipe_security import Authentication
from bench.flasher.recipe_steps import ORDER as ORDER
from bench.flasher.recipe_steps import Step as Step
from bench.flasher.recipe_steps import order_problem
from bench.flasher.recipe_whole import parts_problem
from bench.wire.download_format import PLAIN, DownloadFormat
from bench.wire.transfer_format import STANDARD, TransferFormat

HEADER_SLOT_BYTES = 256
"""Of `memory.header_address`."""


class Recipe(FileModel):
    """One kind of ECU's flashing sequence."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    title: str = ""
    parallel: bool = Field(default=True, description="whether it may be flashed while other ECUs are")
    sessions: Sessions = Sessions()
    routines: Routines = Routines()
    dids: Dids = Dids()
    identify: Identify | None = None
    """Other identifiers than `dids` says, for an ECU that has other ones."""
    bootloader: Bootloader | None = None
    memory: Memory
    erase: Erase = Erase()
    transfer: TransferFormat = STANDARD
    download: DownloadFormat = PLAIN
    preconditions: Preconditions = Preconditions()
    check: Check = Check()
    security: Security | None = None
    authentication: Authentication | None = None
    fingerprint: Fingerprint = Fingerprint(tester_id="OTABNCH")
    timing: Timing = Timing()
    retries: Retries = Retries()
    reset: Reset = Reset()
    steps: tuple[Step, ...]

    @classmethod
    def refuse_unready(cls, file: str, toml: str, values: Mapping[str, object]) -> None:
        """Raise `InputError` for a draft: a gap that was guessed would be sent to an ECU."""
        refuse_gaps(file, toml, values, cls.model_json_schema)

    @field_validator("steps")
    @classmethod
    def _possible(cls, steps: tuple[Step, ...], info: ValidationInfo) -> tuple[Step, ...]:
        problem = order_problem(steps) or _missing_routine(steps, info.data.get("routines"))
        if problem is not None:
            raise ValueError(problem)
        return steps

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        problem = _lock_problem(self) or _width_problem(self) or _blocks_problem(self) or parts_problem(self)
        if problem is not None:
            raise ValueError(problem)
        return self

    @property
    def restart_step(self) -> Step:
        """Where a download that went wrong begins anew."""
        found = (each for each in (Step.PROGRAM_PARTS, Step.PROGRAM_BLOCKS) if each in self.steps)
        return next(found, Step.ERASE)


def _missing_routine(steps: tuple[Step, ...], routines: Routines | None) -> str | None:
    if routines is None:
        return None
    wanted = (
        (Step.ERASE, routines.erase),
        (Step.PROGRAM_BLOCKS, routines.erase),
        (Step.CHECK_MEMORY, routines.check_memory),
        (Step.CHECK_PRECONDITIONS, routines.check_preconditions),
        (Step.CHECK_DEPENDENCIES, routines.check_dependencies),
        (Step.ACTIVATE, routines.activate),
    )
    missing = next((step for step, routine in wanted if step in steps and routine is None), None)
    if missing is None:
        return None
    return f"step {missing} needs routines.{'erase' if missing is Step.PROGRAM_BLOCKS else missing}"


def _lock_problem(recipe: Recipe) -> str | None:
    """Return which of the unlocking steps and their tables lacks the other."""
    tables = (
        (Step.SECURITY_ACCESS, "security", recipe.security),
        (Step.AUTHENTICATION, "authentication", recipe.authentication),
    )
    for step, name, table in tables:
        if (step in recipe.steps) != (table is not None):
            return (
                f"step {step} needs the table [{name}]" if table is None else f"[{name}] has no use without step {step}"
            )
    return None


def _width_problem(recipe: Recipe) -> str | None:
    """Return which address or size does not fit the widths of `transfer`."""
    memory, transfer = recipe.memory, recipe.transfer
    header_end = 0 if memory.header_address is None else memory.header_address + HEADER_SLOT_BYTES
    ram_end = 0 if recipe.bootloader is None else recipe.bootloader.ram_base + recipe.bootloader.ram_size
    highest = max(header_end, ram_end, memory.region_base + memory.region_size) - 1
    # A cut address is a valid one: the ECU would erase somewhere else.
    if highest >> 8 * transfer.address_bytes:
        return f"address 0x{highest:08X} does not fit transfer.address_bytes = {transfer.address_bytes}"
    longest = max([memory.region_size, *(block.size_bytes for block in memory.blocks)])
    if longest >> 8 * transfer.size_bytes:
        return f"a size of 0x{longest:X} does not fit transfer.size_bytes = {transfer.size_bytes}"
    return None


def _blocks_problem(recipe: Recipe) -> str | None:
    by_blocks = Step.PROGRAM_BLOCKS in recipe.steps
    if by_blocks != bool(recipe.memory.blocks):
        return "step program_blocks and the logical blocks of memory.blocks need each other"
    # A resumed download begins in the middle of a range; logical blocks are erased whole, each with its own check.
    if by_blocks and recipe.routines.report_progress is not None:
        return "routines.report_progress speaks of one range: it cannot resume a download in logical blocks"
    if recipe.routines.check_block is not None and not by_blocks:
        return "routines.check_block has no use without step program_blocks"
    return None


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; `InputError` says file, key, what was found and what is allowed."""
    return load_toml(path, Recipe, "recipe")
