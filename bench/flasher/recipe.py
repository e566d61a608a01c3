"""Recipes: the order of services, ids, limits and retries for one kind of ECU, as data (`fixtures/recipes/`)."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from bench.config import FileModel, data_root, load_toml
from bench.core.errors import InputError
from bench.wire.seed_key import ALGORITHMS


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

Byte = Annotated[int, Field(ge=0, le=0xFF)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Address = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
Milliseconds = Annotated[int, Field(ge=0, le=600_000)]
Tries = Annotated[int, Field(ge=0, le=100)]
RefusalCodes = tuple[Annotated[int, Field(ge=0x10, le=0xFF)], ...]


class Sessions(FileModel):
    """Sub-functions of 0x10."""

    default: Byte = 0x01
    programming: Byte = 0x02
    extended: Byte = 0x03


class Routines(FileModel):
    """Routine identifiers of 0x31; a routine that the ECU lacks is left out."""

    erase: Word
    check_memory: Word
    check_dependencies: Word | None = None
    activate: Word | None = None
    confirm: Word | None = None


class Dids(FileModel):
    """Data identifiers of 0x22 and 0x2E (ISO 14229-1 annex C)."""

    boot_software_id: Word = 0xF180
    active_session: Word = 0xF186
    software_id: Word = 0xF188
    version: Word = 0xF189
    hardware_id: Word = 0xF191
    fingerprint: Word = 0xF15A


class Memory(FileModel):
    """Linked addresses and what a download may carry."""

    region_base: Address
    region_size: Annotated[int, Field(gt=0, le=1 << 32)]
    header_address: Address
    program_unit_bytes: Annotated[int, Field(ge=1, le=4096)]
    block_limit_bytes: Annotated[int, Field(ge=3, le=0xFFFF_FFFF)] = 4095

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        end = self.region_base + self.region_size
        if end > 1 << 32:
            raise ValueError("the region ends beyond 32-bit addresses")
        if self.region_base - 256 < self.header_address < end:
            raise ValueError("the header slot must lie outside the linked region")
        if self.block_limit_bytes < self.program_unit_bytes + 2:
            raise ValueError("block_limit_bytes must hold service id, counter and one program unit")
        return self


class Check(FileModel):
    """Status bytes of the routines, and after which of them a new download makes sense."""

    ok: Byte = 0x00
    meanings: dict[str, str] = Field(default_factory=dict)
    restart_download: tuple[Byte, ...] = ()

    def meaning(self, status: int) -> str:
        """Return what a status byte says, in the recipe's words."""
        return self.meanings.get(str(status), "unknown status")


class Security(FileModel):
    """0x27: the odd level, the key algorithm (`bench.wire.seed_key`) and the name of its secret."""

    level: Annotated[int, Field(ge=1, le=0x7D)]
    algorithm: str
    secret_name: str

    @field_validator("algorithm")
    @classmethod
    def _known(cls, algorithm: str) -> str:
        if algorithm not in ALGORITHMS:
            raise ValueError(f"one of: {', '.join(sorted(ALGORITHMS))}")
        return algorithm

    @field_validator("level")
    @classmethod
    def _odd(cls, level: int) -> int:
        if level % 2 == 0:
            raise ValueError("an odd number: requestSeed of the level, sendKey is one more")
        return level


class Fingerprint(FileModel):
    """What is written before a download: three bytes of date (BCD yymmdd) and the tester's id."""

    tester_id: Annotated[str, Field(pattern=r"^[ -~]{7}$")]


class Timing(FileModel):
    """Time limits. P2 and P2* run to the *start* of an answer (ISO 14229-2)."""

    p2_ms: Annotated[int, Field(ge=1, le=60_000)] = 50
    p2_star_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000
    delta_p2_ms: Milliseconds = 50
    p3_functional_ms: Milliseconds = 50
    pending_limit_s: Annotated[int, Field(ge=1, le=3_600)] = 60
    functional_send_limit_ms: Annotated[int, Field(ge=1, le=60_000)] = 1_000
    tester_present_interval_ms: Annotated[int, Field(ge=10, le=60_000)] = 2_000
    tester_present_while_pending: bool = True
    reboot_settle_ms: Milliseconds = 50
    reboot_poll_ms: Annotated[int, Field(ge=1, le=60_000)] = 20
    reboot_wait_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p2_ms >= self.p2_star_ms:
            raise ValueError(f"need p2_ms < p2_star_ms, got {self.p2_ms} and {self.p2_star_ms}")
        if self.p2_star_ms > self.pending_limit_s * 1000:
            raise ValueError(f"pending_limit_s ({self.pending_limit_s}) is shorter than one P2* ({self.p2_star_ms} ms)")
        return self


class Retries(FileModel):
    """How often what is tried again, each bounded."""

    job: Annotated[int, Field(ge=1, le=100)] = 10
    job_pause_ms: Milliseconds = 2_250
    download: Tries = 2
    block: Tries = 3
    step: Tries = 1
    busy: Tries = 10
    busy_pause_ms: Milliseconds = 50
    security: Tries = 3
    security_wait_ms: Milliseconds = 10_500
    resend_block: RefusalCodes = ()
    restart_download: RefusalCodes = ()

    @model_validator(mode="after")
    def _disjoint(self) -> Self:
        both = sorted(set(self.resend_block) & set(self.restart_download))
        if both:
            raise ValueError(f"NRC 0x{both[0]:02X} is in resend_block and in restart_download")
        return self


class Recipe(FileModel):
    """One kind of ECU's flashing sequence."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    title: str = ""
    parallel: bool = Field(default=True, description="whether it may be flashed while other ECUs are")
    sessions: Sessions = Sessions()
    routines: Routines
    dids: Dids = Dids()
    memory: Memory
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
