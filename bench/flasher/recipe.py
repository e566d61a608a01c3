"""Recipes: the order of services, ids, limits and retries for one kind of ECU, as data (`fixtures/recipes/`)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from bench.config import FileModel, data_root, load_toml
from bench.core.errors import InputError
from bench.flasher.recipe_parts import Check as Check
from bench.flasher.recipe_parts import Dids, Fingerprint, Routines, Security, Sessions
from bench.flasher.recipe_parts import Memory as Memory
from bench.flasher.recipe_parts import Retries as Retries
from bench.flasher.recipe_parts import Timing as Timing
from bench.wire.download_format import PLAIN, DownloadFormat


class Step(StrEnum):
    """What a recipe's `steps` may name."""

    EXTENDED_SESSION = "extended_session"
    DTC_OFF = "dtc_off"
    COMMUNICATION_OFF = "communication_off"
    PROGRAMMING_SESSION = "programming_session"
    SECURITY_ACCESS = "security_access"
    FINGERPRINT = "fingerprint"
    ERASE = "erase"
    DOWNLOAD_IMAGE = "download_image"
    DOWNLOAD_HEADER = "download_header"
    CHECK_MEMORY = "check_memory"
    CHECK_DEPENDENCIES = "check_dependencies"
    ACTIVATE = "activate"
    RESET = "reset"
    VERIFY_VERSION = "verify_version"
    COMMUNICATION_ON = "communication_on"
    DTC_ON = "dtc_on"
    DEFAULT_SESSION = "default_session"


REQUIRED = (
    Step.PROGRAMMING_SESSION,
    Step.SECURITY_ACCESS,
    Step.ERASE,
    Step.DOWNLOAD_IMAGE,
    Step.DOWNLOAD_HEADER,
    Step.CHECK_MEMORY,
    Step.RESET,
    Step.VERIFY_VERSION,
)
"""Without one of these an ECU is left erased, unchecked, or in its bootloader."""

HARMLESS_BEFORE_PROGRAMMING = (Step.EXTENDED_SESSION, Step.DTC_OFF, Step.COMMUNICATION_OFF)
"""Functional and suppressed: a bootloader that knows none of them stays silent, so none can be fatal there."""

ORDER = (
    (Step.EXTENDED_SESSION, Step.DTC_OFF),
    (Step.EXTENDED_SESSION, Step.COMMUNICATION_OFF),
    (Step.EXTENDED_SESSION, Step.PROGRAMMING_SESSION),
    (Step.PROGRAMMING_SESSION, Step.SECURITY_ACCESS),
    (Step.SECURITY_ACCESS, Step.FINGERPRINT),
    (Step.SECURITY_ACCESS, Step.ERASE),
    (Step.FINGERPRINT, Step.DOWNLOAD_IMAGE),
    (Step.ERASE, Step.DOWNLOAD_IMAGE),
    (Step.ERASE, Step.DOWNLOAD_HEADER),
    (Step.DOWNLOAD_IMAGE, Step.CHECK_MEMORY),
    (Step.DOWNLOAD_HEADER, Step.CHECK_MEMORY),
    (Step.CHECK_MEMORY, Step.CHECK_DEPENDENCIES),
    (Step.CHECK_MEMORY, Step.ACTIVATE),
    (Step.CHECK_DEPENDENCIES, Step.RESET),
    (Step.ACTIVATE, Step.RESET),
    (Step.CHECK_MEMORY, Step.RESET),
    (Step.RESET, Step.VERIFY_VERSION),
    (Step.VERIFY_VERSION, Step.COMMUNICATION_ON),
    (Step.VERIFY_VERSION, Step.DTC_ON),
    (Step.COMMUNICATION_ON, Step.DEFAULT_SESSION),
    (Step.DTC_ON, Step.DEFAULT_SESSION),
)
"""(earlier, later): where a recipe has both, they stand in this order."""

UNDONE_BY = ((Step.DTC_OFF, Step.DTC_ON), (Step.COMMUNICATION_OFF, Step.COMMUNICATION_ON))


class Recipe(FileModel):
    """One kind of ECU's flashing sequence."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    title: str = ""
    sessions: Sessions = Sessions()
    routines: Routines
    dids: Dids = Dids()
    memory: Memory
    download: DownloadFormat = PLAIN
    check: Check = Check()
    security: Security
    fingerprint: Fingerprint = Fingerprint(tester_id="OTABNCH")
    timing: Timing = Timing()
    retries: Retries = Retries()
    steps: tuple[Step, ...]

    @field_validator("steps")
    @classmethod
    def _possible(cls, steps: tuple[Step, ...], info: ValidationInfo) -> tuple[Step, ...]:
        problem = _problem(steps) or _missing_routine(steps, info.data.get("routines"))
        if problem is not None:
            raise ValueError(problem)
        return steps


def _problem(steps: tuple[Step, ...]) -> str | None:
    """Return what is wrong with the order, or None."""
    twice = next((step for n, step in enumerate(steps) if step in steps[:n]), None)
    if twice is not None:
        return f"step {twice} stands twice"
    missing = next((step for step in REQUIRED if step not in steps), None)
    if missing is not None:
        return f"step {missing} is missing"
    for off, on in UNDONE_BY:
        if off in steps and on not in steps:
            return f"step {off} is never undone: {on} is missing"
    before = steps[: steps.index(Step.PROGRAMMING_SESSION)]
    fatal = next((step for step in before if step not in HARMLESS_BEFORE_PROGRAMMING), None)
    if fatal is not None:
        return f"step {fatal} cannot stand before {Step.PROGRAMMING_SESSION}: in the bootloader it would be fatal"
    for earlier, later in ORDER:
        if earlier in steps and later in steps and steps.index(earlier) > steps.index(later):
            return f"step {later} cannot stand before {earlier}"
    return None


def _missing_routine(steps: tuple[Step, ...], routines: Routines | None) -> str | None:
    if routines is None:
        return None
    wanted = ((Step.CHECK_DEPENDENCIES, routines.check_dependencies), (Step.ACTIVATE, routines.activate))
    missing = next((step for step, routine in wanted if step in steps and routine is None), None)
    return None if missing is None else f"step {missing} needs routines.{missing}"


def load_recipe(path: Path) -> Recipe:
    """Read a recipe; `InputError` says file, key, what was found and what is allowed."""
    return load_toml(path, Recipe, "recipe")


def recipe_named(name: str) -> Recipe:
    """Read the recipe that a vehicle file names; `InputError` lists those that exist."""
    folder = data_root() / "recipes"
    known = {path.stem: path for path in sorted(folder.glob("*.toml"))}
    if name not in known:
        raise InputError(f"no recipe {name!r}", file=str(folder), found=name, allowed=", ".join(known))
    return load_recipe(known[name])
