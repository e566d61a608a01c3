"""The tables of a recipe, each a model of its own; `recipe.py` puts them together."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from bench.config import FileModel
from bench.flasher.recipe_checks import Answer, CheckRule, Item
from bench.flasher.recipe_security import Security as Security

Byte = Annotated[int, Field(ge=0, le=0xFF)]
Word = Annotated[int, Field(ge=0, le=0xFFFF)]
Address = Annotated[int, Field(ge=0, le=0xFFFF_FFFF)]
Milliseconds = Annotated[int, Field(ge=0, le=600_000)]
Tries = Annotated[int, Field(ge=0, le=100)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*$")]
RefusalCodes = tuple[Annotated[int, Field(ge=0x10, le=0xFF)], ...]


class Sessions(FileModel):
    """Sub-functions of 0x10."""

    default: Byte = 0x01
    programming: Byte = 0x02
    extended: Byte = 0x03


class Routines(FileModel):
    """Routine identifiers of 0x31; a routine that the ECU lacks is left out."""

    erase: Word | None = None
    check_memory: Word | None = None
    check_dependencies: Word | None = None
    activate: Word | None = None
    confirm: Word | None = None
    report_progress: Word | None = None
    """An ECU that has it says how much of a download it holds: an interrupted one goes on from there."""
    check_preconditions: Word | None = None
    check_block: Word | None = None
    """Compares one logical block with a CRC-32: option record range, then CRC."""


class Dids(FileModel):
    """Data identifiers of 0x22 and 0x2E (ISO 14229-1 annex C)."""

    boot_software_id: Word = 0xF180
    active_session: Word = 0xF186
    software_id: Word = 0xF188
    version: Word = 0xF189
    hardware_id: Word = 0xF191
    fingerprint: Word = 0xF15A
    read_back: dict[Name, Word] = Field(default_factory=dict)
    """More identifiers by name: read after the update by step `read_back`."""


class LogicalBlock(FileModel):
    """A part of the region that is erased, programmed and checked by itself."""

    name: Name
    base: Address
    size_bytes: Annotated[int, Field(gt=0, le=1 << 32)]


class Memory(FileModel):
    """Linked addresses and what a download may carry."""

    region_base: Address
    region_size: Annotated[int, Field(gt=0, le=1 << 32)]
    header_address: Address | None = None
    """Where the signed header of an image goes (`signed_image.py`); None: this ECU takes none."""
    program_unit_bytes: Annotated[int, Field(ge=1, le=4096)]
    block_limit_bytes: Annotated[int, Field(ge=3, le=0xFFFF_FFFF)] = 4095
    blocks: tuple[LogicalBlock, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        end = self.region_base + self.region_size
        if end > 1 << 32:
            raise ValueError("the region ends beyond 32-bit addresses")
        if self.header_address is not None and self.region_base - 256 < self.header_address < end:
            raise ValueError("the header slot must lie outside the linked region")
        if self.block_limit_bytes < self.program_unit_bytes + 2:
            raise ValueError("block_limit_bytes must hold service id, counter and one program unit")
        return self

    @model_validator(mode="after")
    def _blocks_are_the_region(self) -> Self:
        """Logical blocks follow each other and fill the region: no byte of an image belongs to none or to two."""
        at = self.region_base
        for block in self.blocks:
            if block.base != at:
                raise ValueError(
                    f"block {block.name} begins at 0x{block.base:08X}, the block before ends at 0x{at:08X}"
                )
            if block.base % self.program_unit_bytes:
                raise ValueError(f"block {block.name} does not begin at a program unit")
            at += block.size_bytes
        if self.blocks and at != self.region_base + self.region_size:
            raise ValueError(f"the blocks end at 0x{at:08X}, the region at 0x{self.region_base + self.region_size:08X}")
        return self


class Erase(FileModel):
    """What one call of the erase routine covers: the image's range, the whole region, or one sector after the other.

    Of parts (step `program_parts`) `by` says which calls there are; `option` is what the record is put together from.
    """

    by: Name = "range"
    """`range`: as `granularity` says. `file`: the ranges that the file lists. `index`: the logical block's number.
    `none`: nobody asks for it, 0x34 erases."""
    option: tuple[Item, ...] | None = None
    answer: Answer = Answer()
    granularity: Literal["image", "region", "sectors"] = "image"
    sector_bytes: Annotated[int, Field(ge=1, le=1 << 26)] | None = None

    @model_validator(mode="after")
    def _sectors_have_a_size(self) -> Self:
        if (self.granularity == "sectors") != (self.sector_bytes is not None):
            raise ValueError('granularity = "sectors" and sector_bytes need each other')
        return self


class Preconditions(FileModel):
    """What keeps an application from being programmed, by the bytes of its answer, and how long that is waited out."""

    meanings: dict[str, str] = Field(default_factory=dict)
    tries: Annotated[int, Field(ge=1, le=100)] = 1
    pause_ms: Milliseconds = 1_000

    def meaning(self, condition: int) -> str:
        """Return what a condition byte says, in the recipe's words."""
        return self.meanings.get(str(condition), f"condition 0x{condition:02X}")


