"""What `otabench flash` prints and writes as JSON (`docs/contracts.md`)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bench.config.output import OutputModel, Sha256, Tool

Hexadecimal = Annotated[str, Field(pattern=r"^([0-9a-f]{2})*$")]


class FlashRange(OutputModel):
    """A range of memory."""

    address: int
    size_bytes: int


class FlashSegment(OutputModel):
    """Bytes without a gap: what they fill, and how many are sent for it; `sha256` is over what is sent."""

    address: int
    size_bytes: int
    sent_bytes: int
    sha256: Sha256


class FlashPart(OutputModel):
    """What is erased, downloaded and checked together. `data_format` is null where the recipe packs it.

    `proofs` are the names of the signatures that the file has for it.
    """

    name: str
    file: str
    kind: Literal["bootloader", "software", "header"]
    index: int | None
    data_format: int | None
    erase: tuple[FlashRange, ...]
    proofs: tuple[str, ...]
    segments: tuple[FlashSegment, ...]


class FlashImage(OutputModel):
    """What was flashed: of a signed image the file, who signed it, and what its header says.

    Software in parts has no header: `file`, `signed_by`, `release_counter`, `load_address`, `sha256` are null and
    `parts` says what there is (empty for a signed image). `hardware_id` is null where none is compared, several that
    are right are joined by " or "; `version` is empty where nothing tells it. `length` counts bytes of memory.
    `not_compared` names checksums of a file that nobody computed here.
    """

    file: str | None
    signed_by: str | None
    hardware_id: str | None
    software_id: str
    version: str
    release_counter: int | None
    load_address: int | None
    length: int
    sha256: Sha256 | None
    left_out: tuple[str, ...]
    not_compared: tuple[str, ...]
    parts: tuple[FlashPart, ...]


class FlashTime(OutputModel):
    """Seconds by cause; all but the last add up to `duration_s`. `pending_s` is what the ECU spent behind 0x78."""

    bus_s: float
    st_min_s: float
    ecu_erase_s: float
    ecu_program_s: float
    ecu_check_s: float
    ecu_other_s: float
    other_traffic_s: float
    tester_s: float
    pending_s: float


class FlashBelief(OutputModel):
    """What the ECU is believed to be, and the only safe next step."""

    state: Literal[
        "untouched",
        "new_software",
        "stored",
        "unconfirmed",
        "other_software",
        "bootloader",
        "unknown",
        "silent",
    ]
    seen: str
    erased: bool
    next_step: str


class FlashedEvent(OutputModel):
    """A retry or oddity: when, what, details."""

    t_ns: int
    name: str
    detail: str


class FlashedEcuResult(OutputModel):
    """One ECU of the order.

    `nothing_checked`: by its recipe (`check.rules = "none"`) nothing shows that what was sent is stored.
    `version_unread`: by its recipe (`identify.version = "none"`) nothing shows what it runs.
    """

    ecu: str
    outcome: Literal["flashed", "failed", "interrupted"]
    error: str | None
    step: str
    image: FlashImage
    nothing_checked: bool
    version_unread: bool
    believed: FlashBelief
    version: str
    confirmed: bool | None
    confirm_problem: str
    downloads: int
    sent_bytes: int
    bytes_per_s: float
    started_s: float
    duration_s: float
    phases_s: dict[str, float]
    time: FlashTime
    counts: dict[str, int]
    events: tuple[FlashedEvent, ...]


class FlashResultJson(OutputModel):
    """`flash --json` and `result.json`."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    tool: Tool
    bench: str
    vehicle: str
    clock: Literal["virtual", "real"]
    outcome: Literal["flashed", "failed", "interrupted"]
    parallel: bool
    duration_s: float
    sum_s: float
    trace_sha256: Sha256
    folder: str
    ecus: tuple[FlashedEcuResult, ...]


class PlannedRequest(OutputModel):
    """One request of a dry run; `ecu` is null when it goes to all of `channel`. Without --full, `request` is cut."""

    t_s: float
    duration_s: float
    ecu: str | None
    channel: str
    step: str
    name: str
    length: int
    request: Hexadecimal
    answers: tuple[Hexadecimal, ...]


class PlannedEcu(OutputModel):
    """One ECU of a dry run; `times_known` says whether the estimate holds its erase and program times.

    `nothing_checked` and `version_unread` are those of a result.
    """

    ecu: str
    recipe: str
    image: FlashImage
    nothing_checked: bool
    version_unread: bool
    duration_s: float
    times_known: bool
    time: FlashTime


class FlashPlan(OutputModel):
    """`flash --dry-run --json`: the sequence in order of time, and the estimate."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    tool: Tool
    bench: str
    vehicle: str
    parallel: bool
    full: bool
    duration_s: float
    ecus: tuple[PlannedEcu, ...]
    requests: tuple[PlannedRequest, ...]


class ReadIdentifier(OutputModel):
    """One data identifier; `value` is null where there is none, then `problem` says why."""

    did: int
    name: str
    value: Hexadecimal | None
    text: str
    problem: str


class ReadEcu(OutputModel):
    """One ECU's identification; `problem` is empty unless the ECU is silent. `simulated`: by this bench itself."""

    ecu: str
    simulated: bool
    problem: str
    identifiers: tuple[ReadIdentifier, ...]


class FlashRead(OutputModel):
    """`flash --read --json`."""

    schema_version: Literal[1] = Field(default=1, alias="schema")
    tool: Tool
    bench: str
    vehicle: str
    ecus: tuple[ReadEcu, ...]