class Check(FileModel):
    """Status bytes of the routines, after which of them a new download makes sense, and the checks of parts.

    `rules = "none"`: nothing at all shows that what was sent is stored, and the report says so.
    """

    rules: tuple[CheckRule, ...] | Literal["none"] = ()
    ok: Byte = 0x00
    meanings: dict[str, str] = Field(default_factory=dict)
    restart_download: tuple[Byte, ...] = ()

    @property
    def listed(self) -> tuple[CheckRule, ...]:
        """Return the rules; none where nothing is checked."""
        return () if isinstance(self.rules, str) else self.rules

    @property
    def nothing(self) -> bool:
        """Return whether the recipe says in so many words that nothing is checked."""
        return self.rules == "none"

    def meaning(self, status: int) -> str:
        """Return what a status byte says, in the recipe's words."""
        return self.meanings.get(str(status), "unknown status")


class Fingerprint(FileModel):
    """What is written before a download: three bytes of date (BCD yymmdd) and the tester's id."""

    tester_id: Annotated[str, Field(pattern=r"^[ -~]{7}$")]


class TesterPresent(StrEnum):
    """Who keeps sessions alive while a job is under way (S3, ISO 14229-2), and how."""

    FUNCTIONAL = "functional"
    """3E 80 to everybody, on its own timer."""
    PENDING = "pending"
    """The same, while the ECU has asked for patience (0x78) alone: reception of some is upset by it otherwise."""
    PHYSICAL = "physical"
    """3E 80 to the ECU's own address, between requests."""
    NONE = "none"
    """The job's own requests must be enough."""


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
    tester_present: TesterPresent = TesterPresent.FUNCTIONAL
    reboot_settle_ms: Milliseconds = 50
    reboot_poll_ms: Annotated[int, Field(ge=1, le=60_000)] = 20
    reboot_wait_ms: Annotated[int, Field(ge=1, le=600_000)] = 5_000
    confirm_after_ms: Annotated[
        int, Field(ge=0, le=600_000, description="new software must run so long without a restart to be confirmed")
    ] = 10_000
    """A confirmation cannot be taken back: it raises the release floor, below which no boot manager goes (ADR 15)."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.p2_ms >= self.p2_star_ms:
            raise ValueError(f"need p2_ms < p2_star_ms, got {self.p2_ms} and {self.p2_star_ms}")
        if self.p2_star_ms > self.pending_limit_s * 1000:
            raise ValueError(f"pending_limit_s ({self.pending_limit_s}) is shorter than one P2* ({self.p2_star_ms} ms)")
        return self


class ResetMeans(StrEnum):
    """What may bring an ECU out of its bootloader once it is programmed."""

    HARD_RESET = "hard_reset"
    KEY_OFF_ON_RESET = "key_off_on_reset"
    SOFT_RESET = "soft_reset"
    DEFAULT_SESSION = "default_session"
    POWER_CYCLE = "power_cycle"
    SESSION_TIMEOUT = "session_timeout"


class Reset(FileModel):
    """By what means the new software is started, in this order, each when the one before was refused or not obeyed.

    `hard_reset`, `key_off_on_reset`, `soft_reset` are 11 01, 11 02, 11 03; `default_session` is 10 01; `power_cycle` is
    asked of the bench where it switches supplies; `session_timeout` waits without tester present until S3 is over.
    """

    means: Annotated[tuple[ResetMeans, ...], Field(min_length=1)] = (
        ResetMeans.HARD_RESET,
        ResetMeans.SOFT_RESET,
        ResetMeans.DEFAULT_SESSION,
        ResetMeans.POWER_CYCLE,
        ResetMeans.SESSION_TIMEOUT,
    )
    s3_ms: Annotated[int, Field(ge=1, le=600_000, description="S3Server (ISO 14229-2)")] = 5_000
    off_ms: Annotated[int, Field(ge=1, le=600_000, description="how long a power cycle leaves the ECU dark")] = 500

    @field_validator("means")
    @classmethod
    def _each_once(cls, means: tuple[ResetMeans, ...]) -> tuple[ResetMeans, ...]:
        twice = next((each for n, each in enumerate(means) if each in means[:n]), None)
        if twice is not None:
            raise ValueError(f"{twice} stands twice")
        return means


class Retries(FileModel):
    """How often what is tried again, each bounded."""

    job: Annotated[int, Field(ge=1, le=100)] = 10
    job_pause_ms: Milliseconds = 2_250
    download: Tries = 2
    block: Tries = 3
    step: Tries = 1
    restart: Annotated[
        int, Field(ge=0, le=100, description="how often an image that is whole and did not run is started once more")
    ] = 1
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
